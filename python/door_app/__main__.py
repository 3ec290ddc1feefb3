# SPDX-License-Identifier: Apache-2.0
"""python3 -m door_app MODULE[:NAME]: serves a WSGI application at a door."""

import argparse
import faulthandler
import functools
import importlib
import logging
import os
import sys

from . import LogHandler, run
from ._watch import watch


def read_arguments():
    parser = argparse.ArgumentParser(
        prog="python3 -m door_app",
        description="Serves a WSGI application at a door, until SIGTERM or SIGINT.",
    )
    parser.add_argument(
        "application", metavar="MODULE[:NAME]", help='NAME is "application" if it is not given'
    )
    parser.add_argument("--path", metavar="DOOR", help="the door; otherwise DOOR_PATH names it")
    parser.add_argument("--chdir", metavar="DIR", help="where modules are found, and the process is")
    parser.add_argument(
        "--touch", metavar="FILE", action="append", default=[],
        help="the process is replaced when that file has changed",
    )
    parser.add_argument(
        "--reload", action="store_true",
        help="the process is replaced when the file of a module has changed; for development",
    )
    return parser.parse_args()


def find_application(text):
    module, _, name = text.partition(":")
    return functools.reduce(
        getattr, (name or "application").split("."), importlib.import_module(module)
    )


def main():
    arguments = read_arguments()
    if arguments.chdir is not None:
        os.chdir(arguments.chdir)
        sys.path.insert(0, os.getcwd())
    if not faulthandler.is_enabled():
        faulthandler.enable()
    logging.lastResort = LogHandler(logging.WARNING)
    application = find_application(arguments.application)
    if arguments.touch or arguments.reload:
        watch(arguments.touch, arguments.reload)
    return run(application, arguments.path)


if __name__ == "__main__":
    sys.exit(main())
