"""A Redis client for the few commands of this example, in RESP2.

The public image python:3.11 brings no Redis client; with `pip install redis` in an image of
your own this file goes away.
"""

import socket


class Error(Exception):
    pass


class Redis:
    def __init__(self, host, port=6379, timeout=5.0):
        self._sock = socket.create_connection((host, port), timeout=timeout)
        self._file = self._sock.makefile("rb")

    def call(self, *args, timeout=5.0):
        """Sends one command and returns its reply: None, int, bytes or a list of those."""
        out = [b"*%d\r\n" % len(args)]
        for arg in args:
            data = arg if isinstance(arg, bytes) else str(arg).encode()
            out.append(b"$%d\r\n%s\r\n" % (len(data), data))
        self._sock.settimeout(timeout)
        self._sock.sendall(b"".join(out))
        return self._reply()

    def _reply(self):
        line = self._file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("Redis closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest
        if kind == b"-":
            raise Error(rest.decode())
        if kind == b":":
            return int(rest)
        if kind == b"$":
            size = int(rest)
            return None if size < 0 else self._file.read(size + 2)[:-2]
        if kind == b"*":
            return None if int(rest) < 0 else [self._reply() for _ in range(int(rest))]
        raise Error(f"unexpected reply {line!r}")

    def close(self):
        self._file.close()
        self._sock.close()
