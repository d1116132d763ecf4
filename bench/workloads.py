# SPDX-License-Identifier: MIT
#
# workloads.py - every workload of the benchmark, once.
#
# A workload is a program of this folder with arguments, or a command started by bench/spawn.
# `time` and `rss` name the figures that count; a workload without one is left out of that
# geometric mean. `quick` replaces arguments under --quick: less work, the same pattern.
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, field

import redis_load
from measure import after_key

RETURN_AFTER = (0, 1, 3, 6)


@dataclass(frozen=True)
class Workload:
    name: str
    about: str
    program: str
    args: str = ""
    quick: str = ""             # arguments that override those above
    unit: str = "pair"          # what one operation is
    time: str = "ns_per_op"     # key of the time, or "" when time means nothing here
    rss: str = "peak_rss_kib"
    threads: int = 1            # 1: processor time may stand for wall time (--clock cpu)
    rounds: int = 0             # at most so many rounds; 0: as many as asked for
    timeout: int = 120
    command: tuple = ()         # for bench/spawn
    environment: dict = field(default_factory=dict)
    missing: str = ""           # why it cannot run here
    after: tuple = ()           # seconds asleep after which memory is read; rss is the last
    drive: Callable = None      # drive(scratch, process, timeout), while `command` runs
    libc: str = ""              # what is preloaded for "glibc", if `command` links another malloc


def size_list(text):
    """The arguments of an eviction-heavy workload: `text` distinct sizes from 1 MiB on."""
    return f"--size 1M --step 256k --count {text}"


def interpreter(names, preferred=""):
    if preferred and os.access(preferred, os.X_OK):
        return preferred
    return next(filter(None, map(shutil.which, names)), None)


def programs():
    """Workloads that are other people's programs; the distribution's python, not a shim of it."""
    here = os.path.dirname(os.path.realpath(__file__))
    python = interpreter((), "/usr/bin/python3") or os.path.realpath(sys.executable)
    lua = interpreter(("lua5.4", "lua5.3", "lua"))
    yield Workload(
        "python", f"{python} workload.py, every object a malloc", "spawn", "--count 1",
        unit="run", command=(python, "-S", "-s", "-B", os.path.join(here, "workload.py")),
        environment={"PYTHONMALLOC": "malloc", "PYTHONHASHSEED": "0"})
    yield Workload(
        "lua", f"{lua or 'lua'} workload.lua", "spawn", "--count 1", unit="run",
        command=(lua or "lua", os.path.join(here, "workload.lua")),
        missing="" if lua else "no lua in PATH")
    redis = interpreter(("redis-server",))
    yield Workload(
        "redis", "redis-server: strings, hashes and lists set, replaced, deleted", "spawn",
        "--count 1", unit="run", command=(redis or "redis-server", *redis_load.ARGUMENTS),
        drive=redis_load.drive, libc="libc.so.6",
        missing="" if redis else "no redis-server in PATH")


def returned():
    """Memory that comes back: everything was freed, and the process sleeps."""
    for name, about, args, quick in (
            ("single", "256 MiB in one thread", "--bytes 256M", "--bytes 32M"),
            ("threads", "4 threads that end, 75 MiB each, 4 times",
             "--threads 4 --bytes 75M --rounds 4", "--bytes 8M"),
            ("executor", "16 workers that sleep, 16 MiB each, 4 times",
             "--threads 16 --bytes 16M --rounds 4 --stay", "--bytes 2M"),
            ("ended-1000", "1,000 threads that end, 96 KiB each, then a malloc each 10 ms",
             "--threads 1000 --bytes 96k --min 50 --max 10000 --stir", "--threads 50"),
            ("ended-5000", "5,000 threads that end, 96 KiB each, then a malloc each 10 ms",
             "--threads 5000 --bytes 96k --min 50 --max 10000 --stir", "--threads 100"),
            ("phases", "24 phases of one size each, never more than 80 MiB",
             "--phases --bytes 80M --rounds 24", "--rounds 8")):
        yield Workload(f"return-{name}", about, "burst", args, quick, unit="MiB", rounds=2,
                       threads=int(name != "single" and name != "phases") + 1,
                       after=RETURN_AFTER, rss=after_key(RETURN_AFTER[-1]))


def small():
    yield Workload("pair-64", "malloc(64) and free, the hot path alone", "churn",
                   "--batch 1 --min 64 --max 64 --ms 300", "--ms 60")
    for order in "lifo", "fifo", "random":
        for batch in "100", "20000":
            yield Workload(f"churn-{order}-{batch}",
                           f"16 to 256 bytes, {batch} at a time, freed {order}", "churn",
                           f"--order {order} --batch {batch} --ms 300", "--ms 60")
    yield Workload("churn-random-64", "64 bytes, 20,000 at a time, freed at random", "churn",
                   "--order random --batch 20000 --min 64 --max 64 --ms 300", "--ms 60")
    yield Workload("churn-turn", "one size of 16 to 256 bytes for 20,000 blocks, then another",
                   "churn", "--order random --batch 20000 --turn --ms 600", "--ms 120")
    yield Workload("live-100k", "replace one of 100,000 blocks of 16 to 128 bytes", "live",
                   "--count 100000 --ops 10000000", "--ops 2000000")
    yield Workload("live-5m", "replace one of 5,000,000 blocks of 16 to 128 bytes", "live",
                   "--count 5000000 --ops 5000000", "--count 2000000 --ops 1000000")


