#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""WSGI behind a door and under its peers: each in a virtual host of one httpd, with as many
processes and threads as the others; wrk asks one after the other, round after round, so that
whatever else the machine does meets all of them.

    QUICK=1                      one round, of fewer clients
    ROUNDS, SECONDS, CLIENTS     other than 3, 1 and 1,8,32,128
    WORKS, PROCESSES             of wsgi,flask,django and of 1,2
    FILL=1                       puts the result into bench/PYTHON.md

Writes BUILD/bench/python.md and python.json."""

import glob
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
PYTHON = os.path.join(HERE, "..", "python")
sys.path[:0] = [os.path.join(PYTHON, "t"), os.path.join(PYTHON, "heavy")]
import peers
import support

QUICK = os.environ.get("QUICK")
ROUNDS = int(os.environ.get("ROUNDS", 1 if QUICK else 3))
SECONDS = int(os.environ.get("SECONDS", 1))
CLIENTS = [int(count) for count in os.environ.get("CLIENTS", "1,32" if QUICK else "1,8,32,128").split(",")]
WORKS = os.environ.get("WORKS", "wsgi,flask,django").split(",")
PROCESSES = [int(count) for count in os.environ.get("PROCESSES", "1,2").split(",")]
POSTGRES = os.path.join(HERE, "..", "scripts", "postgres.sh")
GREETING = b"Well, hello to you too!\n"
TICK = os.sysconf("SC_CLK_TCK")

LABELS = {
    "door": "mod_door", "mod_wsgi": "mod_wsgi, daemon", "gunicorn": "gunicorn gthread, mod_proxy_http",
    "uwsgi": "uWSGI, mod_proxy_uwsgi", "c": "mod_door, the same in C",
}
TITLES = {"wsgi": "A bare WSGI application", "flask": "Flask, hello", "django": "Django, a page with one query of PostgreSQL"}
NOTES = {
    "rate": "requests/s", "cpu": "us of CPU per request, of httpd and the application",
    "p99": "99 % of the answers come within so many ms",
}

BARE = '''def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
    return [b"Well, hello to you too!\\n"]
'''


# ---------------------------------------------------------------- processes

def stat(pid):
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()


def family(*roots):
    """These processes, and all that come from them."""
    parents = {}
    for path in glob.glob("/proc/[0-9]*"):
        try:
            pid = int(path[6:])
            parents.setdefault(int(stat(pid)[1]), []).append(pid)
        except OSError:
            continue
    found, queue = [], list(roots)
    while queue:
        pid = queue.pop()
        found.append(pid)
        queue += parents.get(pid, [])
    return found


def cpu(pids):
    """Seconds that they have had so far."""
    ticks = 0
    for pid in pids:
        try:
            ticks += sum(int(field) for field in stat(pid)[11:13])
        except OSError:
            continue
    return ticks / TICK


def field(path, name):
    with open(path) as file:
        return next(int(line.split()[1]) for line in file if line.startswith(name + ":"))


def size(pids):
    """MiB (PSS) and threads."""
    return (sum(field(f"/proc/{pid}/smaps_rollup", "Pss") for pid in pids) / 1024,
            sum(field(f"/proc/{pid}/status", "Threads") for pid in pids))


# ---------------------------------------------------------------- what is measured

class Bench:
    """One work with so many processes: the servers, and what is asked of them."""

    def __init__(self, work, processes):
        self.work, self.processes = work, processes
        self.httpd = support.Httpd()
        self.path = "/"
        self.wanted = GREETING
        self.postgres = None

    def __enter__(self):
        os.mkdir(self.httpd.path("scratch"))
        os.chmod(self.httpd.path("scratch"), 0o777)
        self.python = self.httpd.make_environment("--system-site-packages")
        module, directory, env = getattr(self, "prepare_" + self.work)()
        self.served = peers.Peers(self.httpd, self.python, module, directory, dict.fromkeys(peers.NAMES, env), self.processes)
        self.httpd.configure(self.served.configuration() + self.configure_c(), modules=peers.MODULES, workers=256)
        self.served.start()
        self.httpd.start()
        for name in self.ports():
            answer = support.wait_for(lambda name=name: self.is_right(name))
            if not answer:
                raise RuntimeError(f"{name} does not answer as it should")
        return self

    def __exit__(self, *unused):
        self.httpd.stop()
        if hasattr(self, "served"):
            self.served.stop()
        if self.postgres:
            self.run("bash", self.postgres, "stop", self.httpd.path("scratch/pg"))
        self.httpd.__exit__()

    def run(self, *command, **more):
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=self.httpd.dir, **peers.WHO,
                              **more).stdout.strip()

    def prepare_wsgi(self):
        with open(self.httpd.path("bare.py"), "w") as file:
            file.write(BARE)
        return "bare:application", None, {}

    def prepare_flask(self):
        shutil.copy(os.path.join(PYTHON, "heavy", "flask_app.py"), self.httpd.dir)
        return "flask_app:application", None, {}

    def prepare_django(self):
        shutil.copytree(os.path.join(PYTHON, "heavy", "project"), self.httpd.path("project"))
        os.chmod(self.httpd.path("project/notes/migrations"), 0o777)
        self.postgres = shutil.copy(POSTGRES, self.httpd.dir)
        host = self.run("bash", self.postgres, "start", self.httpd.path("scratch/pg"),
                        env={**os.environ, "PG_OPTIONS": "-c max_connections=300"})
        env = {"PGHOST": host, "SCRATCH": self.httpd.path("scratch")}
        for command in (["makemigrations", "notes"], ["migrate"],
                        ["shell", "-c", "from notes.models import Note; Note.objects.create(title='A', text='door')"]):
            self.run(self.python, self.httpd.path("project/manage.py"), *command, env={**os.environ, **env})
        self.path = "/page/1"
        self.wanted = b"<!doctype html><title>A</title>\n<p>door\n"
        return "wsgi:application", self.httpd.path("project"), env

    def configure_c(self):
        if self.work != "wsgi":
            return ""
        shutil.copytree(f"{support.BUILD}/examples", self.httpd.path("build/examples"), symlinks=True)
        for library in glob.glob(f"{support.BUILD}/lib*.so*"):
            shutil.copy(library, self.httpd.path("build"))
        self.served.ports["c"] = support.free_port()
        instances = f" instances={self.processes}" if self.processes > 1 else ""
        return (f"Listen 127.0.0.1:{self.served.ports['c']}\nDoorApp c {self.httpd.path('build/examples/hello')}{instances}\n"
                f"<VirtualHost 127.0.0.1:{self.served.ports['c']}>\n<Location />\nDoorHandler c\n</Location>\n</VirtualHost>\n")

    def ports(self):
        return self.served.ports

    def is_right(self, name):
        answer = self.served.ask(name, self.path)
        return answer.status == 200 and answer.body == self.wanted

    def roots(self):
        return [self.httpd.process.pid, *[peer.pid for peer in self.served.started]]

    def application(self, name):
        """The peer's own processes, which run the application."""
        if name in ("gunicorn", "uwsgi"):
            return family(self.served.started[("gunicorn", "uwsgi").index(name)].pid)
        mark = {"door": b"served_door", "mod_wsgi": b"served-mod_wsgi", "c": b"build/examples/hello"}[name]
        found = []
        for pid in family(self.httpd.process.pid):
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                if mark in file.read():
                    found.append(pid)
        return found

    def ask(self, name, clients, seconds):
        command = ["wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "--timeout", "10s", "-s", os.path.join(HERE, "report.lua"),
                   f"http://127.0.0.1:{self.ports()[name]}{self.path}"]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def sample(self, name, clients):
        before = cpu(family(*self.roots()))
        wrk = self.ask(name, clients, SECONDS)
        time.sleep(SECONDS * 0.6)
        memory, threads = size(self.application(name))
        said = wrk.communicate()[0]
        used = cpu(family(*self.roots())) - before
        line = next(line for line in said.splitlines() if line.startswith("RESULT "))
        requests, us, _, p99, _, broken, wrong = [int(number) for number in line.split()[1:]]
        return {"rate": requests / (us / 1e6), "cpu": used * 1e6 / max(requests, 1), "p99": p99 / 1000, "memory": memory,
                "threads": threads, "errors": broken + wrong}

    def measure(self, clients):
        """By peer, the median of the rounds."""
        names = list(self.ports())
        samples = {name: [] for name in names}
        for name in names:
            self.ask(name, clients, 1).communicate()
        for number in range(ROUNDS):
            for at in range(len(names)):
                name = names[(at + number) % len(names)]
                samples[name].append(self.sample(name, clients))
        return {name: {key: (sum if key == "errors" else statistics.median)([sample[key] for sample in all_of])
                       for key in all_of[0]} for name, all_of in samples.items()}


