# SPDX-License-Identifier: Apache-2.0
"""python3 -m door_app MODULE[:NAME], or a file's path: serves a WSGI application at a door."""

import argparse
import faulthandler
import functools
import importlib
import logging
import os
import sys
import types

from . import LogHandler, run
from ._watch import watch


def read_arguments():
    parser = argparse.ArgumentParser(
        prog="python3 -m door_app",
        description="Serves a WSGI application at a door, until SIGTERM or SIGINT.",
    )
    parser.add_argument(
        "application", metavar="MODULE[:NAME]",
        help='a module, or the path of a file if it has a "/" in it; NAME is "application" if it is not given',
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


def load_file(path):
    """The module that the file is, whatever it is called: "my-site.wsgi" is one of mod_wsgi's."""
    path = os.path.abspath(path)
    module = types.ModuleType("_door_app_" + "".join(c if c.isalnum() else "_" for c in os.path.basename(path)))
    module.__file__ = path
    sys.modules[module.__name__] = module
    with open(path, "rb") as file:
        exec(compile(file.read(), path, "exec"), module.__dict__)
    return module


def find_application(text):
    module, _, name = text.partition(":")
    found = load_file(module) if "/" in module else importlib.import_module(module)
    return functools.reduce(getattr, (name or "application").split("."), found)


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
