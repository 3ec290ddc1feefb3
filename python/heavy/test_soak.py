# SPDX-License-Identifier: Apache-2.0
"""200,000 requests of every kind, with errors, answers that are cut short and clients that leave
among them: what the process holds does not grow.  Some 60 seconds."""

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import unittest

TESTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "t")
sys.path.insert(0, TESTS)
import support

COUNT = int(os.environ.get("SOAK", 200000))
LEFT_COUNT = COUNT // 20  # of them by clients that leave
PATIENCE = 600            # seconds, on a busy machine
LEAK = 16                 # bytes for each request that would be noticed, if every one leaves them
WRONG = ("header", "name", "hop", "type", "tuple", "status", "none", "unstarted", "empty", "str", "bytes", "long", "int")

# What is asked, and how often in each round of them.
REQUESTS = [
    *[("GET", path, "", 20) for path in ("/environ?a=b", "/pid", "/sized", "/late", "/written", "/thread", "/nowhere",
                                         "/wrapped?memory", "/hints", "/echo")],
    *[("POST", path, "a body\n" * 20, 20) for path in ("/echo", "/pieces", "/digest", "/pid")],
    ("POST", "/digest", "x" * 200000, 2), ("HEAD", "/large", "", 2), ("GET", "/large", "", 1),
    *[("GET", path, "", 2) for path in ("/wrapped", "/wrapped?length", "/fails", "/twice", "/logs", "/breaks", "/too_late")],
    *[("GET", "/wrong?" + how, "", 2) for how in WRONG],
]

LUA = """local requests = {%s}
local all, at = {}, 0
for _, r in ipairs(requests) do
  for _ = 1, r[4] do
    table.insert(all, wrk.format(r[1], r[2], {["Host"] = "x", ["X-Some"] = "header"}, r[3] ~= "" and r[3] or nil))
  end
end
request = function()
  at = at %% #all + 1
  return all[at * 7919 %% #all + 1]
end
function done(summary)
  io.write(string.format("RESULT %%d %%d\\n", summary.requests, summary.errors.timeout))
end
"""


def setUpModule():
    global httpd
    httpd = support.Httpd().__enter__()
    shutil.copy(os.path.join(TESTS, "app.py"), httpd.dir)
    python = httpd.make_environment()
    os.mkdir(httpd.path("scratch"))
    os.chmod(httpd.path("scratch"), 0o777)
    httpd.configure(
        f'DoorApp app "{python} -m door_app app --chdir {httpd.dir}" threads=8 env=SCRATCH={httpd.dir}/scratch\n'
        "LogLevel crit\n<Location />\nDoorHandler app\n</Location>\n")
    with open(httpd.path("soak.lua"), "w") as file:
        file.write(LUA % ",".join(f"{{{json.dumps(method)},{json.dumps(path)},{json.dumps(body)},{count}}}"
                                  for method, path, body, count in REQUESTS))
    httpd.start()


def tearDownModule():
    httpd.__exit__()


def ask_for(seconds):
    """How many were answered."""
    said = subprocess.check_output(
        ["wrk", "-t1", "-c16", f"-d{seconds}s", "--timeout", "60s", "-s", httpd.path("soak.lua"),
         f"http://127.0.0.1:{httpd.port}/"], text=True)
    count, late = next(line for line in said.splitlines() if line.startswith("RESULT")).split()[1:]
    assert int(late) == 0, said
    return int(count)


PARTS = (b"GET /en", b"POST /digest HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nabc", b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n",
         b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n",
         b"POST /digest HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")


def leave(number):
    """Asks, and does not wait for the answer, or for the rest of it."""
    with socket.create_connection(("127.0.0.1", httpd.port), support.PATIENCE) as client:
        client.sendall(PARTS[number % len(PARTS)])
        if number % 3 == 0:
            client.settimeout(0.02)
            try:
                client.recv(1000)
            except TimeoutError:
                pass


def leave_until(stop, count):
    while not stop.is_set() and count[0] < LEFT_COUNT:
        leave(count[0])
        count[0] += 1


def footprint():
    """The least of some: what runs has come to its end."""
    seen = []
    for _ in range(20):
        seen.append(json.loads(httpd.get("/footprint")))
        time.sleep(0.1)
    return [min(series) for series in zip(*seen)]


class TestSoak(unittest.TestCase):
    def soak(self, wanted):
        deadline = time.monotonic() + PATIENCE
        stop, left, answered = threading.Event(), [0], 0
        leaver = threading.Thread(target=leave_until, args=(stop, left))
        leaver.start()
        while answered < wanted and time.monotonic() < deadline:
            answered += ask_for(5)
        stop.set()
        leaver.join()
        return answered, left[0]

    def test_nothing_grows(self):
        pid = httpd.get("/pid")
        self.soak(COUNT // 10)
        before = footprint()
        answered, left = self.soak(COUNT)
        after = footprint()
        count = answered + left
        growth = [b - a for a, b in zip(before, after)]
        print(f"# {answered} answered, {left} left; grown: {growth[0]} blocks, {growth[1]} bytes in use, {growth[2]} bytes")
        self.assertEqual(httpd.get("/pid"), pid, "the process is another one")
        self.assertGreaterEqual(answered, COUNT)
        self.assertGreater(left, COUNT // 200)
        self.assertLess(growth[0], 1000 + count / 100, "Python's blocks")
        self.assertLess(growth[1], count * LEAK / 2, "bytes in use")
        self.assertLess(growth[2], count * LEAK, "the process's memory")


if __name__ == "__main__":
    support.main()
