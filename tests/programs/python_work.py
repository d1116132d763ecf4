# SPDX-License-Identifier: MIT
"""Allocations of every kind and size whose result is one line per part; the same on any malloc."""

import hashlib
import json
import os
import pickle
import random
import re
import sqlite3
import subprocess
import sys
import threading
import zlib


def objects(seed, count):
    """Lists, dictionaries, strings and numbers that come and go."""
    rng = random.Random(seed)
    live = {}
    digest = hashlib.sha256()
    for i in range(count):
        key = rng.randrange(2000)
        kind = rng.randrange(7)
        if kind == 0:
            live[key] = "x" * rng.randrange(3000)
        elif kind == 1:
            live[key] = list(range(rng.randrange(600)))
        elif kind == 2:
            live[key] = {str(j): j * 1.5 for j in range(rng.randrange(60))}
        elif kind == 3:
            live[key] = bytes(rng.randrange(200000)) if i % 50 == 0 else b"y" * (i % 500)
        elif kind == 4:
            live.pop(key, None)
        elif kind == 5:
            live[key] = 3 ** rng.randrange(2000)
        else:
            digest.update(repr(live.get(key))[:2000].encode())
    digest.update(json.dumps({k: str(v)[:100] for k, v in sorted(live.items())}).encode())
    return digest.hexdigest()


def threads():
    """The same work in threads gives what it gives alone."""
    results = [None] * 6

    def run(i):
        results[i] = objects(i, 8000)

    workers = [threading.Thread(target=run, args=(i,)) for i in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return hashlib.sha256("".join(results).encode()).hexdigest()


def forks():
    """Children that work on what they inherited, with a thread beside."""
    inherited = [str(i) * 50 for i in range(20000)]
    parts = []
    for i in range(6):
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(read)
            del inherited[i::7]
            text = objects(i, 4000) + str(sum(map(len, inherited)))
            os.write(write, text.encode())
            os._exit(0)
        os.close(write)
        with os.fdopen(read, "rb") as pipe:
            parts.append(pipe.read().decode())
        if os.waitpid(pid, 0)[1] != 0:
            sys.exit("a child failed")
    return hashlib.sha256("".join(parts).encode()).hexdigest()


def buffers():
    """Byte arrays that grow, are compressed and compared."""
    rng = random.Random(5)
    total = 0
    for i in range(150):
        data = bytearray()
        while len(data) < 30000 * (i % 40 + 1):
            data += rng.randbytes(rng.randrange(1, 9000))
        packed = zlib.compress(bytes(data), 1)
        if zlib.decompress(packed) != data:
            sys.exit("zlib differs")
        total = zlib.crc32(packed, total)
    return "%08x" % total


def database():
    """SQLite inside the process, with its own page cache on malloc."""
    db = sqlite3.connect(":memory:")
    db.execute("create table t (a integer, b text)")
    rows = ((i * 7919 % 10007, "v" * (i % 300)) for i in range(30000))
    db.executemany("insert into t values (?, ?)", rows)
    db.execute("create index i on t (a, b)")
    db.execute("delete from t where a % 3 = 0")
    return str(db.execute("select count(*), sum(a), sum(length(b)) from t").fetchone())


def texts():
    """Regular expressions and pickles."""
    text = " ".join("word%d=%d;" % (i, i * i) for i in range(30000))
    found = re.findall(r"word(\d*7)=(\d+);", text)
    again = pickle.loads(pickle.dumps(found))
    return hashlib.sha256(repr(again).encode()).hexdigest()


print("objects", objects(42, 60000))
print("threads", threads())
print("forks", forks())
print("buffers", buffers())
print("database", database())
print("texts", texts())
print("child", subprocess.check_output([sys.executable, "-c", "print(6 * 7)"]))
