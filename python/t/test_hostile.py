# SPDX-License-Identifier: Apache-2.0
"""Applications that do what none should, and clients that do: nothing crashes, hangs or leaks,
and the log says what it was."""

import json
import os
import signal
import socket
import time
import unittest

import support


def setUpModule():
    global httpd
    httpd = support.Httpd().__enter__()
    httpd.copy("hostile.py")
    python = httpd.make_environment()
    os.mkdir(httpd.path("scratch"))
    os.chmod(httpd.path("scratch"), 0o777)
    command = f'"{python} -m door_app hostile --chdir {httpd.dir}" env=SCRATCH={httpd.dir}/scratch {support.APP_ENV}'
    httpd.configure(
        f"DoorApp app {command}\nDoorApp ending {command} stop-timeout=20\n"
        "<Location />\nDoorHandler app\n</Location>\n<Location /ending>\nDoorHandler ending\n</Location>\n"
        "<Location /limited>\nDoorHandler app\nLimitRequestBody 1000\n</Location>\n"
        'LogFormat "%U early=%{door-early}n" fields\nCustomLog logs/access fields\n',
    )
    httpd.start()


def tearDownModule():
    httpd.__exit__()


def raw(text, shut=False, parts=()):
    """All that comes back for these bytes, on a connection of their own."""
    with socket.create_connection(("127.0.0.1", httpd.port), support.PATIENCE) as client:
        client.sendall(text)
        for part in parts:
            time.sleep(0.1)
            client.sendall(part)
        if shut:
            client.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: client.recv(100000), b""))


class Hostile(unittest.TestCase):
    """The process that was there before is there afterwards."""

    def setUp(self):
        self.pid = httpd.get("/pid")
        self.mark = len(httpd.log())

    def tearDown(self):
        self.assertEqual(httpd.get("/pid"), self.pid, "the process has died")

    def logged(self, line):
        found = support.wait_for(lambda: line in httpd.log()[self.mark:])
        self.assertTrue(found, f"{line} is not in {httpd.log()[self.mark:][:3000]}")

    def failure(self, path, line, status=500):
        with self.subTest(path):
            self.mark = len(httpd.log())
            response = httpd.ask(path)
            self.assertEqual(response.status, status)
            self.logged(line)
            return response


