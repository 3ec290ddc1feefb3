# SPDX-License-Identifier: Apache-2.0
"""The application that the tests ask: each path is a thing that an application does."""

import atexit
import ctypes
import gc
import hashlib
import io
import json
import logging
import os
import subprocess
import sys
import threading
import time

import door_app

local = threading.local()
lock = threading.Lock()
closed = set()
ended = []
TEXT = [("Content-Type", "text/plain; charset=utf-8")]
DIRECTORY = os.path.dirname(os.path.abspath(__file__))


@atexit.register
def at_exit():
    with open(os.path.join(os.environ.get("SCRATCH", "/tmp"), "ended"), "w") as file:
        file.write("atexit\n")


class Blocks:
    """An iterable that remembers that it was closed."""

    def __init__(self, name, blocks, error=None):
        self.name = name
        self.blocks = iter(blocks)
        self.error = error

    def __iter__(self):
        return self

    def __next__(self):
        for block in self.blocks:
            return block
        if self.error is not None:
            raise self.error
        raise StopIteration

    def close(self):
        closed.add(self.name)


def environ(env, start):
    start("200 OK", TEXT)
    return [json.dumps({key: str(value) for key, value in env.items()}).encode()]


def echo(env, start):
    start("200 OK", [("Content-Type", "application/octet-stream")])
    return [env["wsgi.input"].read(-1)]


def pieces(env, start):
    """How the input comes by each of its methods."""
    stream = env["wsgi.input"]
    answer = [stream.read(3), stream.readline(), stream.readline(2), stream.readlines(1),
              next(stream), list(stream), stream.read(), stream.readline(), stream.read(0)]
    start("200 OK", TEXT)
    return [repr(answer).encode()]


def digest(env, start):
    sha, count, largest = hashlib.sha256(), 0, 0
    while True:
        block = env["wsgi.input"].read(100000)
        if not block:
            break
        sha.update(block)
        count += len(block)
    start("200 OK", TEXT)
    return [f"{count} {sha.hexdigest()}".encode()]


def stream(env, start):
    """A block, and the next when the file is there."""
    start("200 OK", TEXT)
    yield b"first\n"
    deadline = time.monotonic() + 60
    while not os.path.exists(os.path.join(os.environ["SCRATCH"], "go")) and time.monotonic() < deadline:
        time.sleep(0.02)
    yield b"second\n"


def written(env, start):
    write = start("200 OK", TEXT)
    write(b"by write, ")
    return [b"by return"]


def large(env, start):
    start("200 OK", TEXT)
    return [b"x" * 100000] * 30


def sized(env, start):
    start("200 OK", TEXT + [("Content-Length", "10")])
    return Blocks("sized", [b"12345", b"67890"])


def late(env, start):
    start("200 OK", TEXT + [("X-Early", "1")])
    try:
        raise ValueError("found late")
    except ValueError:
        start("503 Busy", TEXT + [("X-Late", "1")], sys.exc_info())
    return [b"replaced"]


def too_late(env, start):
    write = start("200 OK", TEXT)
    write(b"begun")
    try:
        raise ValueError("found too late")
    except ValueError:
        start("503 Busy", TEXT, sys.exc_info())
    return []


def twice(env, start):
    start("200 OK", TEXT)
    start("200 OK", TEXT)
    return []


def fails(env, start):
    start("200 OK", TEXT + [("X-Secret", "1")])
    raise KeyError("the reason")


def breaks(env, start):
    start("200 OK", TEXT)
    return Blocks("breaks", [b"a part\n"], RuntimeError("in the middle"))


def wrong(env, start):
    how = env["QUERY_STRING"]
    if how == "header":
        start("200 OK", [("X-A", "b\r\nX-Evil: 1")])
    elif how == "name":
        start("200 OK", [("X A", "b")])
    elif how == "hop":
        start("200 OK", [("Connection", "close")])
    elif how == "type":
        start("200 OK", [(b"X-A", "b")])
    elif how == "tuple":
        start("200 OK", (("X-A", "b"),))
    elif how == "status":
        start("OK", TEXT)
    elif how == "none":
        return None
    elif how == "unstarted":
        return [b"x"]
    elif how == "empty":
        return []
    else:
        start("200 OK", TEXT)
        return {"str": ["text"], "bytes": b"text", "long": ["\u20ac"], "int": [1]}[how]
    return [b"x"]


def wrapped(env, start):
    kind = env["QUERY_STRING"]
    with open(os.path.join(os.environ["SCRATCH"], "file"), "wb") as file:
        file.write(b"0123456789" * 20000)
    headers = list(TEXT)
    if kind == "memory":
        opened = io.BytesIO(b"in memory")
    else:
        opened = open(file.name, "rb")
        opened.read(5)
    if kind == "length":
        headers.append(("Content-Length", "7"))
    start("200 OK", headers)
    wrapper = env["wsgi.file_wrapper"](opened, 1000)
    local.file = opened
    return wrapper


def file_is_closed(env, start):
    start("200 OK", TEXT)
    return [str(local.file.closed).encode() if hasattr(local, "file") else b"none"]


def thread(env, start):
    with lock:
        local.count = getattr(local, "count", 0) + 1
    start("200 OK", TEXT)
    return [json.dumps([env["door_app.request"].thread_number, threading.get_ident(), local.count]).encode()]


class Ending:
    """What a thread has; tells when it ends, by Python code that runs then."""

    def __init__(self):
        self.name = threading.current_thread().name

    def __del__(self):
        with lock:
            ended.append(self.name)


