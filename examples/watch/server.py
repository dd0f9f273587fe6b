"""Serves the pages of site/, and at /about what the server and its image are."""

import http.server
import pathlib

GREETING = "hello"
INSTALLED = pathlib.Path("installed.txt").read_text().strip()


class Handler(http.server.SimpleHTTPRequestHandler):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, directory="site", **kwargs)

    def end_headers(self):
        self.send_header("Cache-Control", "no-store")
        super().end_headers()

    def do_GET(self):
        if self.path != "/about":
            return super().do_GET()
        body = f"{GREETING}, {INSTALLED}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


http.server.ThreadingHTTPServer(("", 8000), Handler).serve_forever()