# ---------------------------------------------------------------- tables

def table(results, key, form):
    lines = ["| " + NOTES[key] + " | " + " | ".join(f"{clients} clients" for clients in results) + " |",
             "|---|" + "--:|" * len(results)]
    for name in next(iter(results.values())):
        cells = [format(by_name[name][key], form) + (" (errors)" if key == "rate" and by_name[name]["errors"] else "")
                 for by_name in results.values()]
        lines.append(f"| {LABELS[name]} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def size_table(results):
    by_name = results[max(results)]
    lines = [f"| with {max(results)} clients | MiB of the application's processes (PSS) | their threads |", "|---|--:|--:|"]
    lines += [f"| {LABELS[name]} | {one['memory']:.0f} | {one['threads']:.0f} |" for name, one in by_name.items()]
    return "\n".join(lines) + "\n"


def markdown(run):
    parts = ["# Python behind a door and under its peers\n",
             f"`make bench-python`, {run['date']}, {run['machine']}; Python {run['python']}, the peers as Debian has them, "
             f"eight threads in each of their processes. {ROUNDS} rounds of {SECONDS} s, medians; all are in one httpd, and "
             "are asked in turn.\n"]
    for work, by_processes in run["results"].items():
        for processes, results in by_processes.items():
            parts.append(f"## {TITLES[work]}, {processes} process{'es' if processes > 1 else ''}\n")
            parts += [table(results, "rate", ",.0f"), table(results, "cpu", ".0f"), table(results, "p99", ".1f"),
                      size_table(results)]
    return "\n".join(parts)


def main():
    run = {"date": time.strftime("%Y-%m-%d"), "machine": f"{os.cpu_count()} processors, {platform.release()}",
           "python": platform.python_version(), "results": {}}
    for work in WORKS:
        for processes in PROCESSES:
            with Bench(work, processes) as bench:
                results = run["results"].setdefault(work, {}).setdefault(processes, {})
                for clients in CLIENTS:
                    print(f"{work}, {processes}, {clients} clients", file=sys.stderr, flush=True)
                    results[clients] = bench.measure(clients)
    os.makedirs(f"{support.BUILD}/bench", exist_ok=True)
    text = markdown(run)
    with open(f"{support.BUILD}/bench/python.json", "w") as file:
        json.dump(run, file, indent=1)
    for path in [f"{support.BUILD}/bench/python.md"] + ([os.path.join(HERE, "PYTHON.md")] if os.environ.get("FILL") else []):
        with open(path, "w") as file:
            file.write(text)
    print(text)


if __name__ == "__main__":
    main()