class TestApplications(Hostile):
    def test_exceptions_of_every_kind(self):
        for path, line in (
            ("/exits", "SystemExit: 3"), ("/exits?interrupt", "KeyboardInterrupt"),
            ("/exits?generator", "GeneratorExit"), ("/recursion", "RecursionError"),
            ("/recursion?attribute", "RecursionError"), ("/recursion?repr", "RecursionError"),
            ("/recursion?json", "RecursionError"), ("/recursion?compile", "Error"), ("/memory", "Error"),
            ("/exception_without_text", "Untellable"), ("/not_an_iterator", "TypeError: iter() returned"),
        ):
            self.failure(path, line)

    def test_an_exit_in_the_middle(self):
        self.assertIsNone(self.failure("/exits_late", "SystemExit: 3", 200).body)

    def test_close_that_fails(self):
        response = self.failure("/close_fails", "RuntimeError: close() on purpose", 200)
        self.assertEqual(response.body, b"whol")
        response = self.failure("/close_fails?length", "close() failed", 200)
        self.assertEqual(response.body, b"whol")

    def test_exc_info_that_is_none(self):
        said = httpd.get("/wrong_exc_info")
        self.assertEqual(json.loads(said[len("begun "):]), ["TypeError"] * 7 + ["its own type"])

    def test_objects_that_it_makes(self):
        self.assertEqual(json.loads(httpd.get("/made")), ["TypeError"] * 15)

    def test_headers(self):
        for kind in ("surrogate", "nul", "colon", "empty", "cr", "length", "letters", "pair", "one", "number"):
            self.failure("/header?" + kind, "Error: ")
        for kind in ("huge", "many"):
            self.failure("/header?" + kind, "door:error", 502)
        self.assertEqual(httpd.ask("/header?latin").getheader("X-A"), "\xe4")
        self.assertIsNone(httpd.ask("/header?short").body, "less than it says")
        self.assertEqual(httpd.ask("/header?long").body, b"a ", "more than it says")
        self.assertIn(httpd.ask("/header?lengths").status, (200, 500, 502))

    def test_statuses(self):
        for kind in ("int", "low", "high", "bytes", "empty", "long", "sign", "surrogate"):
            self.failure("/status?" + kind, "Error: ")
        response = httpd.ask("/status?line")
        self.assertEqual((response.status, response.getheader("X-Evil")), (200, None))
        self.assertEqual(httpd.ask("/status?bare").status, 204)

    def test_bodies_where_there_are_none(self):
        for status in (204, 304):
            text = raw(b"GET /no_body?%d HTTP/1.1\r\nHost: x\r\n\r\nGET /pid HTTP/1.1\r\nHost: x\r\n"
                       b"Connection: close\r\n\r\n" % status)
            self.assertTrue(text.startswith(b"HTTP/1.1 %d " % status), text[:100])
            self.assertNotIn(b"xxx", text)
            self.assertTrue(text.endswith(self.pid.encode()), text[-100:])

    def test_children_that_go_on(self):
        for kind, code in {"": 1, "write": 1, "start": 1, "read": 1, "raise": 1}.items():
            with self.subTest(kind):
                answer = httpd.get("/forks?" + kind, method="POST", body=b"a body")
                self.assertEqual(answer, f"parent {code} a body")
        self.logged("ValueError: in the child")
        self.assertEqual(httpd.get("/forks_and_closes"), "x")
        with open(httpd.path("scratch/closes")) as file:
            self.assertEqual(file.read().split(), [self.pid])

    def test_files_that_are_none(self):
        unpacked = b"unpacked " * 1000
        self.assertEqual(httpd.ask("/wrapped?gzip").body, unpacked)
        self.assertEqual(httpd.ask("/wrapped?reader").body, unpacked)
        self.assertEqual(httpd.ask("/wrapped?raw").body[:2], b"\x1f\x8b")
        self.failure("/wrapped?closed", "ValueError")
        for kind in ("text", "fd", "large", "other"):
            self.failure("/wrapped?" + kind, "TypeError: a response's body is made of bytes")
        self.failure("/wrapped?bool", "ValueError: neither")

    def test_logs(self):
        self.assertEqual(httpd.get("/log"), "logged")
        for line in ("one \\\\ud800 two", "three", "four", "xxxxxxxxxx", "of no level"):
            self.logged(line)

    def test_what_is_beyond_wsgi(self):
        self.assertEqual(json.loads(httpd.get("/extras")), [
            "TypeError", "TypeError", "TypeError", "OSError", "ValueError", "UnicodeEncodeError", "ValueError",
            "ValueError", "TypeError", "OverflowError", "TypeError"])

    def test_what_is_set_before_the_response(self):
        self.assertEqual(httpd.get("/trailer_first"), "ab")
        self.assertTrue(support.wait_for(lambda: "/trailer_first early=kept" in open(httpd.path("logs/access")).read()))

    def test_an_environ_that_is_cleared(self):
        self.assertEqual(httpd.get("/clears", method="POST", body=b"still"), "still")

    def test_threads_that_run_at_the_end(self):
        pid = httpd.get("/ending/busy")
        os.kill(int(pid), signal.SIGTERM)
        began = time.monotonic()
        self.assertTrue(support.wait_for(lambda: not os.path.exists(f"/proc/{pid}")))
        self.assertLess(time.monotonic() - began, 15, "it had to be killed")
        self.assertNotEqual(httpd.get("/ending/pid"), pid)


