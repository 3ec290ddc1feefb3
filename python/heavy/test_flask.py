# SPDX-License-Identifier: Apache-2.0
"""An application of Flask behind a door, under mod_wsgi's daemon, gunicorn (threads) behind
mod_proxy_http and uWSGI behind mod_proxy_uwsgi: each answers as the others do."""

import os
import socket
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "t"))
import support

NAMES = ("door", "mod_wsgi", "gunicorn", "uwsgi")
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
UPLOAD = (b"--frontier\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a b.bin\"\r\n"
          b"Content-Type: application/octet-stream\r\n\r\n" + bytes(range(256)) * 4000 + b"\r\n--frontier--\r\n")
# What is compared of a response, besides its status and its body.
HEADERS = ("Content-Type", "Location", "Allow", "X-Method", "X-Umlaut", "Content-Range", "Accept-Ranges")

REQUESTS = [
    ("GET", "/"), ("HEAD", "/"), ("POST", "/"), ("GET", "/nowhere"),
    ("GET", "/item/7/a/b%20c?x=1&y=%C3%A4"), ("GET", "/item/x/y"), ("GET", "/form"),
    ("POST", "/form", b"name=%3Cb%3E%C3%A4", FORM), ("POST", "/form", b"name=" + b"x" * 200000, FORM),
    ("POST", "/upload", UPLOAD, {"Content-Type": "multipart/form-data; boundary=frontier"}),
    ("POST", "/upload", b"nonsense", {"Content-Type": "multipart/form-data; boundary=frontier"}),
    ("POST", "/login", b"user=ada", FORM), ("GET", "/who"), ("GET", "/stream?name=n"), ("HEAD", "/stream?name=n"),
    ("GET", "/file"), ("GET", "/file", None, {"Range": "bytes=10-19"}), ("GET", "/memory"), ("GET", "/abort/404"),
    ("GET", "/abort/418"), ("GET", "/abort/503"), ("GET", "/fails"), ("PUT", "/method", b"text"),
    ("DELETE", "/method"), ("PATCH", "/method", b"patch"), ("GET", "/headers", None, {"X-Umlaut": "\xe4"}), ("GET", "/empty"),
]


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def setUpModule():
    global httpd, ports, peers
    httpd = support.Httpd().__enter__()
    subprocess.run(["cp", os.path.join(os.path.dirname(os.path.abspath(__file__)), "flask_app.py"), httpd.dir], check=True)
    python = httpd.make_environment("--system-site-packages")
    ports = {name: httpd.port if name == "door" else support.free_port() for name in NAMES}
    inner = {name: support.free_port() for name in ("gunicorn", "uwsgi")}
    httpd.configure(
        "".join(f"Listen 127.0.0.1:{ports[name]}\n" for name in NAMES if name != "door")
        + "LimitRequestBody 0\n"
        f'DoorApp flask "{python} -m door_app flask_app --chdir {httpd.dir}"\n'
        f"WSGIDaemonProcess flask processes=1 threads=15 python-path={httpd.dir}\nWSGISocketPrefix {httpd.dir}/run/wsgi\n"
        f"<VirtualHost 127.0.0.1:{ports['door']}>\n<Location />\nDoorHandler flask\n</Location>\n</VirtualHost>\n"
        f"<VirtualHost 127.0.0.1:{ports['mod_wsgi']}>\nWSGIScriptAlias / {httpd.dir}/flask_app.py process-group=flask "
        "application-group=%{GLOBAL}\n</VirtualHost>\n"
        f"<VirtualHost 127.0.0.1:{ports['gunicorn']}>\nProxyPass / http://127.0.0.1:{inner['gunicorn']}/\nProxyPreserveHost On\n"
        "</VirtualHost>\n"
        f"<VirtualHost 127.0.0.1:{ports['uwsgi']}>\nProxyPass / uwsgi://127.0.0.1:{inner['uwsgi']}/\n</VirtualHost>\n",
        modules=("wsgi", "proxy", "proxy_http", "proxy_uwsgi"),
    )
    peers = []
    who = {"user": "nobody"} if os.getuid() == 0 else {}
    for name, command in (
        ("gunicorn", ["gunicorn", "-k", "gthread", "--threads", "8", "-b", f"127.0.0.1:{inner['gunicorn']}",
                      "--chdir", httpd.dir, "flask_app:app"]),
        ("uwsgi", ["uwsgi", "--plugin", "python3", "--socket", f"127.0.0.1:{inner['uwsgi']}", "--chdir", httpd.dir,
                   "--module", "flask_app:app", "--enable-threads", "--threads", "8", "--die-on-term"]),
    ):
        log = open(httpd.path(f"logs/{name}"), "wb")
        peers.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **who))
        log.close()
    httpd.start()
    for port in inner.values():
        assert support.wait_for(lambda port=port: listens(port)), "a peer does not start"


def tearDownModule():
    for peer in peers:
        peer.terminate()
    for peer in peers:
        peer.wait(support.PATIENCE)
    httpd.__exit__()


def ask(name, method, path, body=None, headers=None):
    httpd.port = ports[name]
    response = httpd.ask(path, method, body, headers)
    fields = {name: response.getheader(name) for name in HEADERS}
    fields["Allow"] = sorted((fields["Allow"] or "").split(", "))  # the application's, from a set
    if response.status == 204:
        del fields["Content-Type"]  # httpd takes it away from its handlers' responses alone
    return (response.status, response.body, fields,
            sorted(cookie.split("=")[0] for cookie in response.headers.get_all("Set-Cookie", [])))


class TestFlask(unittest.TestCase):
    def test_all_answer_alike(self):
        for request in REQUESTS:
            answers = {name: ask(name, *request) for name in NAMES}
            for name in NAMES[1:]:
                with self.subTest(f"{request[0]} {request[1]}: {name}"):
                    self.assertEqual(answers["door"], answers[name])

    def test_what_is_answered(self):
        self.assertEqual(ask("door", *REQUESTS[0])[:2], (200, b"Well, hello to you too!\n"))
        self.assertIn(b'"length":1024000', ask("door", *REQUESTS[9])[1].replace(b" ", b""))
        self.assertEqual(len(ask("door", "GET", "/stream?name=n")[1].splitlines()), 2000)

    def test_a_session(self):
        httpd.port = ports["door"]
        login = httpd.ask("/login", "POST", b"user=ada", FORM)
        cookie = login.getheader("Set-Cookie").split(";")[0]
        self.assertEqual(httpd.ask("/who", headers={"Cookie": cookie}).body, b"ada")

    def test_its_log(self):
        httpd.port = ports["door"]
        httpd.ask("/fails")
        self.assertTrue(support.wait_for(lambda: "RuntimeError: on purpose" in httpd.log()))


if __name__ == "__main__":
    support.main()
