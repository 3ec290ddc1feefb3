# SPDX-License-Identifier: Apache-2.0
"""WSGI applications behind a real httpd: PEP 3333, threads, failures, the end."""

import concurrent.futures
import hashlib
import json
import os
import signal
import socket
import subprocess
import time
import unittest

import support


def setUpModule():
    global httpd, python
    httpd = support.Httpd().__enter__()
    httpd.copy("app.py", "validated.py")
    python = httpd.make_environment()
    with open(httpd.path("my site-1.wsgi"), "w") as file:
        file.write("from app import pid as one, environ\n\n\nclass Two:\n    application = staticmethod(environ)\n")
    os.mkdir(httpd.path("scratch"))
    os.chmod(httpd.path("scratch"), 0o777)
    command = f'"{python} -m door_app %s --chdir {httpd.dir}" env=SCRATCH={httpd.dir}/scratch {support.APP_ENV}'
    httpd.configure(
        f"DoorApp app {command % 'app'}\n"
        f"DoorApp validated {command % 'validated:application'}\n"
        f"DoorApp touched {command % ('app --reload --touch ' + httpd.path('scratch/touch'))}\n"
        f"DoorApp own_threads {command % 'app'}\n"
        f"DoorApp ending {command % 'app'}\n"
        f"DoorApp computing {command % 'app'}\n"
        f'''DoorApp by_path "{python} -m door_app '{httpd.dir}/my site-1.wsgi:Two.application' --chdir {httpd.dir}" '''
        f"env=SCRATCH={httpd.dir}/scratch {support.APP_ENV}\n"
        "<Location />\nDoorHandler app\n</Location>\n"
        "<Location /computing>\nDoorHandler computing\n</Location>\n"
        "<Location /by_path>\nDoorHandler by_path\n</Location>\n"
        "<Location /touched>\nDoorHandler touched\n</Location>\n"
        "<Location /own_threads>\nDoorHandler own_threads\n</Location>\n"
        "<Location /ending>\nDoorHandler ending\n</Location>\n"
        "<Location /validated>\nDoorHandler validated\n</Location>\n"
        'LogFormat "%U user=%{door-user}n" fields\nCustomLog logs/access fields\n'
    )
    httpd.start()


def tearDownModule():
    httpd.__exit__()


def log_since(mark):
    return httpd.log()[mark:]


class TestRequests(unittest.TestCase):
    def test_environ(self):
        response = httpd.ask("/environ/?a=%20b", headers={"X-Some": "one", "Cookie": "a=b"})
        env = json.loads(response.body)
        self.assertEqual(response.status, 200)
        for name, value in {
            "REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "PATH_INFO": "/environ/",
            "QUERY_STRING": "a=%20b", "SERVER_NAME": "127.0.0.1", "SERVER_PORT": str(httpd.port),
            "SERVER_PROTOCOL": "HTTP/1.1", "HTTP_X_SOME": "one", "HTTP_COOKIE": "a=b",
            "REMOTE_ADDR": "127.0.0.1", "wsgi.version": "(1, 0)", "wsgi.url_scheme": "http",
            "wsgi.multithread": "True", "wsgi.multiprocess": "False", "wsgi.run_once": "False",
            "wsgi.input_terminated": "True",
        }.items():
            self.assertEqual(env.get(name), value, name)

    def test_script_name(self):
        env = json.loads(httpd.get("/validated/environ"))
        self.assertEqual(env["SCRIPT_NAME"], "/validated")
        self.assertEqual(env["PATH_INFO"], "/environ")

    def test_native_strings(self):
        env = json.loads(httpd.get("/environ/%C3%A4"[:8] + "/?x", headers={"X-A": "\xe4"}))
        self.assertEqual(env["HTTP_X_A"], "\xe4")

    def test_input(self):
        body = b"abcde\nfghij\nk\nl\nm\nn"
        answer = eval(httpd.get("/pieces", method="POST", body=body))
        self.assertEqual(answer, [b"abc", b"de\n", b"fg", [b"hij\n"], b"k\n", [b"l\n", b"m\n", b"n"],
                                  b"", b"", b""])

    def test_large_bodies(self):
        body = os.urandom(5000000)
        wanted = f"{len(body)} {hashlib.sha256(body).hexdigest()}"
        self.assertEqual(httpd.get("/digest", method="POST", body=body), wanted)
        chunks = (body[at:at + 70000] for at in range(0, len(body), 70000))
        self.assertEqual(httpd.get("/digest", method="POST", body=chunks, encode_chunked=True,
                                   headers={"Transfer-Encoding": "chunked"}), wanted)
        self.assertEqual(httpd.ask("/echo", method="POST", body=body[:300000]).body, body[:300000])

    def test_body_that_nobody_reads(self):
        self.assertEqual(httpd.ask("/pid", method="POST", body=b"x" * 100000).status, 200)

    def test_validator(self):
        for path in ("/environ", "/stream", "/large", "/sized", "/late", "/written"):
            open(httpd.path("scratch/go"), "w").close()
            response = httpd.ask("/validated" + path)
            self.assertEqual(response.status, 503 if path == "/late" else 200, path)
        for path in ("/echo", "/digest"):
            response = httpd.ask("/validated" + path, method="POST", body=b"body")
            self.assertEqual(response.status, 200, path)
        os.unlink(httpd.path("scratch/go"))