class TestClients(Hostile):
    def variables(self, path, fields=b"", method=b"GET"):
        text = raw(method + b" " + path + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + fields + b"\r\n")
        head, _, body = text.partition(b"\r\n\r\n")
        self.assertTrue(head.startswith(b"HTTP/1.1 200 "), head)
        return json.loads(body)

    def test_paths(self):
        for path, info in ((b"/%E4", "/\xe4"), (b"/%C3%A4", "/\xc3\xa4"), (b"/a%0Ab", "/a\nb"), (b"//a//b", "/a/b"),
                           (b"/a/../b", "/b"), (b"/a%20b;c=d", "/a b;c=d")):
            env = self.variables(path)
            self.assertEqual(env["SCRIPT_NAME"] + env["PATH_INFO"], info)
        self.assertEqual(self.variables(b"/?%E4&a=%00")["QUERY_STRING"], "%E4&a=%00")
        for path in (b"/%00", b"/a b", b"/%zz", b"*"):
            self.assertRegex(raw(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), rb"^HTTP/1.1 4\d\d ")

    def test_headers(self):
        env = self.variables(b"/", b"X-A: b\r\nX-A: c\r\nProxy: evil\r\nX_Under: score\r\nContent-Type: a/b\r\n")
        self.assertEqual((env["HTTP_X_A"], env["CONTENT_TYPE"]), ("b, c", "a/b"))
        for name in ("HTTP_PROXY", "HTTP_X_UNDER", "HTTP_CONTENT_TYPE"):
            self.assertNotIn(name, env)
        self.assertEqual(self.variables(b"/", b"X-Long: " + b"x" * 8000 + b"\r\n")["HTTP_X_LONG"], "x" * 8000)
        for fields in (b"X-A : b\r\n", b"X-\xe4: b\r\n", b"X-A: b\r\n c\x01\r\n", b"X-A: b\0c\r\n", b": b\r\n", b"X-Long: " + b"x" * 9000 + b"\r\n"):
            text = raw(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + fields + b"\r\n")
            self.assertRegex(text, rb"^HTTP/1.1 4\d\d ", fields[:20])

    def test_names_that_nobody_knows(self):
        """Each request brings names that were never seen."""
        for i in range(30):
            fields = b"".join(b"X-%d-%d: %d\r\n" % (i, j, j) for j in range(80))
            env = self.variables(b"/", fields)
            self.assertEqual([env[f"HTTP_X_{i}_{j}"] for j in range(80)], [str(j) for j in range(80)])
            self.assertEqual(env["REQUEST_METHOD"], "GET")

    def test_methods(self):
        self.assertRegex(raw(b"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), rb"^HTTP/1.1 200 ")
        self.assertEqual(self.variables(b"/", method=b"OPTIONS")["REQUEST_METHOD"], "OPTIONS")
        self.assertEqual(self.variables(b"/", method=b"NONSENSE")["REQUEST_METHOD"], "NONSENSE")
        head = raw(b"HEAD /stream HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        self.assertTrue(head.startswith(b"HTTP/1.1 200 ") and head.endswith(b"\r\n\r\n"), head)

    def test_bodies(self):
        close = b"Host: x\r\nConnection: close\r\n"
        text = raw(b"POST /body HTTP/1.1\r\n" + close + b"Content-Length: 9\r\n\r\nsl", parts=(b"ow", b" bo", b"dy"))
        self.assertTrue(text.endswith(b"slow body"), text)
        text = raw(b"POST /body HTTP/1.1\r\n" + close + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n", parts=(b"ab",))
        self.assertRegex(text, rb"(?s)^HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 .*\r\n\r\nab$")
        text = raw(b"POST /pid HTTP/1.1\r\n" + close + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        self.assertRegex(text, rb"^HTTP/1.1 200 ")
        text = raw(b"POST /body HTTP/1.1\r\n" + close + b"Transfer-Encoding: chunked\r\n\r\n2;a=b\r\nab\r\n0\r\n\r\n")
        self.assertTrue(text.endswith(b"\r\n\r\nab"), text)

    def test_bodies_that_are_wrong(self):
        for body in (b"zz\r\n", b"-1\r\n", b"ffffffffffffffffffff\r\n", b"2\r\nabc\r\n", b"2\r\nab"):
            with self.subTest(body):
                text = raw(b"POST /body HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
                           + body, shut=True)
                self.assertRegex(text, rb"^HTTP/1.1 4\d\d ")
        text = raw(b"POST /limited/body HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
                   b"800\r\n" + b"x" * 2048 + b"\r\n0\r\n\r\n")
        self.assertRegex(text, rb"^HTTP/1.1 413 ")
        self.assertNotIn("Traceback", httpd.log()[self.mark:])
        for fields in (b"Content-Length: -1", b"Content-Length: 1\r\nContent-Length: 2", b"Content-Length: x",
                       b"Transfer-Encoding: nonsense"):
            text = raw(b"POST /body HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + fields + b"\r\n\r\nab", shut=True)
            self.assertRegex(text, rb"^HTTP/1.1 (4\d\d|501) ", fields)

    def test_clients_that_leave_anywhere(self):
        """No traceback, but a line that says so."""
        request = b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n" + b"x" * 50000
        for size in (0, 1, 10, 40, len(request) - 50000, len(request) - 49999, len(request)):
            for _ in range(10):
                with socket.create_connection(("127.0.0.1", httpd.port), support.PATIENCE) as client:
                    client.sendall(request[:size])
        for _ in range(10):
            with socket.create_connection(("127.0.0.1", httpd.port), support.PATIENCE) as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                client.sendall(b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n")
                client.recv(1000)
        self.logged("the client is gone")
        self.assertNotIn("Traceback", httpd.log()[self.mark:])


if __name__ == "__main__":
    support.main()
