# SPDX-License-Identifier: Apache-2.0
"""What the tests of door_app share: an httpd of their own, and TAP.

The applications run in a virtual environment into which the wheel was installed, as
whoever httpd's children are.  Everything lies in a directory below /tmp.
"""

import collections
import glob
import http.client
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.path.abspath(os.environ.get("BUILD", os.path.join(HERE, "..", "..", "build")))
WHEELS = os.environ.get("WHEELS", f"{BUILD}/python")
APP_ENV = os.environ.get("APP_ENV", "")  # more options of a DoorApp, such as a sanitizer's
APXS = os.environ.get("APXS", "apxs")
PATIENCE = 60  # seconds, for what takes a moment


def apxs(name):
    return subprocess.check_output([APXS, "-q", name], text=True).strip()


def wait_for(check, seconds=PATIENCE):
    """What check() returns once that is true; or its last answer."""
    deadline = time.monotonic() + seconds
    while True:
        answer = check()
        if answer or time.monotonic() > deadline:
            return answer
        time.sleep(0.02)


given_ports = collections.deque(maxlen=100)  # to what may not listen yet


def free_port():
    """Below those that the system gives to clients, none that other tests take, and not one given lately."""
    for _ in range(1000):
        port = random.randrange(30040, 30300)
        if port in given_ports:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        given_ports.append(port)
        return port
    raise RuntimeError("no free port")


def load_modules(*names):
    directory = apxs("LIBEXECDIR")
    return "".join(
        f"LoadModule {name}_module {directory}/mod_{name}.so\n"
        for name in names
        if os.path.exists(f"{directory}/mod_{name}.so")
    )


class Httpd:
    """An httpd with applications; use it in a with statement."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="door_app-python.", dir="/tmp")
        os.chmod(self.dir, 0o755)
        self.port = free_port()
        for name in ("logs", "run"):
            os.mkdir(self.path(name))
        shutil.copy(f"{BUILD}/mod_door.so", self.dir)
        self.process = None
        self.user = "User nobody\nGroup nogroup\n" if os.getuid() == 0 else ""

    def path(self, name):
        return os.path.join(self.dir, name)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.stop()
        if os.environ.get("KEEP"):
            print(f"# {self.dir} is kept", file=sys.stderr)
        else:
            shutil.rmtree(self.dir, ignore_errors=True)

    def copy(self, *names):
        for name in names:
            shutil.copy(os.path.join(HERE, name), self.dir)

    def make_environment(self, *options):
        """A virtual environment with the wheel; returns its Python."""
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", *options, self.path("venv")], check=True)
        python = self.path("venv/bin/python3")
        subprocess.run(
            [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check", "--no-cache-dir",
             "--python", python, "install", "--no-index", *glob.glob(f"{WHEELS}/*.whl")],
            check=True,
            env={**os.environ, "PIP_ROOT_USER_ACTION": "ignore"},
        )
        return python

    def configure(self, text, modules=(), workers=128):
        with open(self.path("httpd.conf"), "w") as file:
            file.write(
                f"ServerRoot {self.dir}\nListen 127.0.0.1:{self.port}\nServerName localhost\n"
                + load_modules("mpm_event", "unixd", "authz_core", "log_config", "unique_id", "env", *modules)
                + f"LoadModule door_module {self.dir}/mod_door.so\n{self.user}"
                "PidFile run/httpd.pid\nErrorLog logs/error_log\nDoorRuntimeDir run/doors\n"
                f"LogLevel info\nMutex sem\nThreadsPerChild {workers}\nMaxRequestWorkers {workers}\n"
                f"ThreadLimit {workers}\nMinSpareThreads 1\nMaxSpareThreads {workers}\nStartServers 1\nServerLimit 1\n"
                + text
            )

    def start(self):
        program = apxs("PROGNAME") if APXS == "" else f"{apxs('SBINDIR')}/{apxs('PROGNAME')}"
        self.process = subprocess.Popen(
            [program, "-d", self.dir, "-f", self.path("httpd.conf"), "-DFOREGROUND"],
            stdin=subprocess.DEVNULL,
            stderr=open(self.path("logs/startup"), "ab"),
        )

        def listens():
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", self.port)) == 0 or self.process.poll() is not None

        wait_for(listens)
        if self.process.poll() is not None:
            raise RuntimeError("httpd did not start:\n" + open(self.path("logs/startup")).read() + self.log())

    def reload(self):
        self.process.send_signal(signal.SIGUSR1)

    def stop(self):
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def log(self):
        try:
            with open(self.path("logs/error_log"), errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def connection(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)

    def ask(self, path, method="GET", body=None, headers=None, **more):
        """The response, with its body in .body (None: it was cut short)."""
        connection = self.connection()
        try:
            connection.request(method, path, body, headers or {}, **more)
            response = connection.getresponse()
            try:
                response.body = response.read()
            except http.client.IncompleteRead:
                response.body = None
            return response
        finally:
            connection.close()

    def get(self, path, **more):
        return self.ask(path, **more).body.decode("latin-1")


class TapResult(unittest.TestResult):
    def __init__(self):
        super().__init__()
        self.count = 0

    def tell(self, word, test, note=""):
        self.count += 1
        print(f"{word} {self.count} - {test.id().split('.', 1)[-1]}{note}", flush=True)

    def addSuccess(self, test):
        self.tell("ok", test)

    def addSkip(self, test, reason):
        self.tell("ok", test, f" # skip {reason}")

    def complain(self, test, error):
        if isinstance(test, unittest.TestCase):
            self.tell("not ok", test)
        else:
            self.count += 1
            print(f"not ok {self.count} - {test}", flush=True)
        for line in self._exc_info_to_string(error, test).splitlines():
            print(f"# {line}", file=sys.stderr)

    def addFailure(self, test, error):
        super().addFailure(test, error)
        self.complain(test, error)

    def addError(self, test, error):
        super().addError(test, error)
        self.complain(test, error)

    def addSubTest(self, test, subtest, error):
        super().addSubTest(test, subtest, error)
        if error is not None:
            self.complain(subtest, error)


def main():
    names = sys.argv[1:]
    loader = unittest.defaultTestLoader
    suite = loader.loadTestsFromNames(names, sys.modules["__main__"]) if names else \
        loader.loadTestsFromModule(sys.modules["__main__"])
    result = TapResult()
    suite.run(result)
    print(f"1..{result.count}")
    sys.exit(0 if result.wasSuccessful() else 1)
