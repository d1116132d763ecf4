# SPDX-License-Identifier: MIT
#
# workload.py - some two seconds of ordinary Python: objects, dicts, strings, JSON, trees.
#
# Run with PYTHONMALLOC=malloc, so that each object is a malloc, and with PYTHONHASHSEED=0, so
# that all runs do the same. Fails if the results are not what they always are.
import json
import re
import sys


class Record:
    def __init__(self, number):
        self.key = "key-%07d" % number
        self.values = [number * i for i in range(8)]
        self.attributes = {"size": number % 997, "name": self.key.upper(), "parent": None}


def records(count):
    table = {}
    for number in range(count):
        record = Record(number * 7919 % count)
        table[record.key] = record
        if number % 3 == 0:
            table.pop("key-%07d" % (number // 2), None)
    return sum(r.attributes["size"] + r.values[-1] % 31 for r in table.values())


def words(count):
    text = " ".join("w%d" % (i * i % 5003) for i in range(count))
    seen = {}
    for word in re.findall(r"w\d+", text):
        seen[word] = seen.get(word, 0) + 1
    ranked = sorted(seen.items(), key=lambda item: (-item[1], item[0]))
    return sum(n * len(word) for word, n in ranked[:1000])


def documents(count):
    total = 0
    for number in range(count):
        document = {"id": number, "tags": ["t%d" % i for i in range(number % 50)],
                    "body": {"text": "x" * (number % 300), "list": list(range(number % 40))}}
        back = json.loads(json.dumps(document))
        total += len(back["tags"]) + len(back["body"]["text"]) + sum(back["body"]["list"])
    return total


def tree(depth):
    return (tree(depth - 1), tree(depth - 1), [depth]) if depth else None


def weight(node):
    return weight(node[0]) + weight(node[1]) + node[2][0] if node else 0


def pieces(count):
    lines = []
    for number in range(count):
        line = ",".join(str(number + i) for i in range(12))
        lines.append(line.replace("1", "one").split(",")[number % 12])
    return len("".join(lines))


def main():
    got = (records(150000), words(300000), documents(8000),
           sum(weight(tree(14)) for _ in range(8)), pieces(90000))
    if got != EXPECTED:
        sys.exit("workload.py: got %r" % (got,))


EXPECTED = (64005588, 587880, 3358000, 262016, 512913)

if __name__ == "__main__":
    main()
