"""The shop's API.

POST /products {"name": …, "price": …}   adds a product
GET  /products                           lists them
GET  /products/<id>                      one, through the cache; the header X-Cache says hit or miss
GET  /healthz                            200 when both backends answer
"""

import json
import re
import signal
import socket
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import backends
import pg_client

HOSTNAME = socket.gethostname()
CACHE_SECONDS = 60

database = backends.Pool(backends.connect_database)
cache = backends.Pool(backends.connect_cache)


def product(row):
    return {"id": int(row[0]), "name": row[1], "price": int(row[2]), "slug": row[3]}


class Handler(BaseHTTPRequestHandler):
    server_version = "shop"

    def do_GET(self):
        if self.path == "/healthz":
            database.run(lambda db: db.query("SELECT 1"))
            cache.run(lambda r: r.call("PING"))
            return self.answer(200, {"status": "ok"})
        if self.path == "/products":
            rows = database.run(lambda db: db.query("SELECT id, name, price, slug FROM products ORDER BY id"))
            return self.answer(200, [product(r) for r in rows])
        if match := re.fullmatch(r"/products/(\d{1,18})", self.path):
            return self.get_product(match[1])
        return self.answer(404, {"error": "no such path"})

    def get_product(self, number):
        key = f"product:{number}"
        cached = cache.run(lambda r: r.call("GET", key))
        if cached is not None:
            return self.answer(200, json.loads(cached), cache="hit")
        rows = database.run(lambda db: db.query("SELECT id, name, price, slug FROM products WHERE id = $1", number))
        if not rows:
            return self.answer(404, {"error": "no such product"}, cache="miss")
        found = product(rows[0])
        if found["slug"] is None:
            # Not kept: the worker may have stored the slug and emptied the cache since it was read.
            return self.answer(200, found, cache="miss")
        cache.run(lambda r: r.call("SET", key, json.dumps(found), "EX", CACHE_SECONDS))
        return self.answer(200, found, cache="miss")

    def do_POST(self):
        if self.path != "/products":
            return self.answer(404, {"error": "no such path"})
        try:
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))
            name, price = str(body["name"]), int(body["price"])
        except (ValueError, KeyError, TypeError):
            return self.answer(400, {"error": 'expected {"name": text, "price": number}'})
        try:
            rows = database.run(
                lambda db: db.query("INSERT INTO products (name, price) VALUES ($1, $2::int) RETURNING id, name, price, slug", name, price)
            )
        except pg_client.Error as e:
            if e.code.startswith("23"):  # a constraint: already there, or a negative price
                return self.answer(409, {"error": str(e)})
            raise
        added = product(rows[0])
        cache.run(lambda r: r.call("RPUSH", "added", added["id"]))
        return self.answer(201, added)

    def answer(self, status, body, cache=None):
        data = json.dumps(body).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("X-Served-By", HOSTNAME)
        if cache:
            self.send_header("X-Cache", cache)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format, *args):
        if self.path != "/healthz":
            print(f"{self.command} {self.path} {format % args}")


def main():
    server = ThreadingHTTPServer(("", 8000), Handler)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print(f"serving on :8000 as {HOSTNAME}")
    server.serve_forever()


main()
