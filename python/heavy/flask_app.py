# SPDX-License-Identifier: Apache-2.0
"""An application of Flask: routes, forms, uploads, sessions, streams, errors."""

import hashlib
import io

from flask import Flask, Response, abort, jsonify, redirect, render_template_string, request
from flask import send_file, session, stream_with_context, url_for

app = application = Flask(__name__)
app.secret_key = "of a test"

FORM = """<!doctype html><title>Form</title>
<form method="post"><input name="name" value="{{ name }}"></form><p>Hello, {{ name }}!</p>"""


@app.get("/")
def index():
    return "Well, hello to you too!\n"


@app.get("/item/<int:number>/<path:rest>")
def item(number, rest):
    return jsonify(number=number, rest=rest, query=request.args.to_dict(), url=url_for("item", number=1, rest="a/b"))


@app.route("/form", methods=["GET", "POST"])
def form():
    return render_template_string(FORM, name=request.form.get("name", "nobody"))


@app.post("/upload")
def upload():
    file = request.files["file"]
    content = file.read()
    return jsonify(name=file.filename, length=len(content), sha=hashlib.sha256(content).hexdigest())


@app.post("/login")
def login():
    session["user"] = request.form["user"]
    return redirect(url_for("who"), 303)


@app.get("/who")
def who():
    return session.get("user", "nobody")


@app.get("/stream")
def stream():
    def lines():
        for number in range(200):
            yield f"{request.args['name']} {number}\n" * 10
    return Response(stream_with_context(lines()), mimetype="text/plain")


@app.get("/file")
def file():
    return send_file(__file__, mimetype="text/x-python", conditional=True, etag=False, last_modified=0)


@app.get("/memory")
def memory():
    return send_file(io.BytesIO(b"x" * 300000), mimetype="application/octet-stream")


@app.get("/abort/<int:status>")
def give_up(status):
    abort(status)


@app.get("/fails")
def fails():
    raise RuntimeError("on purpose")


@app.route("/method", methods=["PUT", "DELETE", "PATCH"])
def method():
    return request.method + " " + request.get_data(as_text=True), 202, {"X-Method": request.method}


@app.get("/headers")
def headers():
    response = Response(request.headers.get("X-Umlaut", ""), headers={"X-Umlaut": "\xe4"})
    response.set_cookie("a", "b", path="/")
    response.set_cookie("c", "d", path="/")
    return response


@app.get("/empty")
def empty():
    return "", 204
