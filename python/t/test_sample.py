# SPDX-License-Identifier: Apache-2.0
"""The sample that make demo shows: its page, its stream of events, a file that it reads."""

import hashlib
import os
import re
import shutil
import signal
import unittest

import support

SAMPLE = os.path.join(support.HERE, "..", "examples", "sample.py")


def setUpModule():
    global httpd
    httpd = support.Httpd().__enter__()
    shutil.copy(SAMPLE, httpd.dir)
    python = httpd.make_environment()
    httpd.configure(f'DoorApp sample "{python} -m door_app sample" directory={httpd.dir}\n'
                    "<Location /python>\nDoorHandler sample\n</Location>\n")
    httpd.start()


def tearDownModule():
    httpd.__exit__()


class TestSample(unittest.TestCase):
    def test_pages(self):
        self.assertEqual(httpd.ask("/python").getheader("Location"), "/python/")
        text = httpd.get("/python/")
        self.assertIn("Hello, 127.0.0.1!", text)
        self.assertRegex(text, r"number [1-9]\d*, which has served \d+ requests")
        self.assertNotIn("{{", text)
        self.assertEqual(httpd.ask("/python/nowhere").status, 404)

    def test_a_file(self):
        body = os.urandom(1000000)
        self.assertEqual(httpd.get("/python/digest", method="POST", body=body),
                         f"{len(body)} bytes, {hashlib.sha256(body).hexdigest()}\n")

    def test_the_clock(self):
        pid = int(re.search(r"Process<td>(\d+),", httpd.get("/python/")).group(1))
        connection = httpd.connection()
        connection.request("GET", "/python/clock")
        response = connection.getresponse()
        self.assertEqual(response.getheader("Content-Type"), "text/event-stream")
        for _ in range(2):
            self.assertRegex(response.readline(), rb"^data: \d\d:\d\d:\d\d UTC\n$")
            self.assertEqual(response.readline(), b"\n")
        os.kill(pid, signal.SIGTERM)  # it does not wait for those who look on
        response.read()
        connection.close()


if __name__ == "__main__":
    support.main()
