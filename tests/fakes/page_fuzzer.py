"""Odd requests to the pages of a hostile catalog.

No answer may be a server's error, hold a file from outside of the catalog, or show a hostile text as markup.
"""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import quote

from starlette.testclient import TestClient

from helix_spark.catalog.catalog import Catalog
from helix_spark.ui.app import make_app
from tests.fakes.shown_catalogs import HOSTILE, hostile_catalog

SECRET = "the-text-of-a-file-outside-7c1f"
_PATHS = ("/", "/iteration", "/node", "/compare", "/metrics", "/storage", "/state", "/assets/style.css")
_NAMES = (
    "workflow", "number", "node", "a", "b", "q", "order", "up", "metric", "page", "nodes", "whole",
    "open", "x",
)
_METHODS = ("GET",) * 16 + ("HEAD", "POST", "PUT", "DELETE")
_MARKUP = ("<img src=x", "<script>alert", "<b>hostile", "<svg onload")


def fuzz(folder: Path, requests: int, seed: int) -> dict[str, Any]:
    """Send requests within this process; return the number of answers by status, and those that are wrong."""
    root = folder / "catalog"
    catalog = hostile_catalog(root)
    (folder / "secret.txt").write_text(SECRET)
    client = TestClient(
        make_app(Catalog.open(root, create=False)), base_url="http://localhost", raise_server_exceptions=False
    )
    (workflow,) = (name for name in catalog.workflows() if name != "other")
    second = next(one for one in catalog.iterations(workflow) if one.number == 2)
    known = [workflow, *(node.name for node in catalog.nodes(second))]
    chance = random.Random(seed)
    statuses: Counter[int] = Counter()
    wrong: list[str] = []
    for _ in range(requests):
        method, address = chance.choice(_METHODS), _address(chance, known, folder)
        answer = client.request(method, address, headers=_headers(chance), follow_redirects=False)
        statuses[answer.status_code] += 1
        said = answer.text
        if answer.status_code >= 500:
            wrong.append(f"{answer.status_code}: {method} {address}")
        if SECRET in said or "root:x:0" in said:
            wrong.append(f"a file from outside: {method} {address}")
        if answer.headers.get("content-type", "").startswith("text/html") and any(markup in said for markup in _MARKUP):
            wrong.append(f"markup: {method} {address}")
    return {"requests": requests, "seed": seed, "statuses": dict(sorted(statuses.items())), "wrong": wrong[:20]}


def _address(chance: random.Random, known: list[str], folder: Path) -> str:
    path = chance.choice(_PATHS)
    if chance.random() < 0.25:
        path = _odd_path(chance, path, folder)
    asked = {"workflow": quote(known[0], safe=""), "node": quote(chance.choice(known[1:]), safe="")}
    asked |= {name: str(chance.randint(1, 4)) for name in ("number", "a", "b")}
    asked |= {chance.choice(_NAMES): _value(chance, known) for _ in range(chance.randint(0, 4))}
    return f"{path}?" + "&".join(f"{name}={value}" for name, value in asked.items())


def _odd_path(chance: random.Random, path: str, folder: Path) -> str:
    return chance.choice((
        f"/assets/..%2f..%2f{quote(str(folder / 'secret.txt'), safe='')}", "/assets/../../../../../../etc/passwd",
        "/assets/%2e%2e/%2e%2e/app.py", f"/{quote(str(folder))}/secret.txt", "/assets//etc/passwd", "/assets/",
        f"{path}/", f"/{quote(_random_text(chance))}", "/static/style.css", "/records/iterations", "/helix.json",
    ))


def _value(chance: random.Random, known: list[str]) -> str:
    raw = chance.choice((
        HOSTILE, "<b>hostile", "<svg onload=alert(1)>", "", "0", "-1", "1", "2", "3", "999999999", "9" * 40, "1e9",
        "NaN", "null", "true", "1; DROP TABLE journal", "' OR '1'='1", "../../secret.txt", "/etc/passwd", "{{7*7}}",
        "{% raw %}", "+" + chance.choice(known) + "+", chance.choice(known), _random_text(chance), "x" * 5000,
        "99999999999999999999+a", "+" * 500, "٣",
    ))
    return chance.choice((quote(raw, safe=""), quote(raw), quote(raw[:40], safe="") + "%ff%00"))


def _random_text(chance: random.Random) -> str:
    ranges = ((32, 126), (0, 31), (160, 0x2FF), (0x4E00, 0x4EFF), (0x1F300, 0x1F5FF))
    low, high = chance.choice(ranges)
    return "".join(chr(chance.randint(low, high)) for _ in range(chance.randint(1, 30)))


def _headers(chance: random.Random) -> dict[str, str]:
    if chance.random() < 0.9:
        return {}
    return chance.choice((
        {"host": "evil.example"}, {"host": "127.0.0.1:1"}, {"host": "[::1]"}, {"host": "localhost:99999"},
        {"accept": "x" * 2000}, {"range": "bytes=0-10"}, {"x-forwarded-host": "evil.example"}, {"cookie": "a=<script>"},
    ))
