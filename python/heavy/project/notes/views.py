# SPDX-License-Identifier: Apache-2.0
import time

from django.db import connection
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.template import Context, Engine

from .models import Note

PAGE = Engine().from_string("<!doctype html><title>{{ note.title }}</title>\n<p>{{ note.text|linebreaksbr }}\n")


def index(request):
    return HttpResponse("".join(f"{note.title}: {note.text}\n" for note in Note.objects.order_by("id")),
                        content_type="text/plain; charset=utf-8")


def page(request, number):
    """One query, and a template."""
    note = get_object_or_404(Note, pk=number)
    return HttpResponse(PAGE.render(Context({"note": note})))


def backend(request):
    """Which process of PostgreSQL serves this thread; its query takes a moment."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid() FROM pg_sleep(0.1)")
        (pid,) = cursor.fetchone()
    return HttpResponse(f"{request.environ['door_app.request'].thread_number} {pid} {time.time()}")
