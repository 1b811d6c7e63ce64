"""Serves the explorer's page and its files. It has no data and no private route: the page calls the public API."""

from __future__ import annotations

from flask import Blueprint, Response, make_response, render_template, request

PATH = "/explorer"
# Everything is a file of this server, nothing is inline: a memory's text cannot become code even by mistake.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

bp = Blueprint(
    "explorer",
    __name__,
    url_prefix=PATH,
    template_folder="templates",
    static_folder="static",
    static_url_path="/static",
)


@bp.route("", methods=["GET"])
def show_explorer() -> Response:
    """The page; the same for everybody, so it needs no credential."""
    response = make_response(render_template("explorer.html", root=request.script_root))
    response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Cache-Control"] = "no-cache"
    return response