def threaded():
    for name, threads, low, high, count, ops in (
            ("larson-tiny-1t", 1, 8, 64, 5000, 6000000),
            ("larson-small-4t", 4, 8, 1000, 5000, 8000000),
            ("larson-mid-4t", 4, 1024, 16384, 1000, 4000000),
            ("larson-large-2t", 2, 65536, 1048576, 100, 200000)):
        yield Workload(name, f"{threads} threads that hand on {count} blocks each, "
                       f"{low} to {high} bytes", "larson",
                       f"--threads {threads} --min {low} --max {high} --count {count} --ops {ops}",
                       f"--ops {ops // 8}", unit="op", threads=threads)
    yield Workload("churn-4t", "four threads, 64 bytes, 20,000 at a time, freed at random",
                   "churn", "--threads 4 --order random --batch 20000 --min 64 --max 64 --ms 300",
                   "--ms 60", threads=4)
    yield Workload("prodcons", "one thread allocates, another frees", "remote",
                   "--pattern pipe --ops 6000000", "--ops 1000000", unit="block", threads=2)
    yield Workload("all2all-4t", "four threads free each other's blocks", "remote",
                   "--pattern all --threads 4 --ops 6000000", "--ops 1000000",
                   unit="block", threads=4)
    yield Workload("threads", "threads that come and go, 64 blocks each", "threads",
                   "--ops 10000", "--ops 2000", unit="thread", threads=5)


def large():
    yield Workload("2m-first", "2 MiB, first byte written", "whale",
                   "--size 2M --touch first --ms 300", "--ms 60")
    yield Workload("2m-pages", "2 MiB, every page written", "whale",
                   "--size 2M --touch pages --ms 300", "--ms 60")
    yield Workload("2m-calloc", "2 MiB from calloc, every page written", "whale",
                   "--size 2M --touch pages --calloc --ms 300", "--ms 60")
    for touch in "ends", "pages":
        for count in 9, 16, 64:
            yield Workload(f"evict-{count}-{touch}",
                           f"{count} sizes from 1 MiB by 256 KiB in turn, {touch} written",
                           "whale", f"{size_list(count)} --touch {touch} --ms 300", "--ms 60")
    for touch in "ends", "pages":
        yield Workload(f"evict-16-live4-{touch}", f"16 sizes in turn, 4 in use, {touch} written",
                       "whale", f"{size_list(16)} --live 4 --touch {touch} --ms 300", "--ms 60")
    for touch, ops in ("ends", 20000), ("pages", 4000):
        yield Workload(f"large-mix-{touch}", f"64 blocks of 32 KiB to 8 MiB, {touch} written",
                       "mix", f"--touch {touch} --ops {ops}", f"--ops {ops // 8}")
    yield Workload("realloc-factor", "8 buffers grow by half from 16 bytes to 8 MiB", "grow",
                   "--by factor --to 8M --ms 500", "--ms 100", unit="realloc")
    yield Workload("realloc-step", "8 buffers grow by 16 bytes to 4 KiB", "grow",
                   "--by step --to 4k --ms 300", "--ms 60", unit="realloc")
    yield Workload("realloc-run", "1 buffer grows by 4 KiB to 1 MiB", "grow",
                   "--by step --step 4k --buffers 1 --from 4k --to 1M --ms 300", "--ms 60",
                   unit="realloc")
    yield Workload("realloc-append", "2 logs grow by 64 KiB from 1 to 32 MiB", "grow",
                   "--by step --step 64k --buffers 2 --from 1M --to 32M --ms 500", "--ms 100",
                   unit="realloc")


def memory():
    for pattern in "runs", "random":
        yield Workload(f"idle-{pattern}", f"1 GiB of 100-byte blocks, 95 % freed ({pattern}), "
                       "then 12 s of light traffic", "idle",
                       f"--pattern {pattern} --idle-ms 12000",
                       "--bytes 128M --asleep-ms 100 --idle-ms 1000", unit="block",
                       rss="rss_idle_kib", rounds=2)
    yield Workload("idle-dirty", "Private_Dirty of a process that does nothing", "trivial",
                   time="", rss="private_dirty_kib")
    yield Workload("idle-dirty-thread", "Private_Dirty a thread adds, one block each", "trivial",
                   "--threads 16", time="", rss="per_thread_kib")
    yield Workload("idle-dirty-sizes", "Private_Dirty a thread adds, 60 sizes each", "trivial",
                   "--threads 16 --count 60", time="", rss="per_thread_kib")
    yield Workload("start-exit", "a process that does nothing, start to exit", "spawn",
                   "--count 200", "--count 40", unit="process", rss="",
                   command=("trivial", "--quiet"))


def all_workloads():
    return [*small(), *threaded(), *large(), *memory(), *returned(), *programs()]
