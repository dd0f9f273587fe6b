"""The shop's worker: gives each added product its slug.

It ends with an error when a backend goes away; `restart: on-failure` brings it back.
"""

import re
import signal
import sys

import backends


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    database, cache = backends.connect_database(), backends.connect_cache()
    print("waiting for products")
    while True:
        _, number = cache.call("BLPOP", "added", 0, timeout=None)
        number = number.decode()
        rows = database.query("SELECT name FROM products WHERE id = $1", number)
        if not rows:
            continue
        slug = re.sub(r"[^a-z0-9]+", "-", rows[0][0].lower()).strip("-")
        database.query("UPDATE products SET slug = $1 WHERE id = $2", slug, number)
        cache.call("DEL", f"product:{number}")
        print(f"product {number}: {slug}")


main()
