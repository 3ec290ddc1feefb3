# SPDX-License-Identifier: Apache-2.0
"""An application that does what none should; test_hostile.py asks it."""

import copy
import gzip
import io
import json
import os
import sys
import threading
import time

TEXT = [("Content-Type", "text/plain; charset=utf-8")]
SCRATCH = os.environ["SCRATCH"]


class Closes:
    """Blocks, and a close() that fails."""

    def __init__(self, *blocks):
        self.blocks = iter(blocks)

    def __iter__(self):
        return self.blocks

    def close(self):
        raise RuntimeError("close() on purpose")


def close_fails(env, start):
    start("200 OK", TEXT + ([("Content-Length", "4")] if env["QUERY_STRING"] == "length" else []))
    return Closes(b"wh", b"ol")


def not_an_iterator(env, start):
    class Wrong:
        def __iter__(self):
            return 1

    start("200 OK", TEXT)
    return Wrong()


def exits(env, start):
    if env["QUERY_STRING"] == "interrupt":
        raise KeyboardInterrupt
    if env["QUERY_STRING"] == "generator":
        raise GeneratorExit
    sys.exit(3)


def exits_late(env, start):
    start("200 OK", TEXT)
    yield b"a part"
    sys.exit(3)


def recursion(env, start):
    class Deep:
        def __getattr__(self, name):
            return getattr(self, name + "x")

        def __repr__(self):
            return repr([self])

    if env["QUERY_STRING"] == "attribute":
        Deep().a
    if env["QUERY_STRING"] == "repr":
        repr(Deep())
    if env["QUERY_STRING"] == "json":
        json.loads("[" * 100000)
    if env["QUERY_STRING"] == "compile":
        compile("(" * 150 + ")" * 150 + "+1" * 100000, "deep", "eval")
    recursion(env, start)


def memory(env, start):
    start("200 OK", TEXT)
    return [b"x" * (1 << 62)]


def exception_without_text(env, start):
    class Untellable(Exception):
        def __str__(self):
            raise ValueError("nothing to say")

    raise Untellable


def wrong_exc_info(env, start):
    write = start("200 OK", TEXT)
    write(b"begun ")
    said = []
    for wrong in ((1, 2, 3), (ValueError, 2, None), (None, None, None), (1, 2), (), "abc", [1, 2, 3]):
        try:
            start("500 Oops", TEXT, wrong)
        except TypeError as error:
            said.append(type(error).__name__)
        except:  # noqa: E722  whatever it is
            said.append("other")
    try:
        start("500 Oops", TEXT, (KeyError, ValueError("its own type"), 5))
    except ValueError as error:
        said.append(str(error))
    return [json.dumps(said).encode()]


def made(env, start):
    """Objects of the server's, made by the application."""
    said = []
    for name in ("wsgi.input", "wsgi.errors", "door_app.request"):
        for make in (type(env[name]), lambda: object.__new__(type(env[name])), lambda: copy.deepcopy(env[name]),
                     lambda: copy.copy(env[name]), lambda: type(env[name]).__new__(type(env[name]))):
            try:
                made = make()
                for use in ("read", "flush", "client_gone"):
                    getattr(made, use, lambda: None)()
                said.append("made")
            except (TypeError, RuntimeError) as error:
                said.append(type(error).__name__)
    start("200 OK", TEXT)
    return [json.dumps(said).encode()]


def header(env, start):
    kind = env["QUERY_STRING"]
    headers = {
        "surrogate": [("X-A", "\udc80")], "nul": [("X-A", "a\0b")], "colon": [("X-A:", "b")], "empty": [("", "b")],
        "cr": [("X-A", "a\rb")], "length": [("Content-Length", "-1")], "letters": [("Content-Length", "1x")],
        "lengths": [("Content-Length", "5"), ("Content-Length", "7")], "pair": [("X-A",)], "one": ["X-A: b"],
        "number": [("X-A", 1)], "huge": [("X-A", "x" * 5000000)], "many": [(f"X-{i}", "x") for i in range(5000)],
        "latin": [("X-A", "\xe4")], "short": [("Content-Length", "10")], "long": [("Content-Length", "2")],
    }[kind]
    start("200 OK", TEXT + headers)
    return [b"a body"[:5]]


def status(env, start):
    start({"int": 200, "low": "100 Continue", "high": "600 X", "line": "200 OK\r\nX-Evil: 1", "bytes": b"200 OK",
           "empty": "", "long": "2000 OK", "bare": "204", "sign": "+20 OK", "surrogate": "200 \udc80"}[env["QUERY_STRING"]], TEXT)
    return [b""]


def no_body(env, start):
    """A body where there is none."""
    start(env["QUERY_STRING"] + " X", TEXT)
    return [b"x" * 100000]


