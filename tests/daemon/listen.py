# SPDX-License-Identifier: MIT
# usage: listen.py SOCKET FILE
# Plays systemd's end of sd_notify(): appends what arrives at the socket to the file, one line each.
import os
import socket
import sys

s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
out = os.open(sys.argv[2], os.O_WRONLY | os.O_APPEND)
while True:
    text = s.recv(65536)
    os.write(out, text.rstrip(b"\n") + b"\n")
