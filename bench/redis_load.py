# SPDX-License-Identifier: MIT
#
# redis_load.py - what the workload "redis" asks of redis-server.
#
# The server gets one script, which it runs by itself, and an order to end: it allocates, replaces
# and frees, and no client's speed is part of the figures. It fails if the script's result is not
# what it always is.
import os
import socket
import time

from measure import Failure

ARGUMENTS = ("--port", "0", "--unixsocket", "{scratch}/redis", "--save", "", "--appendonly", "no",
             "--lua-time-limit", "0")

SCRIPT = """
for i = 1, 100000 do
	redis.call('SET', 'string:' .. i, string.rep('s', 16 + i * 7919 % 240))
	if i % 3 == 0 then
		redis.call('HSET', 'hash:' .. i % 5000, 'field:' .. i, string.rep('h', i % 90))
	end
	if i % 5 == 0 then
		redis.call('RPUSH', 'list:' .. i % 999, string.rep('l', i % 150))
	end
end
for i = 1, 100000 do
	if i % 4 ~= 0 then
		redis.call('DEL', 'string:' .. i)
	end
end
for i = 1, 30000 do
	redis.call('SET', 'larger:' .. i, string.rep('v', 300 + i * 7919 % 1500))
end
return redis.call('DBSIZE')
"""
RESULT = b":60999\r\n"


def connect(path, process, end):
    """None if the process ends before it listens."""
    while process.poll() is None:
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(path)
            return connection
        except OSError:
            connection.close()
        if time.monotonic() > end:
            raise Failure("redis-server does not listen")
        time.sleep(0.01)
    return None


def command(*words):
    return b"*%d\r\n" % len(words) + b"".join(
        b"$%d\r\n%s\r\n" % (len(word), word) for word in map(str.encode, words))


def drive(scratch, process, timeout):
    """Talks to the server that `process` started; one that dies is reported by its status."""
    end = time.monotonic() + timeout
    connection = connect(os.path.join(scratch, "redis"), process, end)
    if not connection:
        return ""
    with connection:
        connection.settimeout(max(0.001, end - time.monotonic()))
        try:
            connection.sendall(command("EVAL", SCRIPT, "0"))
            answer = connection.recv(1000)
            if answer and answer != RESULT:
                raise Failure(f"redis-server answered {answer.decode(errors='replace').strip()}")
            connection.sendall(command("SHUTDOWN", "NOSAVE"))
        except TimeoutError:
            raise Failure(f"no answer after {timeout} s") from None
        except OSError:
            pass                # the connection of a server that died
    return ""
