# SPDX-License-Identifier: MIT
# Shared by the tests of metrics: strict reading of Prometheus's texts, sums, requests to servers.
import json
import os
import re
import socket
import subprocess
import sys

SAMPLE = re.compile(r'^([a-z_]+)(?:\{((?:[a-z_]+="(?:[^"\\]|\\.)*",?)*)\})? ([0-9.]+)$')
LABEL = re.compile(r'([a-z_]+)="((?:[^"\\]|\\.)*)"')


def parse(text, openmetrics):
    """{(name, ((label, value), ...)): number}; an error for whatever the format does not allow."""
    samples, types, units, helps = {}, {}, {}, set()
    family = None
    lines = text.split("\n")
    assert lines.pop() == "", "the last line has no end"
    if openmetrics:
        assert lines.pop() == "# EOF", "no # EOF"
    for line in lines:
        if line.startswith("# "):
            _, kind, name, rest = line.split(" ", 3)
            if name != family:
                assert name not in helps, f"{name} comes twice"
                family = name
            assert kind in ("HELP", "TYPE", "UNIT"), line
            if kind == "HELP":
                helps.add(name)
            elif kind == "TYPE":
                assert rest in ("counter", "gauge"), line
                types[name] = rest
            else:
                assert openmetrics and name.endswith("_" + rest), line
                units[name] = rest
            continue
        match = SAMPLE.match(line)
        assert match, line
        name = match[1]
        counter = types[family] == "counter"
        assert name == family + ("_total" if counter and openmetrics else ""), line
        assert not counter or name.endswith("_total"), line
        key = (name, tuple(sorted(LABEL.findall(match[2] or ""))))
        assert key not in samples, f"twice: {line}"
        assert not any(label == "pid" for label, _ in key[1]), line
        samples[key] = float(match[3])
    assert helps == set(types), "HELP and TYPE do not belong together"
    assert not openmetrics or any(units.values()), "no units"
    try:
        from prometheus_client.openmetrics.parser import text_string_to_metric_families
        if openmetrics:
            list(text_string_to_metric_families(text))
    except ImportError:
        pass
    return samples


def total(samples, name, **labels):
    """The sum over all series of that name that have these labels."""
    found = [value for (n, have), value in samples.items()
             if n == name and all((k, v) in have for k, v in labels.items())]
    assert found, f"no {name} with {labels}"
    return sum(found)


def names_of(counters):
    """Of names in counters.def, what they are called here: {counter: (name, factor)}."""
    def name(counter):
        words = "hakmem_" + counter.replace(".", "_")
        if words.endswith("_ns"):
            return words[:-3] + "_seconds", 1e-9
        if words.endswith("_count"):
            return words[:-6], 1
        return words, 1
    return {counter: name(counter) for counter in counters}


def stats(target):
    """Sums of all counters that hakmemctl shows, over the processes of a target, and of RSS and
    memory by state."""
    out = subprocess.run([os.environ["HAKMEMCTL"], "stats", target, "--json=short"], check=True,
                         capture_output=True, text=True).stdout
    sums, memory = {}, {}
    processes = json.loads(out)["processes"]
    for process in processes:
        for name, value in process["counters"].items():
            sums[name] = sums.get(name, 0) + value
        for name, value in process["memory"].items():
            memory[name] = memory.get(name, 0) + int(value)
    return sums, memory, len(processes)


def same_as_stats(samples, target, **labels):
    """Every counter of `hakmemctl stats` is there, and no number differs."""
    sums, memory, count = stats(target)
    compared = 0
    for counter, (name, factor) in names_of(sums).items():
        for candidate in (name, name + "_total", name + "_bytes", name + "_bytes_total",
                          name + "_cycles", name + "_cycles_total"):
            if any(n == candidate for n, _ in samples):
                got = total(samples, candidate, **labels)
                assert abs(got - sums[counter] * factor) < 1e-6, \
                    f"{candidate} is {got}, stats has {sums[counter]} of {counter}"
                compared += 1
                break
        else:
            raise AssertionError(f"{counter} is nowhere")
    assert compared > 90, compared
    for state in ("in_use", "thread_cached", "slab_free", "dirty", "lazy", "clean", "reserved"):
        got = total(samples, "hakmem_memory_bytes", state=state, **labels)
        assert got == memory[state], f"{state}: {got}, not {memory[state]}"
    assert total(samples, "hakmem_processes", **labels) == count
    assert total(samples, "hakmem_resident_bytes", **labels) > 0
    return compared


def ask(path, word, timeout=60):
    """What hakmemd answers on its socket; "" when it closes."""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(timeout)
        s.connect(path)
        try:
            s.sendall(word)
        except BrokenPipeError:
            return ""
        text = b""
        while True:
            try:
                part = s.recv(1 << 16)
            except ConnectionResetError:
                return ""
            if not part:
                return text.decode()
            text += part


def as_another_user(work):
    """Whether work() is true for somebody who owns nothing."""
    child = os.fork()
    if child == 0:
        os.setgroups([])
        os.setresgid(65533, 65533, 65533)
        os.setresuid(65533, 65533, 65533)
        os._exit(0 if work() else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def grown(before, after):
    """Counters never fall."""
    for key, value in before.items():
        if key[0].endswith("_total"):
            assert after.get(key, -1) >= value, f"{key} fell from {value} to {after.get(key)}"


if __name__ == "__main__":
    exec(sys.argv[1])
