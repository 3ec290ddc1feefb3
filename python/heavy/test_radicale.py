# SPDX-License-Identifier: Apache-2.0
"""Radicale, a calendar server, unchanged behind a door and under its peers: what a calendar
program asks, and that each answers as the others do.  Each has a store of its own."""

import os
import re
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "t"))
import peers
import support

AUTH = {"Authorization": "Basic YWRhOnNlY3JldA=="}  # ada:secret
XML = {"Content-Type": "application/xml; charset=utf-8", **AUTH}
EVENT = """BEGIN:VCALENDAR\r
VERSION:2.0\r
PRODID:-//mod_door//test//EN\r
BEGIN:VEVENT\r
UID:%s\r
DTSTAMP:20260101T000000Z\r
DTSTART:%sT100000Z\r
DTEND:%sT110000Z\r
SUMMARY:A door \u2013 opens\r
END:VEVENT\r
END:VCALENDAR\r
"""
PROPERTIES = """<?xml version="1.0"?><propfind xmlns="DAV:"><prop><displayname/><resourcetype/><getetag/>
<current-user-principal/><getcontenttype/></prop></propfind>"""
RANGE = """<?xml version="1.0"?><C:calendar-query xmlns="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav">
<prop><getetag/><C:calendar-data/></prop><C:filter><C:comp-filter name="VCALENDAR"><C:comp-filter name="VEVENT">
<C:time-range start="20260201T000000Z" end="20260301T000000Z"/></C:comp-filter></C:comp-filter></C:filter>
</C:calendar-query>"""
SYNC = """<?xml version="1.0"?><sync-collection xmlns="DAV:"><sync-token/><sync-level>1</sync-level>
<prop><getetag/></prop></sync-collection>"""
NAMING = """<?xml version="1.0"?><propertyupdate xmlns="DAV:"><set><prop><displayname>Doors &amp; more</displayname>
</prop></set></propertyupdate>"""


def event(uid, day):
    return (EVENT % (uid, day, day)).encode()


REQUESTS = [
    ("GET", "/", None, {}), ("GET", "/.web/", None, {}), ("PROPFIND", "/", PROPERTIES, {"Depth": "0"}),
    ("PROPFIND", "/ada/", PROPERTIES, {"Depth": "0"}), ("PROPFIND", "/ada/", PROPERTIES, {"Depth": "0", **XML}),
    ("OPTIONS", "/ada/", None, AUTH), ("MKCALENDAR", "/ada/work/", None, AUTH), ("MKCALENDAR", "/ada/work/", None, AUTH),
    ("PROPPATCH", "/ada/work/", NAMING, XML), ("PROPFIND", "/ada/", PROPERTIES, {"Depth": "1", **XML}),
    ("PUT", "/ada/work/one.ics", event("one", "20260115"), {"If-None-Match": "*", **AUTH}),
    ("PUT", "/ada/work/one.ics", event("one", "20260115"), {"If-None-Match": "*", **AUTH}),
    ("PUT", "/ada/work/tw%C3%B6.ics", event("two", "20260215"), AUTH),
    ("PUT", "/ada/work/bad.ics", b"no calendar", AUTH), ("GET", "/ada/work/one.ics", None, AUTH),
    ("HEAD", "/ada/work/one.ics", None, AUTH), ("GET", "/ada/work/one.ics", None, {"Accept-Encoding": "gzip", **AUTH}),
    ("GET", "/ada/work/", None, AUTH), ("GET", "/ada/work/none.ics", None, AUTH),
    ("REPORT", "/ada/work/", RANGE, {"Depth": "1", **XML}), ("REPORT", "/ada/work/", SYNC, XML),
    ("REPORT", "/ada/work/", "<nonsense", XML), ("PROPFIND", "/ada/work/", PROPERTIES, {"Depth": "1", **XML}),
    ("MOVE", "/ada/work/one.ics", None, {"Destination": "http://127.0.0.1:PORT/ada/work/three.ics", **AUTH}),
    ("DELETE", "/ada/work/three.ics", None, {"If-Match": '"wrong"', **AUTH}), ("DELETE", "/ada/work/three.ics", None, AUTH),
    ("GET", "/ada/work/", None, AUTH), ("GET", "/eve/", None, AUTH), ("DELETE", "/ada/work/", None, AUTH),
    ("PROPFIND", "/ada/", PROPERTIES, {"Depth": "1", **XML}),
]
HEADERS = ("Content-Type", "Content-Encoding", "DAV", "ETag", "Allow", "Location", "WWW-Authenticate")


def write_configuration(name):
    path = httpd.path(f"radicale_{name}")
    with open(path, "w") as file:
        file.write(f"[auth]\ntype = htpasswd\nhtpasswd_filename = {httpd.path('users')}\nhtpasswd_encryption = plain\n"
                   f"delay = 0\n[storage]\nfilesystem_folder = {httpd.path('scratch/' + name)}\n[logging]\nlevel = warning\n")
    return {"RADICALE_CONFIG": path}


def setUpModule():
    global httpd, served
    httpd = support.Httpd().__enter__()
    os.mkdir(httpd.path("scratch"))
    os.chmod(httpd.path("scratch"), 0o777)
    with open(httpd.path("users"), "w") as file:
        file.write("ada:secret\neve:secret\n")
    served = peers.Peers(httpd, httpd.make_environment("--system-site-packages"), "radicale:application",
                         env={name: write_configuration(name) for name in peers.NAMES})
    httpd.configure("<Location />\nCGIPassAuth On\n</Location>\nWSGIPassAuthorization On\n" + served.configuration(),
                    modules=peers.MODULES)
    served.start()
    httpd.start()


def tearDownModule():
    served.stop()
    httpd.__exit__()


def ask(name, method, path, body, headers):
    port = str(served.ports[name])
    response = served.ask(name, path, method, body, {key: value.replace("PORT", port) for key, value in headers.items()})
    fields = {field: (response.getheader(field) or "").replace(port, "PORT") for field in HEADERS}
    return response.status, fields, re.sub(r"[0-9a-f]{64}", "TOKEN", response.body.decode("latin-1").replace(port, "PORT"))


class TestRadicale(unittest.TestCase):
    def test_all_answer_alike(self):
        statuses = []
        for request in REQUESTS:
            answers = {name: ask(name, *request) for name in peers.NAMES}
            statuses.append(answers["door"][0])
            for name in peers.NAMES[1:]:
                with self.subTest(f"{request[0]} {request[1]}: {name}"):
                    self.assertEqual(answers["door"], answers[name])
        self.assertEqual(statuses, [302, 200, 401, 401, 207, 200, 201, 409, 207, 207, 201, 412, 201, 400, 200, 200, 200,
                                    200, 404, 207, 207, 400, 207, 201, 412, 200, 200, 403, 200, 207])

    def test_events_are_kept(self):
        ask("door", "MKCALENDAR", "/ada/home/", None, AUTH)
        for i in range(50):
            status, _, _ = ask("door", "PUT", f"/ada/home/{i}.ics", event(f"event-{i}", "20260210"), AUTH)
            self.assertEqual(status, 201)
        _, _, text = ask("door", "REPORT", "/ada/home/", RANGE, {"Depth": "1", **XML})
        self.assertEqual(text.count("<response>"), 50)
        self.assertIn("A door \u2013 opens".encode().decode("latin-1"), text)


if __name__ == "__main__":
    support.main()