class TestResponses(unittest.TestCase):
    def test_length_is_known(self):
        self.assertEqual(httpd.ask("/pid").getheader("Content-Length"), str(len(httpd.get("/pid"))))
        large = httpd.ask("/large")
        self.assertEqual(large.getheader("Content-Length"), "3000000")
        self.assertEqual(len(large.body), 3000000)
        self.assertEqual(httpd.ask("/sized").body, b"1234567890")

    def test_each_block_is_sent_before_the_next(self):
        connection = httpd.connection()
        connection.request("GET", "/stream")
        response = connection.getresponse()
        self.assertEqual(response.read(6), b"first\n")
        open(httpd.path("scratch/go"), "w").close()
        self.assertEqual(response.read(), b"second\n")
        os.unlink(httpd.path("scratch/go"))
        connection.close()

    def test_write(self):
        self.assertEqual(httpd.ask("/written").body, b"by write, by return")

    def test_head(self):
        head = httpd.ask("/large", method="HEAD")
        self.assertEqual((head.status, head.body, head.getheader("Content-Length")), (200, b"", "3000000"))

    def test_replaced_by_exc_info(self):
        response = httpd.ask("/late")
        self.assertEqual((response.status, response.body), (503, b"replaced"))
        self.assertEqual((response.getheader("X-Early"), response.getheader("X-Late")), (None, "1"))

    def test_files(self):
        content = b"0123456789" * 20000
        self.assertEqual(httpd.ask("/wrapped").body, content[5:])
        self.assertEqual(httpd.ask("/wrapped?length").body, content[5:12])
        self.assertEqual(httpd.ask("/wrapped?memory").body, b"in memory")
        with httpd_connection() as connection:
            ask_on(connection, "/wrapped")
            self.assertIn(ask_on(connection, "/file_is_closed"), (b"True", b"none"))

    def test_early_hints(self):
        with socket.create_connection(("127.0.0.1", httpd.port), support.PATIENCE) as raw:
            raw.sendall(b"GET /hints HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            text = b"".join(iter(lambda: raw.recv(10000), b"")).decode()
        self.assertRegex(text, r"(?s)^HTTP/1.1 103 .*\r\nLink: </a.css>.*\r\nHTTP/1.1 200 .*hinted$")
        self.assertEqual(text.count("a.css"), 1)

    def test_request_trailers(self):
        with socket.create_connection(("127.0.0.1", httpd.port), support.PATIENCE) as raw:
            raw.sendall(b"POST /trailers HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                        b"Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
                        b"3\r\nabc\r\n0\r\nX-Sum: 6\r\n\r\n")
            text = b"".join(iter(lambda: raw.recv(10000), b"")).decode()
        self.assertRegex(text, r"(?s)^HTTP/1.1 200 .*\n6$")


def httpd_connection():
    import contextlib
    return contextlib.closing(httpd.connection())


def ask_on(connection, path):
    connection.request("GET", path)
    return connection.getresponse().read()


class TestFailures(unittest.TestCase):
    def failure(self, path, line, status=500):
        mark = len(httpd.log())
        response = httpd.ask(path)
        self.assertEqual(response.status, status, path)
        self.assertTrue(support.wait_for(lambda: line in log_since(mark)), log_since(mark))
        return response, log_since(mark)

    def test_exception(self):
        response, log = self.failure("/fails", "KeyError: 'the reason'")
        self.assertEqual(response.body, b"Internal Server Error\n")
        self.assertIsNone(response.getheader("X-Secret"))
        self.assertIn('raise KeyError("the reason")', log)
        self.assertRegex(log, r"\[door:error\].* [\w@-]{20,}: KeyError")

    def test_wrong_types(self):
        for how, line in {
            "header": "ValueError: no header that can be sent",
            "name": "ValueError: no header that can be sent",
            "hop": "ValueError: the header Connection is the server's to set",
            "type": "TypeError: headers are pairs of str",
            "tuple": "TypeError: start_response() takes a list of headers",
            "status": "ValueError: start_response() takes a status such as",
            "none": "TypeError: 'NoneType' object is not iterable",
            "unstarted": "before it has called start_response()",
            "empty": "before it has called start_response()",
            "str": "TypeError: a response's body is made of bytes, not <class 'str'>",
            "long": "TypeError: a response's body is made of bytes",
            "int": "TypeError: a response's body is made of bytes",
            "bytes": "TypeError: an application returns an iterable of bytes",
        }.items():
            with self.subTest(how):
                response, _ = self.failure("/wrong?" + how, line)
                self.assertIsNone(response.getheader("X-Evil"))

    def test_start_response_twice(self):
        self.failure("/twice", "start_response() was called again")

    def test_too_late(self):
        response, _ = self.failure("/too_late", "ValueError: found too late", 200)
        self.assertIsNone(response.body)

    def test_iterator_that_raises(self):
        response, _ = self.failure("/breaks", "RuntimeError: in the middle", 200)
        self.assertIsNone(response.body)
        self.assertIn("breaks", json.loads(httpd.get("/what_was_closed")))

    def test_fault(self):
        before = httpd.get("/ending/pid")
        mark = len(httpd.log())
        self.assertEqual(httpd.ask("/ending/fault").status, 502)
        self.assertTrue(support.wait_for(lambda: "Fatal Python error: Segmentation fault" in log_since(mark)))
        self.assertIn("app.py", log_since(mark))
        self.assertTrue(support.wait_for(lambda: httpd.ask("/ending/pid").status == 200))
        self.assertNotEqual(httpd.get("/ending/pid"), before)


class TestThreads(unittest.TestCase):
    def test_what_a_thread_has_stays(self):
        seen = {}
        for _ in range(20):
            number, ident, count = json.loads(httpd.get("/thread"))
            self.assertEqual(count, seen.get(number, 0) + 1)
            seen[number] = count
        self.assertLess(len(seen), 20)

    def burst(self, path, seconds, callers=64):
        deadline = time.monotonic() + seconds

        def ask():
            count = 0
            with httpd_connection() as connection:
                while time.monotonic() < deadline:
                    ask_on(connection, path)
                    count += 1
            return count

        with concurrent.futures.ThreadPoolExecutor(callers) as pool:
            counts = [pool.submit(ask) for _ in range(callers)]
            return sum(count.result() for count in counts)

    def test_the_interpreter_lock_does_not_grow_the_pool(self):
        """Also where no call ends for seconds, as they have the lock in turn."""
        for path, seconds in (("/computing/compute?2", 3), ("/computing/compute?30", 3), ("/computing/compute?300", 10)):
            self.assertGreater(self.burst(path, seconds), 0)
            self.assertLessEqual(int(httpd.get("/computing/threads")), 16, path)

    def test_threads_that_end(self):
        pid = httpd.get("/own_threads/pid")
        with concurrent.futures.ThreadPoolExecutor(30) as pool:
            names = set(pool.map(lambda _: httpd.get("/own_threads/own"), range(30)))
        self.assertGreater(len(names), 4)

        def have_ended():
            ended, objects = json.loads(httpd.get("/own_threads/what_ended"))
            return len(set(ended) & names) >= len(names) - 3 and objects <= 5

        self.assertTrue(support.wait_for(have_ended))
        self.assertEqual(httpd.get("/own_threads/pid"), pid)

    def test_as_many_as_wait(self):
        self.burst("/sleep?1000", 4)
        self.assertGreaterEqual(int(httpd.get("/threads")), 60)


class TestClients(unittest.TestCase):
    def seen(self, name):
        return support.wait_for(lambda: name in json.loads(httpd.get("/what_was_closed")))

    def leave(self, path):
        with socket.create_connection(("127.0.0.1", httpd.port), support.PATIENCE) as raw:
            raw.sendall(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n")
            time.sleep(0.2)

    def test_one_that_goes_while_it_computes(self):
        self.leave(b"/gone")
        self.assertTrue(self.seen("gone"))

    def test_one_that_goes_while_it_reads(self):
        self.leave(b"/endless")
        self.assertTrue(self.seen("endless"))


class TestPackage(unittest.TestCase):
    def test_a_file_by_its_path(self):
        self.assertEqual(json.loads(httpd.get("/by_path/x"))["PATH_INFO"], "/x")

    def test_its_stubs(self):
        """What the stubs say is there, and what is there they say."""
        program = ("import ast, door_app, os\n"
                   "tree = ast.parse(open(os.path.join(os.path.dirname(door_app.__file__), '__init__.pyi')).read())\n"
                   "def names(body): return {n.target.id if isinstance(n, ast.AnnAssign) else n.name for n in body\n"
                   "    if isinstance(n, (ast.AnnAssign, ast.FunctionDef, ast.ClassDef))}\n"
                   "assert names(tree.body) == set(door_app.__all__), names(tree.body) ^ set(door_app.__all__)\n"
                   "stub = next(n for n in tree.body if getattr(n, 'name', '') == 'Request')\n"
                   "there = {n for n in vars(door_app.Request) if not n.startswith('_')}\n"
                   "assert names(stub.body) == there, names(stub.body) ^ there\n")
        more = dict(option[len("env="):].split("=", 1) for option in support.APP_ENV.split())
        subprocess.run([python, "-c", program], check=True, cwd=httpd.dir, env={**os.environ, **more})


class TestProcess(unittest.TestCase):
    def test_log(self):
        mark = len(httpd.log())
        ident = httpd.get("/logs")
        lines = ("to wsgi.errors", "no line end", "a warning", "an error", "information")
        self.assertTrue(support.wait_for(lambda: all(line in log_since(mark) for line in lines)), log_since(mark))
        log = log_since(mark)
        for line, level in zip(lines, ("error", "error", "warn", "error", "info")):
            self.assertRegex(log, rf"\[door:{level}\].*{ident}: {line}\n")
        self.assertTrue(support.wait_for(lambda: "/logs user=ada" in open(httpd.path("logs/access")).read()))

    def test_children(self):
        text = httpd.get("/child")
        self.assertRegex(text, r"SigBlk:\s+0{16}\n")
        self.assertTrue(text.endswith("-15"), text)

    def test_forks(self):
        self.assertEqual(httpd.get("/forks"), "the parent's 1")
        self.assertEqual(httpd.get("/forks?exit"), "the parent's 7")

    def test_requests_that_were_kept(self):
        with httpd_connection() as connection:
            for _ in range(200):
                said = json.loads(ask_on(connection, "/kept"))
                if len(said) > 1:
                    break
        self.assertEqual(said, ["the request belongs to another thread"] + ["the request is over"] * 4)

    def test_a_stream_that_is_told_to_end(self):
        connection = httpd.connection()
        connection.request("GET", "/ending/events")
        response = connection.getresponse()
        pid = int(response.read(7).split(b".")[0])
        os.kill(pid, signal.SIGTERM)
        self.assertTrue(response.read().endswith(b"stopping"))
        connection.close()

    def test_replaced_when_a_file_changes(self):
        for name in ("scratch/touch", "app.py", "scratch/touch"):
            pid = httpd.get("/touched/pid")
            statuses = set()
            with open(httpd.path(name), "a") as file:
                file.write("\n")

            def is_replaced():
                response = httpd.ask("/touched/pid")
                statuses.add(response.status)
                return response.body.decode() != pid

            self.assertTrue(support.wait_for(is_replaced), name)
            self.assertEqual(statuses, {200})

    def test_sigterm_drains_and_runs_atexit(self):
        pid = int(httpd.get("/pid"))
        ended = httpd.path("scratch/ended")
        if os.path.exists(ended):
            os.unlink(ended)
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            answer = pool.submit(httpd.get, "/sleep?1500")
            time.sleep(0.5)
            os.kill(pid, signal.SIGTERM)
            self.assertEqual(answer.result(), "slept")
        self.assertTrue(support.wait_for(lambda: os.path.exists(ended)))
        self.assertNotEqual(int(httpd.get("/pid")), pid)


if __name__ == "__main__":
    support.main()
