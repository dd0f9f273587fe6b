"""A PostgreSQL client for this example: protocol 3.0, SCRAM-SHA-256, parameters as text.

The public image python:3.11 brings no driver; with `pip install psycopg` in an image of your
own this file goes away. https://www.postgresql.org/docs/15/protocol.html
"""

import base64
import hashlib
import hmac
import os
import socket
import struct


class Error(Exception):
    """What the server says: code is the SQLSTATE."""

    def __init__(self, fields):
        super().__init__(fields.get("M", "unknown error"))
        self.code = fields.get("C", "")


class Connection:
    def __init__(self, host, user, database, password, port=5432, timeout=5.0):
        self._sock = socket.create_connection((host, port), timeout=timeout)
        self._file = self._sock.makefile("rb")
        params = f"user\0{user}\0database\0{database}\0client_encoding\0UTF8\0\0".encode()
        self._sock.sendall(struct.pack("!ii", len(params) + 8, 3 << 16) + params)
        self._authenticate(password)
        self._until_ready()

    def query(self, sql, *params):
        """Runs one statement with $1… and returns its rows, a list of tuples of str or None."""
        values = [None if p is None else str(p).encode() for p in params]
        bind = b"\0\0" + struct.pack("!hh", 0, len(values))
        for v in values:
            bind += struct.pack("!i", -1) if v is None else struct.pack("!i", len(v)) + v
        bind += struct.pack("!h", 0)
        self._send(
            (b"P", b"\0" + sql.encode() + b"\0" + struct.pack("!h", 0)),
            (b"B", bind),
            (b"E", b"\0" + struct.pack("!i", 0)),
            (b"S", b""),
        )
        return self._until_ready()

    def close(self):
        self._file.close()
        self._sock.close()

    def _send(self, *messages):
        self._sock.sendall(b"".join(kind + struct.pack("!i", len(body) + 4) + body for kind, body in messages))

    def _receive(self):
        head = self._file.read(5)
        if len(head) < 5:
            raise ConnectionError("PostgreSQL closed the connection")
        size = struct.unpack("!i", head[1:])[0] - 4
        return head[:1], self._file.read(size)

    def _until_ready(self):
        rows, error = [], None
        while True:
            kind, body = self._receive()
            if kind == b"D":
                rows.append(_row(body))
            elif kind == b"E":
                error = Error(_fields(body))
            elif kind == b"Z":
                if error:
                    raise error
                return rows

    def _authenticate(self, password):
        client_nonce = base64.b64encode(os.urandom(18)).decode()
        first = f"n=,r={client_nonce}"
        server_signature = b""
        while True:
            kind, body = self._receive()
            if kind == b"E":
                raise Error(_fields(body))
            if kind != b"R":
                raise ConnectionError(f"expected an authentication message but got {kind!r}")
            step, data = struct.unpack("!i", body[:4])[0], body[4:]
            if step == 0:
                return
            if step == 10:  # SASL: the server's mechanisms
                message = b"n,," + first.encode()
                self._send((b"p", b"SCRAM-SHA-256\0" + struct.pack("!i", len(message)) + message))
            elif step == 11:  # salt and iterations
                challenge = data.decode()
                values = dict(part.split("=", 1) for part in challenge.split(","))
                if not values["r"].startswith(client_nonce):
                    raise ConnectionError("the server's nonce does not continue ours")
                final = f"c=biws,r={values['r']}"
                signed = f"{first},{challenge},{final}".encode()
                salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(values["s"]), int(values["i"]))
                key = _hmac(salted, b"Client Key")
                signature = _hmac(hashlib.sha256(key).digest(), signed)
                proof = bytes(a ^ b for a, b in zip(key, signature))
                server_signature = _hmac(_hmac(salted, b"Server Key"), signed)
                self._send((b"p", f"{final},p={base64.b64encode(proof).decode()}".encode()))
            elif step == 12:
                if base64.b64decode(data[2:]) != server_signature:
                    raise ConnectionError("the server does not know the password either")
            else:
                raise ConnectionError(f"authentication method {step} is not supported, only SCRAM-SHA-256")


def _hmac(key, message):
    return hmac.new(key, message, hashlib.sha256).digest()


def _row(body):
    count, at, row = struct.unpack("!h", body[:2])[0], 2, []
    for _ in range(count):
        size = struct.unpack("!i", body[at : at + 4])[0]
        at += 4
        if size < 0:
            row.append(None)
        else:
            row.append(body[at : at + size].decode())
            at += size
    return tuple(row)


def _fields(body):
    return {part[:1].decode(): part[1:].decode() for part in body.split(b"\0") if part}
