"""Where things lead: addresses of a server's pages, or places within one file."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Protocol
from urllib.parse import urlencode


class Links(Protocol):
    """The address of each page; an empty text where there is none."""

    live: bool

    def iterations(self, workflow: str, **state: Any) -> str: ...
    def iteration(self, workflow: str, number: int, **state: Any) -> str: ...
    def image(self, workflow: str, number: int, **state: Any) -> str: ...
    def node(self, workflow: str, number: int, name: str) -> str: ...
    def compare(self, workflow: str, before: int, after: int, **state: Any) -> str: ...
    def metrics(self, workflow: str, **state: Any) -> str: ...
    def storage(self, workflow: str) -> str: ...


def query(**state: Any) -> str:
    """State as the query of an address; empty values are left out, several of one name follow each other.

    >>> query(workflow="a b&c", number=3, q="")
    '?workflow=a+b%26c&number=3'
    >>> query(open=("a", "b"))
    '?open=a&open=b'
    """
    kept = {name: 1 if value is True else value for name, value in state.items() if value not in ("", None, False, ())}
    return f"?{urlencode(kept, doseq=True, errors='backslashreplace')}" if kept else ""


class ServerLinks:
    """Addresses of a server: all state is in the query, so every page can be shared and reloaded."""

    live = True

    def iterations(self, workflow: str, **state: Any) -> str:
        return "/" + query(workflow=workflow, **state)

    def iteration(self, workflow: str, number: int, **state: Any) -> str:
        return "/iteration" + query(workflow=workflow, number=number, **state)

    def image(self, workflow: str, number: int, **state: Any) -> str:
        return "/graph.svg" + query(workflow=workflow, number=number, **state)

    def node(self, workflow: str, number: int, name: str) -> str:
        return "/node" + query(workflow=workflow, number=number, node=name)

    def compare(self, workflow: str, before: int, after: int, **state: Any) -> str:
        return "/compare" + query(workflow=workflow, a=before, b=after, **state)

    def metrics(self, workflow: str, **state: Any) -> str:
        return "/metrics" + query(workflow=workflow, **state)

    def storage(self, workflow: str) -> str:
        return "/storage" + query(workflow=workflow)


class FileLinks:
    """Places within one file.

    Args:
        workflows: the order in which they are in the file; places are named by number, names may hold anything.
        iterations, comparisons: what the file has, as (workflow, number) and (workflow, before, after).
        nodes: names of those that the file has, by (workflow, number).
    """

    live = False

    def __init__(
        self, workflows: Collection[str], iterations: Collection[tuple[str, int]],
        comparisons: Collection[tuple[str, int, int]],
        nodes: Mapping[tuple[str, int], Sequence[str]] = MappingProxyType({}),
    ) -> None:
        self._place = {name: place for place, name in enumerate(workflows)}
        self._iterations, self._comparisons = frozenset(iterations), frozenset(comparisons)
        self._nodes = {at: {name: place for place, name in enumerate(names)} for at, names in nodes.items()}

    def iterations(self, workflow: str, **state: Any) -> str:
        return "" if state else f"#iterations-{self._place[workflow]}"

    def iteration(self, workflow: str, number: int, **state: Any) -> str:
        known = (workflow, number) in self._iterations and not state
        return f"#iteration-{self._place[workflow]}-{number}" if known else ""

    def image(self, workflow: str, number: int, **state: Any) -> str:
        return ""

    def node(self, workflow: str, number: int, name: str) -> str:
        place = self._nodes.get((workflow, number), {}).get(name)
        return "" if place is None else f"#node-{self._place[workflow]}-{number}-{place}"

    def compare(self, workflow: str, before: int, after: int, **state: Any) -> str:
        known = (workflow, before, after) in self._comparisons and not state
        return f"#compare-{self._place[workflow]}-{before}-{after}" if known else ""

    def metrics(self, workflow: str, **state: Any) -> str:
        return "" if state else f"#metrics-{self._place[workflow]}"

    def storage(self, workflow: str) -> str:
        return f"#storage-{self._place[workflow]}"
