# SPDX-License-Identifier: Apache-2.0
"""A project of Django on PostgreSQL behind a door: its admin in a browser, static files by
httpd, uploads, migrations, a connection per thread; and its answers under the door's peers."""

import base64
import concurrent.futures
import http.client
import json
import os
import re
import shutil
import subprocess
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "t"))
import peers
import support

POSTGRES = os.path.join(HERE, "..", "..", "scripts", "postgres.sh")
WHO = {"user": "nobody"} if os.getuid() == 0 else {}


def run(*command, **more):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, **WHO, **more).stdout.strip()


# Each peer has a user of its own, whose "recent actions" are its own.
USERS = f"""from django.contrib.auth.models import User
for name in {peers.NAMES!r}:
    User.objects.create_superuser("user_of_" + name, password="secret")"""


def setUpModule():
    global httpd, served
    httpd = support.Httpd().__enter__()
    shutil.copytree(os.path.join(HERE, "project"), httpd.path("project"))
    shutil.copy(POSTGRES, httpd.dir)
    for name in ("scratch", "project/notes/migrations"):
        os.makedirs(httpd.path(name), exist_ok=True)
        os.chmod(httpd.path(name), 0o777)
    python = httpd.make_environment("--system-site-packages")
    host = run("bash", httpd.path("postgres.sh"), "start", httpd.path("scratch/pg"), cwd=httpd.dir)
    env = {"PATH": os.environ["PATH"], "PGHOST": host, "SCRATCH": httpd.path("scratch"),
           "HOME": httpd.path("scratch"), "DJANGO_SUPERUSER_PASSWORD": "secret"}
    for command in (["makemigrations", "notes"], ["migrate"], ["collectstatic", "--noinput"],
                    ["createsuperuser", "--noinput", "--username", "ada", "--email", "ada@example.org"]):
        run(python, "manage.py", *command, cwd=httpd.path("project"), env=env)
    run(python, "manage.py", "shell", "-c", USERS, cwd=httpd.path("project"), env=env)
    settings = {key: value for key, value in env.items() if key in ("PGHOST", "SCRATCH")}
    served = peers.Peers(httpd, python, "wsgi:application", directory=httpd.path("project"),
                         env=dict.fromkeys(peers.NAMES, settings))
    httpd.configure(
        "TypesConfig /etc/mime.types\n<Directory /tmp>\nRequire all granted\n</Directory>\n" + served.configuration(
            before=f"Alias /static {env['SCRATCH']}/static\nAlias /media {env['SCRATCH']}/media\n"
            "ProxyPass /static !\nProxyPass /media !\n",
            after="<LocationMatch ^/(static|media)/>\nDoorHandler none\n</LocationMatch>\n"),
        modules=("alias", "mime", *peers.MODULES),
    )
    served.start()
    httpd.start()


def tearDownModule():
    httpd.stop()
    served.stop()
    run("bash", httpd.path("postgres.sh"), "stop", httpd.path("scratch/pg"), cwd=httpd.dir)
    httpd.__exit__()


