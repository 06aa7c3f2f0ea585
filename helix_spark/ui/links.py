"""Where things lead: addresses of a server's pages, or places within one file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode


class Links:
    """The address of each page. All state is in its query, so every page can be shared and reloaded. A file has places,
    by the address that a server would have; an address without one leads nowhere, and is an empty text."""

    def __init__(self, places: Mapping[str, str] | None = None) -> None:
        self._places, self.live = places, places is None

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
        address = page + query(**state)
        return address if self._places is None else self._places.get(address, "")


def query(**state: Any) -> str:
    """State as the query of an address; empty values are left out, several of one name follow each other.

    >>> query(workflow="a b&c", number=3, q="")
    '?workflow=a+b%26c&number=3'
    >>> query(open=("a", "b"))
    '?open=a&open=b'
    """
    kept = {name: 1 if value is True else value for name, value in state.items() if value not in ("", None, False, ())}
    return f"?{urlencode(kept, doseq=True, errors='backslashreplace')}" if kept else ""
