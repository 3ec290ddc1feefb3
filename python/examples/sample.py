# SPDX-License-Identifier: Apache-2.0
"""A sample of a WSGI application behind a door, of the standard library alone: a page that says
which thread has made it, a stream of events, and a file that is read as it comes.

    DoorApp sample "/usr/bin/python3 -m door_app sample" directory=/srv/sample
"""

import hashlib
import html
import os
import sys
import threading
import time

START = time.time()
local = threading.local()  # what a server thread has of its own, from request to request

PAGE = """<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Python behind a door</title>
<style>
body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 40rem; margin: 2rem auto; padding: 0 1rem }}
td {{ padding: .1rem 1rem .1rem 0 }}
output, code {{ font-family: ui-monospace, monospace; overflow-wrap: anywhere }}
a, button {{ color: #05c }}
</style>
<h1>Python behind a door</h1>
<p>Hello, {client}! A plain WSGI application has made this page: <code>sample.py</code>.
<table>
<tr><td>Process<td>{pid}, Python {version}, for {age:.0f} s
<tr><td>Server thread<td>number {thread}, which has served {served} requests
</table>
<h2>Events</h2>
<p>A handler that goes on for as long as you look: <output id="time">&nbsp;</output>
<h2>A file</h2>
<form action="digest" method="post">
<input type="file" name="file" required> <button>Take its SHA-256</button>
</form>
<p><output id="digest">It is read as it comes, and kept nowhere.</output>
<p><a href="/">All samples</a>
<script>
new EventSource("clock").onmessage = event => document.getElementById("time").textContent = event.data;
document.forms[0].onsubmit = async event => {{
    event.preventDefault();
    const file = document.forms[0].file.files[0];
    const answer = await fetch("digest", {{method: "POST", body: file}});
    document.getElementById("digest").textContent = await answer.text();
}};
</script>
</html>
"""


def page(environ, start_response):
    request = environ["door_app.request"]
    text = PAGE.format(
        client=html.escape(environ["REMOTE_ADDR"]), pid=os.getpid(), version=sys.version.split()[0],
        age=time.time() - START, thread=request.thread_number, served=local.served)
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
    return [text.encode()]


def clock(environ, start_response):
    """Ends when the client has gone, or the process is to stop."""
    request = environ["door_app.request"]
    start_response("200 OK", [("Content-Type", "text/event-stream"), ("Cache-Control", "no-store")])
    while not request.stopping and not request.client_gone():
        yield time.strftime("data: %H:%M:%S UTC\n\n", time.gmtime()).encode()
        time.sleep(1)


def digest(environ, start_response):
    """What the browser sends is read piece by piece, with a Content-Length or without one."""
    sha, length = hashlib.sha256(), 0
    while block := environ["wsgi.input"].read(65536):
        sha.update(block)
        length += len(block)
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
    return [f"{length} bytes, {sha.hexdigest()}\n".encode()]


PAGES = {"/": page, "/clock": clock, "/digest": digest}


def application(environ, start_response):
    local.served = getattr(local, "served", 0) + 1
    path = environ["PATH_INFO"]
    if path == "":
        start_response("302 Found", [("Location", environ["SCRIPT_NAME"] + "/")])
        return []
    handler = PAGES.get(path)
    if handler is not None:
        return handler(environ, start_response)
    start_response("404 Not Found", [("Content-Type", "text/plain; charset=utf-8")])
    return [b"There is no such page.\n"]
