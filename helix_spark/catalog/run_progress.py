"""How far a running iteration is: one small file a run, replaced as it goes on, for those who watch it. It decides
nothing. What a killed run leaves behind tells where it was.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict, dataclass, replace

from helix_spark.catalog.history import in_order
from helix_spark.catalog.places.catalog_folder import Layout
from helix_spark.catalog.places.json_text import Finite, parsed_as
from helix_spark.catalog.places.place import Place, text_in
from helix_spark.identity.parts import digest

_LONGEST = 16 << 20
"""Bytes of a note at most; a node takes some 200."""


@dataclass(frozen=True, slots=True)
class RunningNode:
    """A node as planned; see `NodeRecord`.

    Attributes:
        started, ended: of a node that runs as a step of its own, seconds since the run was planned; else None.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    state: str
    reason: str
    predicted_seconds: Finite
    output: bool
    started: Finite | None = None
    ended: Finite | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is.

    Attributes:
        answered: seconds to the answer; None before.
        stored: names of what was stored since.
        began: Unix seconds by the writer's clock; 0 where an older writer did not say.
        session_seconds: what Spark's start and the first work of its session are expected to take beside the nodes.
        starting: whether Spark has been started since.
    """

    workflow: str
    number: int
    nodes: tuple[RunningNode, ...]
    answered: Finite | None = None
    stored: tuple[str, ...] = ()
    began: Finite = 0.0
    session_seconds: Finite = 0.0
    starting: bool = False

    @property
    def has_ended(self) -> bool:
        """True once a node is done."""
        return any(node.ended is not None for node in self.nodes)

    def with_times(self, name: str, *, started: float | None = None, ended: float | None = None) -> Progress:
        return replace(self, nodes=tuple(
            replace(node, started=node.started if started is None else started, ended=ended)
            if node.name == name else node for node in self.nodes
        ))


def write_progress(layout: Layout, progress: Progress) -> None:
    """Replace the note of a run. Raises OSError."""
    path = _path(layout, progress.workflow, progress.number)
    path.parent.make_folder()
    path.replace_text(json.dumps(asdict(progress)))


def remove_progress(layout: Layout, workflow: str, number: int) -> None:
    with contextlib.suppress(OSError):
        _path(layout, workflow, number).unlink(missing_ok=True)


def read_progress(layout: Layout, workflow: str, number: int) -> Progress | None:
    """Read the note of a run; None where none can be read."""
    try:
        known = parsed_as(text_in(_path(layout, workflow, number), _LONGEST), Progress)
    except (OSError, ValueError):
        return None
    return replace(known, nodes=tuple(in_order(known.nodes)))


def _path(layout: Layout, workflow: str, number: int) -> Place:
    return layout.records / "running" / f"{digest(workflow)[:32]}-{number:d}.json"