class Browser:
    """Chromium without a screen, by chromedriver (WebDriver, W3C)."""

    def __init__(self, directory):
        self.port = support.free_port()
        self.log = open(os.path.join(directory, "driver.log"), "wb")
        self.driver = subprocess.Popen(["chromedriver", f"--port={self.port}"], stdin=subprocess.DEVNULL,
                                       stdout=self.log, stderr=self.log)
        support.wait_for(self.is_there)
        options = ["--headless=new", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                   f"--user-data-dir={directory}/profile"] + (["--no-sandbox"] if os.getuid() == 0 else [])
        session = self.command("POST", "/session", {"capabilities": {"alwaysMatch": {
            "browserName": "chrome", "goog:chromeOptions": {"args": options}}}})
        self.at = "/session/" + session["sessionId"]
        patience_ms = 2000 * support.PATIENCE
        self.command("POST", self.at + "/timeouts", {"script": patience_ms, "pageLoad": patience_ms})

    def is_there(self):
        try:
            return self.command("GET", "/status")
        except OSError:
            return None

    def command(self, method, path, arguments=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2.5 * support.PATIENCE)
        body = json.dumps(arguments or {}) if method == "POST" else None
        connection.request(method, path, body, {"Content-Type": "application/json"})
        answer = json.loads(connection.getresponse().read())["value"]
        connection.close()
        if isinstance(answer, dict) and "error" in answer:
            raise RuntimeError(f"{path}: {answer['error']}: {answer['message']}")
        return answer

    def go(self, url):
        self.command("POST", self.at + "/url", {"url": url})

    def element(self, css):
        found = self.command("POST", self.at + "/element", {"using": "css selector", "value": css})
        return self.at + "/element/" + next(iter(found.values()))

    def fill(self, css, text):
        self.command("POST", self.element(css) + "/value", {"text": text})

    def click(self, css):
        self.command("POST", self.element(css) + "/click")

    def script(self, text):
        return self.command("POST", self.at + "/execute/sync", {"script": text, "args": []})

    def shows(self, text):
        """A page that is on its way has no body yet, or goes while the script runs."""
        def is_there():
            try:
                return text in (self.script("return document.body.innerText") or "")
            except RuntimeError:
                return False

        return support.wait_for(is_there)

    def close(self):
        self.command("DELETE", self.at)
        self.driver.terminate()
        self.driver.wait(support.PATIENCE)
        self.log.close()


class TestDjango(unittest.TestCase):
    def test_the_admin_in_a_browser(self):
        directory = httpd.path("browser")
        os.mkdir(directory)
        with open(os.path.join(directory, "upload.txt"), "w") as file:
            file.write("uploaded\n")
        browser = Browser(directory)
        self.addCleanup(browser.close)
        base = f"http://127.0.0.1:{httpd.port}"
        browser.go(base + "/admin/")
        browser.fill("#id_username", "ada")
        browser.fill("#id_password", "secret")
        browser.click("input[type=submit]")
        self.assertTrue(browser.shows("Site administration"))
        self.assertEqual(browser.script("return getComputedStyle(document.getElementById('header')).backgroundColor"),
                         "rgb(65, 118, 144)", "its style sheet, which httpd serves")
        browser.go(base + "/admin/notes/note/add/")
        browser.fill("#id_title", "A door")
        browser.fill("#id_text", "is a procedure call \u2013 it returns")
        browser.fill("#id_file", os.path.join(directory, "upload.txt"))
        browser.click("input[name=_save]")
        self.assertTrue(browser.shows("was added successfully"))
        browser.click("#result_list th a")
        self.assertTrue(browser.shows("Change note"))
        href = browser.script("return document.querySelector('.file-upload a').getAttribute('href')")
        self.assertEqual(httpd.ask(href).body, b"uploaded\n")
        page = httpd.ask("/")
        self.assertEqual(page.body.decode(), "A door: is a procedure call \u2013 it returns\n")
        browser.click(".deletelink")
        self.assertTrue(browser.shows("Are you sure?"))
        browser.click("input[type=submit]")
        self.assertTrue(browser.shows("was deleted successfully"))
        if os.environ.get("SCREENSHOTS"):
            with open(os.path.join(os.environ["SCREENSHOTS"], "django.png"), "wb") as file:
                file.write(base64.b64decode(browser.command("GET", browser.at + "/screenshot")))

    def test_a_connection_per_thread(self):
        seen = {}
        for _ in range(3):
            with concurrent.futures.ThreadPoolExecutor(10) as pool:
                for answer in pool.map(lambda _: httpd.get("/backend"), range(30)):
                    thread, pid, _ = answer.split()
                    self.assertEqual(seen.setdefault(thread, pid), pid)
        self.assertGreater(len(seen), 1)
        self.assertEqual(len(set(seen.values())), len(seen))

    def test_csrf(self):
        self.assertEqual(httpd.ask("/admin/login/", "POST", b"username=ada").status, 403)