def own(env, start):
    local.own = Ending()
    time.sleep(0.3)
    start("200 OK", TEXT)
    return [local.own.name.encode()]


def what_ended(env, start):
    start("200 OK", TEXT)
    return [json.dumps([sorted(ended), len(threading._active)]).encode()]


def threads(env, start):
    start("200 OK", TEXT)
    return [str(len(os.listdir("/proc/self/task"))).encode()]


def compute(env, start):
    """With the interpreter's lock, for so many milliseconds of the processor."""
    end = time.thread_time() + int(env["QUERY_STRING"]) / 1000
    while time.thread_time() < end:
        pass
    start("200 OK", TEXT)
    return [b"computed"]


def sleep(env, start):
    time.sleep(int(env["QUERY_STRING"]) / 1000)
    start("200 OK", TEXT)
    return [b"slept"]


def logs(env, start):
    print("to", "wsgi.errors", file=env["wsgi.errors"])
    env["wsgi.errors"].write("no line end")
    logging.getLogger("app").warning("a warning")
    logging.getLogger("app").error("an error")
    env["door_app.request"].log(6, "information")
    env["door_app.request"].log_field("user", "ada")
    start("200 OK", TEXT)
    return [env["UNIQUE_ID"].encode()]


def fault(env, start):
    ctypes.string_at(0)


def child(env, start):
    """A program that is started finds no signal blocked, and can be ended."""
    text = subprocess.check_output(["grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"])
    sleeper = subprocess.Popen(["sleep", "60"])
    sleeper.terminate()
    start("200 OK", TEXT)
    return [text, str(sleeper.wait(30)).encode()]


def forks(env, start):
    """A child that comes back out of the handler does not answer."""
    pid = os.fork()
    if pid == 0:
        if env["QUERY_STRING"] == "exit":
            sys.exit(7)
        start("200 OK", TEXT)
        return [b"the child's"]
    _, status = os.waitpid(pid, 0)
    start("200 OK", TEXT)
    return [b"the parent's ", str(os.waitstatus_to_exitcode(status)).encode()]


def gone(env, start):
    """Computes until the client goes away; a later request asks whether it has seen that."""
    start("200 OK", TEXT)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if env["door_app.request"].client_gone():
            closed.add("gone")
            return [b"gone"]
        time.sleep(0.05)
    return [b"here"]


def events(env, start):
    """A stream that ends when the process is to end."""
    start("200 OK", TEXT)
    yield str(os.getpid()).encode()
    deadline = time.monotonic() + 60
    while not env["door_app.request"].stopping and time.monotonic() < deadline:
        time.sleep(0.02)
        yield b"."
    yield b"stopping" if env["door_app.request"].stopping else b"late"


def endless(env, start):
    start("200 OK", TEXT)

    class Endless(Blocks):
        def __next__(self):
            return b"x" * 10000

    return Endless("endless", [])


def hints(env, start):
    env["door_app.request"].early_hints(["</a.css>; rel=preload"])
    start("200 OK", TEXT)
    return [b"hinted"]


def kept(env, start):
    """A request that is used when it is over, or elsewhere."""
    said = []

    def elsewhere():
        try:
            env["door_app.request"].log(6, "x")
        except RuntimeError as error:
            said.append(str(error))

    other = threading.Thread(target=elsewhere)
    other.start()
    other.join()
    if hasattr(local, "kept"):
        for use in (lambda: local.kept["door_app.request"].client_gone(),
                    lambda: local.kept["wsgi.input"].read(),
                    lambda: local.kept["wsgi.errors"].write("x"),
                    lambda: local.start("200 OK", [])):
            try:
                use()
            except RuntimeError as error:
                said.append(str(error))
    local.kept, local.start = env, start
    start("200 OK", TEXT)
    return [json.dumps(said).encode()]


def what_was_closed(env, start):
    start("200 OK", TEXT)
    return [json.dumps(sorted(closed)).encode()]


def pid(env, start):
    start("200 OK", TEXT)
    return [str(os.getpid()).encode()]


def total(env, start):
    """The references that a debug build of CPython counts, and its blocks of memory."""
    gc.collect()
    start("200 OK", TEXT)
    count = sys.gettotalrefcount() if hasattr(sys, "gettotalrefcount") else 0
    return [json.dumps([count, sys.getallocatedblocks()]).encode()]


class Mallinfo(ctypes.Structure):
    """mallinfo2(3)"""

    _fields_ = [(name, ctypes.c_size_t) for name in (
        "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")]


def footprint(env, start):
    """Python's blocks, bytes of the heap that are in use, and the process's memory in bytes."""
    mallinfo = ctypes.CDLL(None).mallinfo2
    mallinfo.restype = Mallinfo
    gc.collect()
    info = mallinfo()
    with open("/proc/self/smaps_rollup") as file:
        pss = next(int(line.split()[1]) for line in file if line.startswith("Pss:"))
    start("200 OK", TEXT)
    return [json.dumps([sys.getallocatedblocks(), info.uordblks + info.hblkhd, pss * 1024]).encode()]


def trailers(env, start):
    env["wsgi.input"].read()
    start("200 OK", TEXT)
    return [str(env["door_app.request"].trailer("X-Sum")).encode()]


def application(env, start):
    name = env["PATH_INFO"].strip("/")
    handler = globals().get(name)
    if name in ("", "application") or not callable(handler):
        start("404 Not Found", TEXT)
        return [b"no such page\n"]
    return handler(env, start)


assert door_app.__doc__