def forks(env, start):
    """Children that go on as if they were the server."""
    kind = env["QUERY_STRING"]
    body = env["wsgi.input"].read(2)
    write = None if kind == "start" else start("200 OK", TEXT)
    pid = os.fork()
    if pid == 0:
        if kind == "start":
            start("500 Child", TEXT)
        elif kind == "write":
            write(b"the child's")
        elif kind == "read":
            env["wsgi.input"].read()
        elif kind == "raise":
            raise ValueError("in the child")
        yield b"the child's "
        os._exit(9)
    _, code = os.waitpid(pid, 0)
    if kind == "start":
        start("200 OK", TEXT)
    yield b"parent " + str(os.waitstatus_to_exitcode(code)).encode() + b" " + body + env["wsgi.input"].read()


def forks_and_closes(env, start):
    """The child's iterator is not closed: what close() does is the parent's."""

    class Blocks:
        def __iter__(self):
            if os.fork() != 0:
                os.wait()
            yield b"x"

        def close(self):
            with open(os.path.join(SCRATCH, "closes"), "a") as file:
                file.write(f"{os.getpid()}\n")

    start("200 OK", TEXT)
    return Blocks()


def wrapped(env, start):
    kind = env["QUERY_STRING"]
    path = os.path.join(SCRATCH, "packed")
    with gzip.open(path, "wb") as file:
        file.write(b"unpacked " * 1000)
    wrap = env["wsgi.file_wrapper"]
    start("200 OK", TEXT)
    if kind == "gzip":
        return wrap(gzip.open(path, "rb"))
    if kind == "reader":
        return wrap(io.BufferedReader(gzip.open(path, "rb")))
    if kind == "text":
        return wrap(open(__file__))
    if kind == "closed":
        file = open(path, "rb")
        file.close()
        return wrap(file)
    if kind == "raw":
        return wrap(open(path, "rb", buffering=0))

    class Odd:
        def read(self, size):
            class Block(bytes):
                def __bool__(self):
                    raise ValueError("neither")
            return Block(b"x") if kind == "bool" else kind

        def fileno(self):
            return {"fd": -5, "large": 1 << 40}.get(kind, "no number")

    return wrap(Odd())


def log(env, start):
    env["wsgi.errors"].write("one \ud800 two\n")
    env["wsgi.errors"].write("three\0four\n")
    env["wsgi.errors"].write("x" * 100000 + "\n")
    env["door_app.request"].log(1000, "of no level")
    env["door_app.request"].log(-1, "below all levels")
    start("200 OK", TEXT)
    return [b"logged"]


def extras(env, start):
    request = env["door_app.request"]
    said = []
    for use in (lambda: request.early_hints("</a.css>; rel=preload"), lambda: request.early_hints([1]),
                lambda: request.early_hints(None), lambda: request.early_hints(["a\r\nb: c"]),
                lambda: request.add_trailer("a b", "c"), lambda: request.add_trailer("a", "\udc80"),
                lambda: request.log_field("a", "x" * 100000), lambda: request.log_field("a\0b", "c"),
                lambda: env["wsgi.input"].read("x"), lambda: env["wsgi.input"].read(1 << 80),
                lambda: env["wsgi.errors"].write(b"x")):
        try:
            use()
            said.append("done")
        except Exception as error:
            said.append(type(error).__name__)
    start("200 OK", TEXT)
    return [json.dumps(said).encode()]


def trailer_first(env, start):
    env["door_app.request"].log_field("early", "kept")
    env["door_app.request"].add_trailer("X-Early", "kept")
    start("200 OK", TEXT)
    return [b"a", b"b"]


def clears(env, start):
    """What the environ holds is the application's to take away."""
    stream = env["wsgi.input"]
    env.clear()
    body = stream.read()
    start("200 OK", TEXT)
    return [body]


def body(env, start):
    got = env["wsgi.input"].read()
    start("200 OK", TEXT)
    return [got]


def stream(env, start):
    start("200 OK", TEXT)
    for _ in range(200):
        yield b"x" * 5000


def variables(env, start):
    start("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({key: value for key, value in env.items() if isinstance(value, str)}).encode()]


def busy(env, start):
    """Threads that still run when the process is told to end."""

    def spin():
        while True:
            sum(range(1000))

    for _ in range(3):
        threading.Thread(target=spin, daemon=True).start()
    start("200 OK", TEXT)
    return [str(os.getpid()).encode()]


def slow(env, start):
    start("200 OK", TEXT)
    time.sleep(float(env["QUERY_STRING"]))
    return [b"slept"]


def pid(env, start):
    start("200 OK", TEXT)
    return [str(os.getpid()).encode()]


def application(env, start):
    name = env["PATH_INFO"].strip("/")
    handler = globals().get(name)
    if name == "application" or not callable(handler) or getattr(handler, "__module__", None) != __name__:
        return variables(env, start)
    return handler(env, start)