class Visitor:
    """Somebody who keeps cookies, at one of the peers; what he has seen, without what is random."""

    def __init__(self, name):
        self.name = name
        self.cookies = {}
        self.seen = []

    def ask(self, path, fields=None, file=None):
        headers = {"Cookie": "; ".join(f"{key}={value}" for key, value in self.cookies.items())}
        body = None
        if fields is not None:
            headers["Content-Type"] = "multipart/form-data; boundary=frontier"
            body = self.form({"csrfmiddlewaretoken": self.cookies.get("csrftoken", ""), **fields}, file)
        response = served.ask(self.name, path, "POST" if body else "GET", body, headers)
        for cookie in response.headers.get_all("Set-Cookie", []):
            key, _, value = cookie.split(";")[0].partition("=")
            self.cookies[key] = value
        text = self.without_random(response.body.decode())
        self.seen.append((path, response.status, response.getheader("Location"), response.getheader("Content-Type"),
                          response.getheader("X-Frame-Options"), text))
        return response

    def form(self, fields, file):
        parts = "".join(f'--frontier\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'
                        for key, value in fields.items())
        if file is not None:
            parts += (f'--frontier\r\nContent-Disposition: form-data; name="file"; filename="of_{self.name}.txt"\r\n'
                      f"Content-Type: text/plain\r\n\r\n{file}\r\n")
        return (parts + "--frontier--\r\n").encode()

    def without_random(self, text):
        text = text.replace(f"of_{self.name}", "of_PEER")
        text = re.sub(r'(csrfmiddlewaretoken" value=")\w+', r"\1TOKEN", text)
        return re.sub(r'note/\d+/|value="\d+" class="action-select"', "NUMBER", text)

    def number(self):
        page = served.ask(self.name, "/admin/notes/note/", "GET", None, {
            "Cookie": "; ".join(f"{key}={value}" for key, value in self.cookies.items())})
        return re.search(r"note/(\d+)/change", page.body.decode()).group(1)


class TestPeers(unittest.TestCase):
    def visit(self, name):
        visitor = Visitor(name)
        for path in ("/", "/nowhere", "/admin", "/admin/", "/admin/login/"):
            visitor.ask(path)
        visitor.ask("/admin/login/?next=/admin/", {"username": f"user_of_{name}", "password": "wrong"})
        visitor.ask("/admin/login/?next=/admin/", {"username": f"user_of_{name}", "password": "secret"})
        visitor.ask("/admin/")
        visitor.ask("/admin/notes/note/add/", {"title": "", "text": "none"})
        visitor.ask("/admin/notes/note/add/", {"title": "A \u201cdoor\u201d", "text": "x" * 100000}, "a file's text")
        visitor.ask("/admin/notes/note/")
        number = visitor.number()
        visitor.ask(f"/page/{number}")
        visitor.ask(f"/admin/notes/note/{number}/change/")
        visitor.ask(f"/admin/notes/note/{number}/delete/", {"post": "yes"})
        visitor.seen = [(path.replace(number, "N"), *rest) for path, *rest in visitor.seen]
        visitor.ask("/admin/")
        visitor.ask("/admin/logout/")
        return visitor.seen

    def test_all_answer_alike(self):
        seen = {name: self.visit(name) for name in peers.NAMES}
        statuses = [status for _, status, *_ in seen["door"]]
        self.assertEqual(statuses, [200, 404, 301, 302, 200, 200, 302, 200, 200, 302, 200, 200, 200, 302, 200, 200])
        for name in peers.NAMES[1:]:
            for ours, theirs in zip(seen["door"], seen[name]):
                with self.subTest(f"{name}: {ours[0]}"):
                    self.assertEqual(ours, theirs)


if __name__ == "__main__":
    support.main()
