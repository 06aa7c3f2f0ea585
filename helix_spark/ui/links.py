"""Links to pages: URLs of a server, or anchors within one file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode


class Links:
    """URLs of pages, with all state in the query, so that pages can be shared and reloaded. In an exported file,
    `anchors` replace a server's URLs; URLs without an anchor become empty.

    >>> Links().iterations("a b&c", page=3, q="", column=("d", "e"))
    '/?workflow=a+b%26c&page=3&column=d&column=e'
    """

    def __init__(self, anchors: Mapping[str, str] | None = None) -> None:
        self._anchors, self.live = anchors, anchors is None

    def iterations(self, workflow: str, **state: Any) -> str:
        return self._address("/", workflow=workflow, **state)

    def iteration(self, workflow: str, number: int, **state: Any) -> str:
        return self._address("/iteration", workflow=workflow, number=number, **state)

    def node(self, workflow: str, number: int, name: str) -> str:
        return self._address("/node", workflow=workflow, number=number, node=name)

    def compare(self, workflow: str, before: int, after: int, **state: Any) -> str:
        return self._address("/compare", workflow=workflow, a=before, b=after, **state)

    def metrics(self, workflow: str) -> str:
        return self._address("/metrics", workflow=workflow)

    def storage(self, workflow: str) -> str:
        return self._address("/storage", workflow=workflow)

    def _address(self, page: str, /, **state: Any) -> str:
        terms = {name: value for name, value in state.items() if value not in ("", None, False, ())}
        terms = {name: 1 if value is True else value for name, value in terms.items()}
        address = page + (f"?{urlencode(terms, doseq=True, errors='backslashreplace')}" if terms else "")
        return address if self._anchors is None else self._anchors.get(address, "")
