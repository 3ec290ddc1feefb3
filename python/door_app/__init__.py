# SPDX-License-Identifier: Apache-2.0
"""WSGI applications behind Apache httpd's mod_door.

    DoorApp site "/srv/site/venv/bin/python3 -m door_app mysite.wsgi --chdir /srv/site"

runs one process, whose threads are the doors': one for each request that runs.
What a thread has of its own (threading.local) stays from request to request.

environ["door_app.request"] is a Request: what httpd offers beyond WSGI.
"""

import logging

from ._native import CLIENT_GONE, CLIENT_MAYBE_GONE, FileWrapper, Request, ask_replacement, log, run

__all__ = [
    "CLIENT_GONE",
    "CLIENT_MAYBE_GONE",
    "FileWrapper",
    "LogHandler",
    "Request",
    "ask_replacement",
    "log",
    "run",
]


class LogHandler(logging.Handler):
    """Writes records to httpd's error log, with their level and the request's id.

    "python3 -m door_app" has it write what no other handler takes.
    """

    # From what level on a record is of that level of syslog(3).
    _levels = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))

    def emit(self, record):
        try:
            for least, level in self._levels:
                if record.levelno >= least:
                    break
            else:
                level = 7
            log(level, self.format(record))
        except Exception:
            self.handleError(record)
