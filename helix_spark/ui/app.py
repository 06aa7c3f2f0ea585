"""The pages over HTTP: addresses to pages, and what every answer carries. Answers GET and HEAD, and changes nothing."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable, Collection
from importlib.resources import files
from typing import TYPE_CHECKING, get_args

import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from helix_spark.drawing.markup import stylesheet
from helix_spark.errors import HelixError, ParameterError, SetupError
from helix_spark.ui.links import Links
from helix_spark.ui.listing import Order
from helix_spark.ui.pages import Page, Pages

if TYPE_CHECKING:
    from helix_spark.catalog.catalog_reader import CatalogReader

LOCAL = "localhost"

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}

_ASSETS = {
    "style.css": "text/css", "icon.svg": "image/svg+xml",
    **dict.fromkeys(
        ("page.js", "graph.js", "panel.js", "plots.js", "vega.min.js", "vega-lite.min.js", "vega-interpreter.min.js"),
        "text/javascript",
    ),
}
_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::([0-9]{1,5}))?")
"""An address of IPv6 in brackets, or a name or another address; and a port. Nothing before, between or behind them."""

_NUMBER = re.compile(r"[0-9]{1,9}")
_LONGEST = 2_000
"""Characters of a value in an address."""
_MOST_NAMED = 200
"""Columns that an address names; more than anybody can read."""


def make_app(records: CatalogReader, names: Collection[str] = ()) -> ASGIApp:
    """Return the application; `names` are further host names under which it may be asked."""
    pages = Pages(records, Links())

    # Plain functions: Starlette runs them in a thread, as records take time.

    def iterations(request: Request) -> Page:
        order = _text(request, "order")
        orders: dict[str, Order] = {name: name for name in get_args(Order)}
        return pages.iterations(
            _text(request, "workflow"), query=_text(request, "q"), order=orders.get(order, "number"),
            ascending=_is_set(request, "up"), page=_number(request, "page", 1), metric=_text(request, "metric"),
            columns=[one[:_LONGEST] for one in request.query_params.getlist("column")[:_MOST_NAMED]],
        )

    def shown(view: Callable[[Request], Page]) -> Callable[[Request], Response]:
        return lambda request: HTMLResponse(pages.framed(view(request)))

    def state(request: Request) -> Response:
        found = pages.state(_text(request, "workflow"), _number(request, "number"))
        return Response(found, media_type="application/json")

    def served(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in _ASSETS:
            raise HTTPException(404, "there is no such file")
        return Response(asset(name), media_type=_ASSETS[name])

    def failed(request: Request, error: Exception) -> Response:
        assert isinstance(error, HelixError)
        is_missing = isinstance(error, ParameterError)
        title, status = ("Not here", 404) if is_missing else ("The catalog cannot be read", 503)
        if request.url.path == "/state":
            return JSONResponse({"error": error.what}, status)
        return HTMLResponse(pages.failure(title, error), status)

    def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return HTMLResponse(pages.failure(f"{error.status_code}", HelixError(error.detail)), error.status_code)

    views: dict[str, Callable[[Request], Page]] = {
        "/": iterations,
        "/iteration": lambda request: pages.iteration(
            _text(request, "workflow"), _number(request, "number"), wanted=_text(request, "nodes"),
            whole=_is_set(request, "whole"),
        ),
        "/node": lambda request: pages.node(
            _text(request, "workflow"), _number(request, "number"), _text(request, "node")
        ),
        "/compare": lambda request: pages.compare(
            _text(request, "workflow"), _number(request, "a"), _number(request, "b"), whole=_is_set(request, "whole")
        ),
        "/metrics": lambda request: pages.metrics(_text(request, "workflow")),
        "/storage": lambda request: pages.storage(_text(request, "workflow")),
    }
    answers = {path: shown(view) for path, view in views.items()}
    answers |= {"/state": state, "/assets/{name}": served}
    app = Starlette(
        routes=[Route(path, answer, methods=["GET"]) for path, answer in answers.items()],
        exception_handlers={HTTPException: refused, HelixError: failed},
    )
    return _guarded(app, {LOCAL, *(name.lower() for name in names)})


def _text(request: Request, name: str) -> str:
    return request.query_params.get(name, "")[:_LONGEST]


def _is_set(request: Request, name: str) -> bool:
    return _text(request, name) == "1"


def _number(request: Request, name: str, default: int | None = None) -> int:
    given = _text(request, name)
    if not given and default is not None:
        return default
    if not _NUMBER.fullmatch(given):
        raise HTTPException(400, f"{name} is to be a number, not {given!r}")
    return int(given)


def asset(name: str) -> str:
    """Return the text of an asset; the style of graphs comes first in that of pages."""
    own = (files("helix_spark.ui") / "assets" / name).read_text(encoding="utf-8")
    return f"{stylesheet('graph.css')}\n{own}" if name == "style.css" else own


def _guarded(app: ASGIApp, names: Collection[str]) -> ASGIApp:
    """Return an application that refuses what names another host, and adds the headers to every answer.

    A page on the web must not read a catalog through a name of its own that leads to this machine.
    """
    async def serve_guarded(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        if len(hosts) == 1 and host_allowed(hosts[0], names):
            await app(scope, receive, send_guarded)
        else:
            refusal = PlainTextResponse("this server does not answer to that host name\n", 421)
            await refusal(scope, receive, send_guarded)

    return serve_guarded


def host_allowed(header: str, names: Collection[str]) -> bool:
    """Return whether a `Host` header is one of `names`, in small letters, or an address: names can be made to lead
    anywhere.

    >>> [host_allowed(host, ["localhost"]) for host in ("127.0.0.1:8760", "[::1]:8760", "LOCALHOST", "localhost:1")]
    [True, True, True, True]
    >>> [host_allowed(host, ["localhost"]) for host in ("", "localhost.evil.com", "localhost.", "me@localhost",
    ...     "[::1].evil.com", "[localhost]", "localhost:1:2", "localhost:99999", "[::1", "127.0.0.1.evil.com", "::1")]
    [False, False, False, False, False, False, False, False, False, False, False]
    """
    found = _HOST.fullmatch(header)
    if found is None or int(found[3] or 0) > 65_535:
        return False
    if found[1] is None and found[2].lower() in names:
        return True
    try:
        return ipaddress.ip_address(found[1] or found[2]).version == (4 if found[1] is None else 6)
    except ValueError:
        return False


def bound(host: str, port: int) -> socket.socket:
    """Return a socket that listens at an address; port 0 takes a free one. Raises SetupError where the address is not
    to be had."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        opened = socket.socket(family, kind)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind(address)
    except OSError as error:
        raise SetupError(
            f"the pages cannot be served at {host}, port {port}: {error.strerror or error}",
            remedy="stop what is there, or name another with --port (0 takes a free one)",
        ) from error
    return opened


def serve(
    records: CatalogReader, opened: socket.socket, names: Collection[str], started: Callable[[str], None]
) -> None:
    """Serve until interrupted; call `started` with the address once it is served."""
    host, port = opened.getsockname()[:2]
    config = uvicorn.Config(
        make_app(records, names), log_level="warning", access_log=False, lifespan="off", server_header=False,
        loop="asyncio", http="h11", ws="none",  # others would be imported, and waited for
    )
    opened.listen(128)
    started(f"http://{f'[{host}]' if ':' in host else host}:{port}/")
    uvicorn.Server(config).run(sockets=[opened])
