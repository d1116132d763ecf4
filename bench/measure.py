# SPDX-License-Identifier: MIT
#
# measure.py - the allocators to be found here, and one run of one workload under one of them.
#
# Each run is a process of its own, started afresh, with the variables that steer an allocator
# removed from its environment. A run either gives figures or a Failure that says why; that the
# library under test really served malloc is part of a run's success, since ld.so only warns
# when it cannot preload one.
import os
import platform
import re
import select
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from functools import partial

# Name here, and the SONAMEs under which distributions ship it, the preferred one first.
PEERS = (
    ("jemalloc", ("libjemalloc.so.2",)),
    ("mimalloc", ("libmimalloc.so.2", "libmimalloc.so.3")),
    ("tcmalloc", ("libtcmalloc_minimal.so.4",)),
    ("rpmalloc", ("librpmalloc.so", "librpmallocwrap.so")),
    ("snmalloc", ("libsnmallocshim.so",)),
)

# Variables that steer an allocator; --env gives them to one of them.
STEERING = re.compile(
    r"(LD_PRELOAD|GLIBC_TUNABLES|(MALLOC|_RJEM|JE|MIMALLOC|TCMALLOC|HAKMEM)(_.*)?)$")


@dataclass
class Allocator:
    name: str
    file: str = ""              # "": the C library's own
    environment: dict = field(default_factory=dict)


class Failure(Exception):
    """Why a run gave no figures, in one line."""


def clean_environment():
    return {k: v for k, v in os.environ.items() if not STEERING.match(k)}


def steering_variables():
    return sorted(k for k in os.environ if STEERING.match(k))


def library_paths(soname):
    """Where the dynamic linker would look for a library, this machine's kind first."""
    ldconfig = shutil.which("ldconfig") or "/sbin/ldconfig"
    try:
        listing = subprocess.run([ldconfig, "-p"], capture_output=True, text=True).stdout
    except OSError:
        return []
    kind = {"x86_64": "x86-64", "aarch64": "AArch64"}.get(platform.machine(), "")
    found = re.findall(r"^\s+%s \((.*?)\) => (\S+)$" % re.escape(soname), listing, re.M)
    return [path for kinds, path in found if kind in kinds]


class Bench:
    """Runs workloads whose programs were built into one directory."""

    def __init__(self, directory, quick=False, timeout=0):
        self.directory = directory
        self.quick = quick
        self.timeout = timeout
        self.scratch = tempfile.TemporaryDirectory(prefix="bench-")

    def program(self, name):
        path = os.path.join(self.directory, name)
        if not os.access(path, os.X_OK):
            raise SystemExit(f"run.py: {path} is not built; use `make bench` or --bindir")
        return path

    def command(self, workload, allocator):
        """argv and environment. bench/spawn preloads the library into its command only."""
        argv = [self.program(workload.program)]
        environment = {**clean_environment(), **workload.environment, **allocator.environment}
        library = allocator.file or workload.libc
        if workload.command and library:
            argv += ["--preload", library]
        elif allocator.file:
            environment["LD_PRELOAD"] = allocator.file
        argv += shlex.split(workload.args)
        if self.quick:
            argv += shlex.split(workload.quick)
        if workload.command:
            first, *rest = (w.format(scratch=self.scratch.name) for w in workload.command)
            argv += ["--", first if os.sep in first else self.program(first), *rest]
        return argv, environment

    def attend(self, workload):
        """What the runner does while the program runs, if anything."""
        if workload.after:
            return partial(watch, workload.after, 0.1 if self.quick else 1)
        return workload.drive and partial(workload.drive, self.scratch.name)

    def run(self, workload, allocator, prefix=()):
        argv, environment = self.command(workload, allocator)
        out, err = execute([*prefix, *argv], environment, self.timeout or workload.timeout,
                           self.attend(workload))
        if "LD_PRELOAD" in err and "cannot be preloaded" in err:
            raise Failure(f"{allocator.file} cannot be preloaded")
        figures = {}
        for line in out.splitlines():
            key, _, value = line.partition(" ")
            if key == "malloc_from":
                check_origin(value, allocator)
            else:
                figures[key] = float(value)
        for key in filter(None, (workload.time, workload.rss)):
            if key not in figures:
                raise Failure(f"printed no {key}")
        return figures

    def serves(self, workload, allocator):
        try:
            self.run(workload, allocator)
        except Failure:
            return False
        return True

    def find_peers(self, workload):
        """glibc and what else is installed and works; `workload` is a short one to try it with."""
        peers = [Allocator("glibc")]
        for name, sonames in PEERS:
            candidates = [Allocator(name, path) for soname in sonames
                          for path in library_paths(soname)]
            peers += [c for c in candidates if self.serves(workload, c)][:1]
        return peers


def check_origin(file, allocator):
    if not allocator.file:
        if not re.match(r"libc[.-]", os.path.basename(file)):
            raise Failure(f"malloc came from {file}, not from the C library")
    elif not os.path.exists(file) or not os.path.samefile(file, allocator.file):
        raise Failure(f"malloc came from {file}, not from {allocator.file}")


def after_key(seconds):
    return f"rss_{seconds:g}s_kib"


def resident_kib(pid):
    try:
        with open(f"/proc/{pid}/smaps_rollup") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("Rss:"))
    except (OSError, StopIteration):
        raise Failure("no Rss in its smaps_rollup") from None


def watch(after, scale, process, timeout):
    """Reads the memory of a program so many seconds after it said "asleep", its last line. Returns
    what it printed, and the figures in the same form."""
    text, end = "", time.monotonic() + timeout
    while not text.endswith("asleep 1\n"):
        if not select.select([process.stdout], [], [], max(0, end - time.monotonic()))[0]:
            raise subprocess.TimeoutExpired(process.args, timeout)
        piece = os.read(process.stdout.fileno(), 4096)
        if not piece:
            return text         # it ended early; its status says why
        text += piece.decode(errors="replace")
    start = time.monotonic()
    for seconds in after:
        time.sleep(max(0, start + seconds * scale - time.monotonic()))
        text += f"{after_key(seconds)} {resident_kib(process.pid)}\n"
    return text


def execute(argv, environment, timeout, attend=None):
    """stdout and stderr of a command that ended well, in time. It leads a session of its own, so
    that what it started can be ended with it. attend(process, timeout) is called while it runs
    and returns what it has read of stdout; stdin is closed after that."""
    with subprocess.Popen(argv, env=environment, text=True, errors="replace",
                          stdin=subprocess.PIPE if attend else subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          start_new_session=True) as process:
        try:
            seen = attend(process, timeout) if attend else ""
            out, err = process.communicate(timeout=timeout)
        except BaseException as reason:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            if isinstance(reason, subprocess.TimeoutExpired):
                raise Failure(f"no end after {timeout} s") from None
            raise
    last = (err.strip().splitlines() or [""])[-1]
    if process.returncode < 0:
        raise Failure(f"killed by {signal.Signals(-process.returncode).name} {last}".strip())
    if process.returncode:
        raise Failure(f"exit status {process.returncode}: {last}")
    return seen + out, err
