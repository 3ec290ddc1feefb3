# SPDX-License-Identifier: Apache-2.0
"""The same application, between which and the server wsgiref's validator stands."""

from wsgiref.validate import validator

from app import application as inner

application = validator(inner)
