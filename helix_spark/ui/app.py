"""The pages over HTTP: routes, response headers, and the check of `Host`. Only GET and HEAD; they change nothing."""

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
"""An IPv6 address in brackets, or a name or an IPv4 address; then an optional port."""

_NUMBER = re.compile(r"[0-9]{1,9}")
_MAX_VALUE_LENGTH = 2_000
"""Characters of a value in a URL."""
_MAX_COLUMNS = 200
"""Columns in a URL."""


def make_app(records: CatalogReader, names: Collection[str] = ()) -> ASGIApp:
    """Return the application. `names` are allowed host names other than localhost."""
    pages = Pages(records, Links())

    # Reading records takes time, and Starlette runs functions that are not async in a thread.

    def iterations(request: Request) -> Page:
        order = _text(request, "order")
        orders: dict[str, Order] = {name: name for name in get_args(Order)}
        return pages.iterations(
            _text(request, "workflow"), query=_text(request, "q"), order=orders.get(order, "number"),
            ascending=_is_set(request, "up"), page=_number(request, "page", 1), metric=_text(request, "metric"),
            columns=[name[:_MAX_VALUE_LENGTH] for name in request.query_params.getlist("column")[:_MAX_COLUMNS]],
        )

    def respond_with(view: Callable[[Request], Page]) -> Callable[[Request], Response]:
        return lambda request: HTMLResponse(pages.render_page(view(request)))

    def respond_with_state(request: Request) -> Response:
        state = pages.state(_text(request, "workflow"), _number(request, "number"))
        return Response(state, media_type="application/json")

    def respond_with_asset(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in _ASSETS:
            raise HTTPException(404, "there is no such file")
        return Response(asset(name), media_type=_ASSETS[name])

    def handle_helix_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, HelixError)
        is_missing = isinstance(error, ParameterError)
        title, status = ("Not found", 404) if is_missing else ("The catalog cannot be read", 503)
        if request.url.path == "/state":
            return JSONResponse({"error": error.what}, status)
        return HTMLResponse(pages.failure(title, error), status)

    def handle_http_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return HTMLResponse(pages.failure(f"{error.status_code}", HelixError(error.detail)), error.status_code)

    views: dict[str, Callable[[Request], Page]] = {
        "/": iterations,
        "/iteration": lambda request: pages.iteration(
            _text(request, "workflow"), _number(request, "number"), node_filter=_text(request, "nodes"),
            unfolded=_is_set(request, "whole"),
        ),
        "/node": lambda request: pages.node(
            _text(request, "workflow"), _number(request, "number"), _text(request, "node")
        ),
        "/compare": lambda request: pages.compare(
            _text(request, "workflow"), _number(request, "a"), _number(request, "b"),
            shows_equal=_is_set(request, "whole"),
        ),
        "/metrics": lambda request: pages.metrics(_text(request, "workflow")),
        "/storage": lambda request: pages.storage(_text(request, "workflow")),
    }
    endpoints = {path: respond_with(view) for path, view in views.items()}
    endpoints |= {"/state": respond_with_state, "/assets/{name}": respond_with_asset}
    app = Starlette(
        routes=[Route(path, endpoint, methods=["GET"]) for path, endpoint in endpoints.items()],
        exception_handlers={HTTPException: handle_http_error, HelixError: handle_helix_error},
    )
    return _guard(app, {LOCAL, *(name.lower() for name in names)})


def _text(request: Request, name: str) -> str:
    return request.query_params.get(name, "")[:_MAX_VALUE_LENGTH]


def _is_set(request: Request, name: str) -> bool:
    return _text(request, name) == "1"


def _number(request: Request, name: str, default: int | None = None) -> int:
    text = _text(request, name)
    if not text and default is not None:
        return default
    if not _NUMBER.fullmatch(text):
        raise HTTPException(400, f"{name} must be a number, not {text!r}")
    return int(text)


def asset(name: str) -> str:
    """Return the text of an asset; ``style.css`` begins with the style of graphs."""
    text = (files("helix_spark.ui") / "assets" / name).read_text(encoding="utf-8")
    return f"{stylesheet('graph.css')}\n{text}" if name == "style.css" else text


def _guard(app: ASGIApp, names: Collection[str]) -> ASGIApp:
    """Return an application that refuses requests for other hosts and adds the headers to every response.

    Otherwise a web site could read the catalog by DNS rebinding, with a host name that resolves to this machine.
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
            refusal = PlainTextResponse("this server does not serve that host name\n", 421)
            await refusal(scope, receive, send_guarded)

    return serve_guarded


def host_allowed(header: str, names: Collection[str]) -> bool:
    """Return whether a `Host` header is an IP address or one of `names`, in lower case.

    >>> [host_allowed(host, ["localhost"]) for host in ("127.0.0.1:8760", "[::1]:8760", "LOCALHOST", "localhost:1")]
    [True, True, True, True]
    >>> [host_allowed(host, ["localhost"]) for host in ("", "localhost.evil.com", "localhost.", "me@localhost",
    ...     "[::1].evil.com", "[localhost]", "localhost:1:2", "localhost:99999", "[::1", "127.0.0.1.evil.com", "::1")]
    [False, False, False, False, False, False, False, False, False, False, False]
    """
    match = _HOST.fullmatch(header)
    if match is None or int(match[3] or 0) > 65_535:
        return False
    if match[1] is None and match[2].lower() in names:
        return True
    try:
        return ipaddress.ip_address(match[1] or match[2]).version == (4 if match[1] is None else 6)
    except ValueError:
        return False


def bind(host: str, port: int) -> socket.socket:
    """Return a socket bound to an address; port 0 takes a free one. Raises SetupError if it is not available."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        raise SetupError(
            f"the pages cannot be served at {host}, port {port}: {error.strerror or error}",
            remedy="stop the program that uses it, or choose another with --port (0 takes a free one)",
        ) from error
    return listener


def serve(
    records: CatalogReader, listener: socket.socket, names: Collection[str], on_start: Callable[[str], None]
) -> None:
    """Serve until interrupted; call `on_start` with the URL once requests are accepted."""
    host, port = listener.getsockname()[:2]
    config = uvicorn.Config(
        make_app(records, names), log_level="warning", access_log=False, lifespan="off", server_header=False,
        loop="asyncio", http="h11", ws="none",  # the alternatives take time to import
    )
    listener.listen(128)
    on_start(f"http://{f'[{host}]' if ':' in host else host}:{port}/")
    uvicorn.Server(config).run(sockets=[listener])
