# SPDX-License-Identifier: Apache-2.0
"""An application behind a door, and the same under what else serves WSGI behind httpd: mod_wsgi's
daemon, gunicorn's threads behind mod_proxy_http, uWSGI behind mod_proxy_uwsgi.  Each has a
virtual host of its own in one httpd, and as many processes and threads as the others."""

import os
import socket
import subprocess

import support

NAMES = ("door", "mod_wsgi", "gunicorn", "uwsgi")
MODULES = ("wsgi", "proxy", "proxy_http", "proxy_uwsgi")
WHO = {"user": "nobody"} if os.getuid() == 0 else {}


def listens(path):
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(path) == 0


class Peers:
    """module: MODULE:NAME, which lies in directory; env: by peer, what it finds in os.environ."""

    def __init__(self, httpd, python, module, directory=None, env=None, processes=1, threads=8):
        self.httpd = httpd
        self.python = python
        self.directory = directory or httpd.dir
        self.processes, self.threads = processes, threads
        self.ports = {name: httpd.port if name == "door" else support.free_port() for name in NAMES}
        self.started = []
        if not os.path.isdir(httpd.path("sockets")):
            os.mkdir(httpd.path("sockets"))
            os.chmod(httpd.path("sockets"), 0o777)
        for name in NAMES:
            self._write_module(name, *module.split(":"), (env or {}).get(name, {}))

    def _write_module(self, name, module, attribute, env):
        """mod_wsgi has no other way to give its processes an environment: so all get it so."""
        with open(self.httpd.path(f"served_{name}.py"), "w") as file:
            file.write(f"import os, sys\nos.environ.update({env!r})\nsys.path.insert(0, {self.directory!r})\n"
                       f"from {module} import {attribute} as application\n")

    def _socket(self, name):
        return self.httpd.path(f"sockets/{name}")

    def configuration(self, before="", after=""):
        """For httpd; before and after are what else is in each virtual host."""
        directory, served = self.httpd.dir, self.httpd.path("served_mod_wsgi.py")
        instances = f" instances={self.processes}" if self.processes > 1 else ""
        own = {
            "door": "<Location />\nDoorHandler served\n</Location>\n",
            "mod_wsgi": f"WSGIScriptAlias / {served} process-group=served application-group=%{{GLOBAL}}\n",
            "gunicorn": f"ProxyPass / unix:{self._socket('gunicorn')}|http://localhost/ enablereuse=on\nProxyPreserveHost On\n",
            "uwsgi": f"ProxyPass / unix:{self._socket('uwsgi')}|uwsgi://localhost/ enablereuse=on\n",
        }
        return (
            "".join(f"Listen 127.0.0.1:{port}\n" for name, port in self.ports.items() if name != "door")
            + f'DoorApp served "{self.python} -m door_app served_door --chdir {directory}"{instances}\n'
            f"WSGIDaemonProcess served processes={self.processes} threads={self.threads} display-name=served-mod_wsgi "
            f"python-path={directory}\nWSGISocketPrefix {directory}/run/wsgi\n"
            + "".join(f"<VirtualHost 127.0.0.1:{self.ports[name]}>\n{before}{own[name]}{after}</VirtualHost>\n" for name in NAMES))

    def _commands(self):
        return {
            "gunicorn": ["gunicorn", "-k", "gthread", "-w", str(self.processes), "--threads", str(self.threads),
                         "--keep-alive", "60", "-b", "unix:" + self._socket("gunicorn"), "--chdir", self.httpd.dir,
                         "served_gunicorn:application"],
            "uwsgi": ["uwsgi", "--plugin", "python3", "--socket", self._socket("uwsgi"), "--chdir", self.httpd.dir,
                      "--module", "served_uwsgi:application", "--enable-threads", "--master", "--die-on-term",
                      "--processes", str(self.processes), "--threads", str(self.threads), "--disable-logging",
                      "--listen", "100", "--post-buffering", "65536"],
        }

    def start(self):
        """Those that run beside httpd."""
        for name, command in self._commands().items():
            with open(self.httpd.path(f"logs/{name}"), "ab") as log:
                self.started.append(subprocess.Popen(command, cwd=self.httpd.dir, stdin=subprocess.DEVNULL,
                                                     stdout=log, stderr=log, **WHO))
            if not support.wait_for(lambda name=name: listens(self._socket(name))):
                raise RuntimeError(f"{name} did not start:\n" + open(self.httpd.path(f"logs/{name}")).read())

    def stop(self):
        for peer in self.started:
            peer.terminate()
        for peer in self.started:
            try:
                peer.wait(support.PATIENCE)
            except subprocess.TimeoutExpired:
                peer.kill()
                peer.wait()
        self.started = []

    def ask(self, name, *request, **more):
        self.httpd.port = self.ports[name]
        try:
            return self.httpd.ask(*request, **more)
        finally:
            self.httpd.port = self.ports["door"]
