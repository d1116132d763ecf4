# SPDX-License-Identifier: MIT
# usage: thrash.py FILE
# Reads a mapped file repeatedly. In a control group too small for the file that causes memory
# pressure and nothing more: the program reads again what the kernel takes away.
import mmap
import os
import sys

fd = os.open(sys.argv[1], os.O_RDONLY)
size = os.fstat(fd).st_size
os.posix_fadvise(fd, 0, size, os.POSIX_FADV_DONTNEED)
view = mmap.mmap(fd, size, prot=mmap.PROT_READ)
view.madvise(mmap.MADV_RANDOM)
print("ready", flush=True)
while True:
    total = 0
    for at in range(0, size, 4096):
        total += view[at]
