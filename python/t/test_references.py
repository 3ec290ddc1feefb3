# SPDX-License-Identifier: Apache-2.0
"""What requests of every kind leave behind: references, as a debug build of CPython counts
them (the extension is built with its headers), and blocks of memory."""

import contextlib
import glob
import json
import os
import shutil
import socket
import unittest

import support

DEBUG = os.environ.get("PYTHON_DEBUG", "/usr/bin/python3-dbg")
ROUNDS, COUNT = 4, 60

KINDS = [
    "/environ", "/pid", "/large", "/sized", "/late", "/written", "/wrapped", "/wrapped?length",
    "/wrapped?memory", "/logs", "/thread", "/fails", "/twice", "/nowhere",
    *("/wrong?" + how for how in ("header", "name", "hop", "type", "tuple", "status", "none",
                                  "unstarted", "empty", "str", "bytes", "long", "int")),
]
CUT_SHORT = ["/breaks", "/too_late"]
POSTED = ["/echo", "/pieces", "/digest", "/pid"]


def setUpModule():
    global httpd
    httpd = support.Httpd().__enter__()
    httpd.copy("app.py")
    shutil.copytree(f"{support.BUILD}/python/dbg/door_app", httpd.path("door_app"))
    os.mkdir(httpd.path("scratch"))
    os.chmod(httpd.path("scratch"), 0o777)
    httpd.configure(
        f'DoorApp app "{DEBUG} -m door_app app --chdir {httpd.dir}" directory={httpd.dir} '
        f"env=SCRATCH={httpd.dir}/scratch\n"
        "<Location />\nDoorHandler app\n</Location>\n"
    )
    httpd.start()


def tearDownModule():
    httpd.__exit__()


def leave(path):
    """Asks, and does not wait for the answer."""
    with socket.create_connection(("127.0.0.1", httpd.port), support.PATIENCE) as raw:
        raw.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nabc".encode())


class TestReferences(unittest.TestCase):
    def ask(self, connection, path, method="GET", body=None):
        connection.request(method, path, body)
        return connection.getresponse().read()

    def growth(self, use):
        """References and blocks that each use leaves; not what one round of them happens to."""
        with contextlib.closing(httpd.connection()) as connection:
            counts = []
            for _ in range(ROUNDS):
                for _ in range(COUNT):
                    use(connection)
                counts.append(json.loads(self.ask(connection, "/total")))
        return [min(after - before for before, after in zip(series, series[1:])) / COUNT
                for series in zip(*counts)]

    def none_is_left(self, path, use):
        with self.subTest(path):
            references, blocks = self.growth(use)
            self.assertLess(references, 0.5, f"{path}: references for each request")
            self.assertLess(blocks, 2, f"{path}: blocks for each request")

    def test_it_counts(self):
        references, blocks = json.loads(httpd.get("/total"))
        self.assertGreater(references, 10000)
        self.assertGreater(blocks, 10000)

    def test_answers(self):
        for path in KINDS:
            self.none_is_left(path, lambda connection, path=path: self.ask(connection, path))
        self.none_is_left("HEAD", lambda connection: self.ask(connection, "/large", "HEAD"))

    def test_bodies(self):
        for path in POSTED:
            self.none_is_left("POST " + path, lambda connection, path=path: self.ask(
                connection, path, "POST", b"a body\n" * 20))

    def test_answers_that_are_cut_short(self):
        for path in CUT_SHORT:
            self.none_is_left(path, lambda connection, path=path: httpd.ask(path))

    def test_clients_that_leave(self):
        for path in ("/digest", "/hints"):
            self.none_is_left("left " + path, lambda connection, path=path: leave(path))


if __name__ == "__main__":
    assert glob.glob(f"{support.BUILD}/python/dbg/door_app/_native*.so"), "make python-dbg"
    support.main()
