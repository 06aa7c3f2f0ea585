"""Whether the sources that a run reads still hold the data that was signed: of one that changed meanwhile nobody knows
what was made of it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from helix_spark.dag.node import Dag, Node
from helix_spark.engine.execution.units import collects
from helix_spark.engine.results.results import ModelResult, NodeResult, TableResult, ValueResult
from helix_spark.errors import SourceError
from helix_spark.planner.plan import Plan
from helix_spark.planner.problem import State
from helix_spark.signature.data_version import files_of, version_of
from helix_spark.signature.signing import Description
from helix_spark.workflow.operators import Read
from helix_spark.workflow.sources import DeltaSource, FileSource, Source

_TICK = 2 * 10**9
"""Nanoseconds. A file that changed so shortly before it was looked at may change again without its times showing it."""

_State = tuple[tuple[str, int, int, int, int, int], ...]


@dataclass(frozen=True, slots=True)
class _Look:
    """What was found when a source was last looked at.

    Attributes:
        state: its files, their identities, sizes and times.
        at: when that was, in nanoseconds.
        moved: whether its data was not what was signed.
    """

    state: _State
    at: int
    moved: bool

    def tells_of(self, state: _State) -> bool:
        """Whether it holds of files in this state, too."""
        return self.state == state and all(max(modified, changed) < self.at - _TICK for *_, modified, changed in state)


class ReadSources:
    """The sources that one run read itself. What it took from the catalog or from memory was made of the signed data;
    but of a table that memory holds as collected rows alone, Spark computes the DataFrame anew for who asks for that.

    The data of each is read once after the answer, and again only where a file's identity, size or times are others.

    Args:
        described: with the versions that were signed.
        results: what the run had.
    """

    def __init__(
        self, dag: Dag, plan: Plan, described: Mapping[str, Description], results: Mapping[str, NodeResult]
    ) -> None:
        self._dag, self._plan, self._described, self._results = dag, plan, described, results
        self._looks: dict[str, _Look] = {}
        anew = [node.name for node in dag.nodes if self._is_computed_anew(node)]
        self._again = frozenset(anew).union(*(dag.ancestors(name) for name in anew))

    @property
    def names(self) -> tuple[str, ...]:
        """All of them."""
        return tuple(node.name for node in self._dag.nodes if self._is_read(node))

    def below(self, name: str) -> Iterator[str]:
        """Those that are read once more where a table is computed again, as when it is written."""
        waiting, met = [name], {name}
        while waiting:
            node = self._dag[waiting.pop()]
            if self._is_read(node):
                yield node.name
            inputs = [one for one in node.inputs if one not in met and not self._is_there(one)]
            met.update(inputs)
            waiting += inputs

    def has_moved(self, name: str) -> bool:
        """Whether the data of one is not what was signed any more."""
        before, source = self._looks.get(name), _source(self._dag[name])
        assert source is not None
        try:
            state, at = _state(source), time.time_ns()
            if before is not None and (before.moved or (state and before.tells_of(state))):
                return before.moved
            version = self._described[name].version
            moved = version is not None and version_of(source).digest != version.digest
        except (SourceError, OSError):
            state, at, moved = (), 0, True
        self._looks[name] = _Look(state, at, moved)
        return moved

    def _is_read(self, node: Node) -> bool:
        computed = node.name in self._results and self._plan[node.name].state is State.COMPUTE
        return (computed or node.name in self._again) and _source(node) is not None

    def _is_computed_anew(self, node: Node) -> bool:
        """Whether memory holds the rows of a table, and Spark computes them once more for a reader of this run."""
        result = self._results.get(node.name)
        if self._plan[node.name].state is not State.LOAD or not isinstance(result, TableResult):
            return False
        return result.collected and result.through_frame and not result.in_memory and any(
            self._plan[name].state is State.COMPUTE and not collects(self._dag[name], node.name)
            for name in self._dag.readers(node.name)
        )

    def _is_there(self, name: str) -> bool:
        """Whether a result is had without computing it again."""
        result = self._results.get(name)
        if isinstance(result, ModelResult | ValueResult) or (isinstance(result, TableResult) and result.at_hand):
            return True
        return self._plan[name].state is not State.COMPUTE and name not in self._again


def _source(node: Node) -> Source | None:
    """What a node reads whose data may change under it: not tables in memory, which are copied, nor what the author
    names the version of."""
    match node.operator:
        case Read(source=FileSource(version=None) | DeltaSource() as source):
            return source
    return None


def _state(source: Source) -> _State:
    """What the file system says of a source's files; empty for what is known otherwise."""
    if not isinstance(source, FileSource):
        return ()
    found = ((name, path.stat()) for name, path in files_of(source))
    return tuple(
        (name, one.st_dev, one.st_ino, one.st_size, one.st_mtime_ns, one.st_ctime_ns) for name, one in found
    )
