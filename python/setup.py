# SPDX-License-Identifier: Apache-2.0
#
# Run by `make python`, which tells where the libraries and their headers are.  One
# wheel serves CPython 3.9 and later (the limited API); a debug build of CPython counts
# references with its own headers only.

import glob
import os
import sys

from setuptools import Extension, setup

is_debug = hasattr(sys, "gettotalrefcount")

native = Extension(
    "door_app._native",
    sources=sorted(glob.glob("src/*.c")),
    include_dirs=[os.environ["DOOR_APP_INCLUDE"]],
    define_macros=[] if is_debug else [("Py_LIMITED_API", "0x03090000")],
    extra_compile_args=["-std=gnu11", "-fvisibility=hidden", "-Wall", "-Wextra"]
    + os.environ.get("WERROR", "").split(),
    # Beside the module, where the wheel has them; or the system's, if the environment says so.
    extra_link_args=os.environ["DOOR_APP_LINK"].split()
    if "DOOR_APP_LINK" in os.environ
    else ["-Wl,-rpath,$ORIGIN", *sorted(glob.glob("door_app/lib*.so.*"))],
    py_limited_api=not is_debug,
)

setup(
    name="door_app",
    version=os.environ["DOOR_APP_VERSION"],
    description="WSGI applications behind Apache httpd's mod_door",
    license="Apache-2.0",
    python_requires=">=3.9",
    packages=["door_app"],
    package_data={"door_app": ["*.so.*", "*.pyi", "py.typed"]},
    ext_modules=[native],
    options={} if is_debug else {"bdist_wheel": {"py_limited_api": "cp39"}},
    zip_safe=False,
)
