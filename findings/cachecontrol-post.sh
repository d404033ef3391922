#!/usr/bin/env bash
# CacheControl for Python keeps the old list after the client's own POST; only PUT, PATCH and DELETE remove it.
#
# Versions: CacheControl 0.14.4 and requests 2.34.2 (PyPI), Python 3.11.
#
# Expected: RFC 9111 section 4.4 has a cache drop what it stored for a URL when an unsafe request to this URL has success. POST is
#   unsafe (RFC 9110 section 9.2.1). So a client that creates an order with POST /orders sees it in its next GET /orders, however long
#   the list is fresh. OkHttp 5.3.2, Apache's HttpClient 5.6 and undici 8.13.1, which were tried in the same way, do so.
# Seen: after POST the old list comes from the cache until its `max-age` is over. After PUT, PATCH and DELETE it is gone.
#   A program that changes things with PUT only never sees this.
#
# For a client: add POST to the methods that invalidate: `CacheControlAdapter.invalidating_methods`.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet CacheControl==0.14.4 requests==2.34.2
"$work/venv/bin/python" - << 'PYTHON' | tee "$work/seen"
import http.server
import threading

import requests
from cachecontrol import CacheControl
from cachecontrol.adapter import CacheControlAdapter

changes = 0


class Orders(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status):
        text = f"{changes} changes".encode()
        self.send_response(status)
        self.send_header("cache-control", "max-age=60")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def do_GET(self):
        self.answer(200)

    def change(self):
        global changes
        changes += 1
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.answer(201 if self.command == "POST" else 200)

    do_POST = do_PUT = do_PATCH = do_DELETE = change

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Orders)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}/orders"


def change_and_look(method):
    global changes
    changes = 0
    session = CacheControl(requests.Session())
    before = session.get(url).text
    status = session.request(method, url, data="one more").status_code
    return f"{before}, {method} {status}, {session.get(url).text}"


for method in ["POST", "PUT", "PATCH", "DELETE"]:
    print(change_and_look(method))
CacheControlAdapter.invalidating_methods = {"POST", "PUT", "PATCH", "DELETE"}
print("POST among the methods:", change_and_look("POST"))
PYTHON
diff "$work/seen" - << 'EXPECTED'
0 changes, POST 201, 0 changes
0 changes, PUT 200, 1 changes
0 changes, PATCH 200, 1 changes
0 changes, DELETE 200, 1 changes
POST among the methods: 0 changes, POST 201, 1 changes
EXPECTED
echo "still so"
