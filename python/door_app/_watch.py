# SPDX-License-Identifier: Apache-2.0
"""Looks at files from time to time, and asks for the process's replacement when one has changed."""

import os
import sys
import threading
import time

from . import ask_replacement, log

INTERVAL = 1  # seconds
LOG_NOTICE, LOG_ERR = 5, 3


def _identify(path):
    """Which file it is; None if it is not there."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _module_files():
    files = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
    return [file for file in files if isinstance(file, str)]


class _Watch:
    def __init__(self, files, with_modules):
        self.files = files
        self.with_modules = with_modules
        self.known = {}
        self.changed()

    def changed(self):
        """The files that are others than when they were seen first."""
        files = self.files + (_module_files() if self.with_modules else [])
        return {
            file: now
            for file in files
            for now in (_identify(file),)
            if self.known.setdefault(file, now) != now
        }

    def run(self):
        before = {}
        while True:
            time.sleep(INTERVAL)
            now = self.changed()
            if now and now == before:  # twice the same: it has been written
                break
            before = now
        try:
            log(LOG_NOTICE, f"{next(iter(now))} has changed")
            ask_replacement()
        except OSError as error:
            log(LOG_ERR, f"cannot be replaced: {error.strerror}")


def watch(files, with_modules):
    """From now on, these files and, if that is wanted, those of all modules."""
    looker = _Watch([os.path.abspath(file) for file in files], with_modules)
    threading.Thread(target=looker.run, name="door_app watch", daemon=True).start()
