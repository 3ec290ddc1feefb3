# SPDX-License-Identifier: Apache-2.0
"""An application of Flask behind a door and under its peers: each answers as the others do."""

import os
import shutil
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "t"))
import peers
import support
from peers import NAMES

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


def setUpModule():
    global httpd, served
    httpd = support.Httpd().__enter__()
    shutil.copy(os.path.join(os.path.dirname(os.path.abspath(__file__)), "flask_app.py"), httpd.dir)
    served = peers.Peers(httpd, httpd.make_environment("--system-site-packages"), "flask_app:application")
    httpd.configure("LimitRequestBody 0\n" + served.configuration(), modules=peers.MODULES)
    served.start()
    httpd.start()


def tearDownModule():
    served.stop()
    httpd.__exit__()


def ask(name, method, path, body=None, headers=None):
    response = served.ask(name, path, method, body, headers)
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
        login = httpd.ask("/login", "POST", b"user=ada", FORM)
        cookie = login.getheader("Set-Cookie").split(";")[0]
        self.assertEqual(httpd.ask("/who", headers={"Cookie": cookie}).body, b"ada")

    def test_its_log(self):
        httpd.ask("/fails")
        self.assertTrue(support.wait_for(lambda: "RuntimeError: on purpose" in httpd.log()))


if __name__ == "__main__":
    support.main()
