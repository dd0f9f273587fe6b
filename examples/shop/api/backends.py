"""Connections to the two backends, from the environment that compose.yaml gives."""

import os
import queue

import pg_client
import redis_client


def connect_database():
    with open(os.environ["DB_PASSWORD_FILE"], encoding="utf-8") as f:
        password = f.read().rstrip("\n")
    return pg_client.Connection(os.environ["DB_HOST"], os.environ["DB_USER"], os.environ["DB_NAME"], password)


def connect_cache():
    return redis_client.Redis(os.environ["REDIS_HOST"])


class Pool:
    """Keeps connections between requests. One that breaks is thrown away and, once, replaced."""

    def __init__(self, connect):
        self._connect = connect
        self._idle = queue.LifoQueue()

    def run(self, work):
        while True:
            try:
                conn, used = self._idle.get_nowait(), True
            except queue.Empty:
                conn, used = self._connect(), False
            try:
                result = work(conn)
            except (OSError, ValueError):
                conn.close()
                if used:
                    continue  # it may have been broken since its last use: the backend was restarted
                raise
            except Exception:
                self._idle.put(conn)  # an answer, though not the wished-for one
                raise
            self._idle.put(conn)
            return result
