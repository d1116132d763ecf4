# SPDX-License-Identifier: MIT
# usage: hostile.py forged|unsealed|lock PID
# A hostile process. Prints "ready" and stays.
# forged: maps a memfd by the name of a segment, with a header's magic and no valid field.
# unsealed: the same, but whole pages of zeros: a segment that is only begun.
# lock: holds the lock by which writers of a process's tunables serialize.
import fcntl
import mmap
import os
import struct
import sys
import time

if sys.argv[1] in ("forged", "unsealed"):
    fd = os.memfd_create("hakmem-stats", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, 1 << 20)
    if sys.argv[1] == "forged":
        os.pwrite(fd, b"HAKSTAT1" + b"\xff" * 4096, 0)
    kept = mmap.mmap(fd, 1 << 20)
else:
    fds = "/proc/%s/fd" % sys.argv[2]
    for number in os.listdir(fds):
        if os.readlink("%s/%s" % (fds, number)).startswith("/memfd:hakmem-tune"):
            fd = os.open("%s/%s" % (fds, number), os.O_RDWR)
    F_OFD_SETLK = 37
    lock = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 1, 0)
    fcntl.fcntl(fd, F_OFD_SETLK, lock)
print("ready", flush=True)
while True:
    time.sleep(1000)
