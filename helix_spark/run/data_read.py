"""Whether what a run reads, sources and files of `depends_on`, held the data that was signed from when that was signed
until the last reader was done: of what changed meanwhile nobody knows what was made of it, whatever it holds now."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from helix_spark.dag.node import Node
from helix_spark.engine.execution.units import collects
from helix_spark.engine.results.node_results import TableResult
from helix_spark.errors import SourceError
from helix_spark.identity.data_version import Identified, Readable, identify
from helix_spark.planner.problem import State
from helix_spark.run.run import Run
from helix_spark.workflow.sources import DeltaSource, FileSource


class DataRead:
    """The data that one run read itself: results from the catalog or from memory were made of the signed data.

    Of a table that memory holds as collected rows alone, Spark computes the DataFrame again for its readers.
    """

    def __init__(self, run: Run) -> None:
        self._dag, self._plan, self._described, self._outcome = run.dag, run.plan, run.described, run.outcome
        dag = run.dag
        self._changes: dict[str, str] = {}
        self._looked_into: set[Readable] = set()
        anew = [node.name for node in dag.nodes if self._is_computed_anew(node)]
        self._again = frozenset(anew).union(*(dag.ancestors(name) for name in anew))

    @property
    def names(self) -> tuple[str, ...]:
        """Nodes that read something whose data may change under them."""
        return tuple(node.name for node in self._dag.nodes if self._reads(node.name))

    def below(self, name: str) -> Iterator[str]:
        """Yield those that are read once more where a table is computed again, as when it is written, or may be."""
        above = self._dag.ancestors(name) | {name}
        return (one for one in self.names if one in above)

    def change(self, name: str, *, contents: bool) -> str | None:
        """Say what was done to the data that a node reads since it was signed; None if nothing was.

        A change stays one, also where all is put back.

        Args:
            contents: True to read files, once each: a disk on the network may keep no time of change.
        """
        if name not in self._changes:
            found = (self._change(name, one, contents=contents) for one in self._reads(name))
            if (how := next((how for how in found if how is not None), None)) is not None:
                self._changes[name] = how
        return self._changes.get(name)

    @property
    def void(self) -> frozenset[str]:
        """Nodes that read changed data, as far as that is known, and nodes whose results are made of it."""
        found: set[str] = set()
        for node in self._dag.nodes:
            made_here = self._plan[node.name].state is State.COMPUTE or node.name in self._again
            if node.name in self._changes or (made_here and not found.isdisjoint(node.inputs)):
                found.add(node.name)
        return frozenset(found)

    def _change(self, name: str, one: Identified, *, contents: bool) -> str | None:
        contents = contents and one.what not in self._looked_into
        try:
            now = identify(one.what, contents=contents)
        except (SourceError, OSError):
            return "it is not there any more, or cannot be read"
        if contents:
            self._looked_into.add(one.what)
        opened = self._outcome.opened.get(name) if not isinstance(one.what, Path) else None
        return (one.signed.change(opened) if opened is not None else None) or one.signed.change(now)

    def _reads(self, name: str) -> tuple[Identified, ...]:
        """Return what a node read in this run that may change under it."""
        computed = name in self._outcome.results and self._plan[name].state is State.COMPUTE
        if not computed and name not in self._again:
            return ()
        return tuple(one for one in self._described[name].reads if _may_change(one.what))

    def _is_computed_anew(self, node: Node) -> bool:
        """Return whether memory holds a table's rows, and Spark computes them again for a reader of this run."""
        result = self._outcome.results.get(node.name)
        if self._plan[node.name].state is not State.LOAD or not isinstance(result, TableResult):
            return False
        return result.collected and result.through_frame and not result.in_memory and any(
            self._plan[name].state is State.COMPUTE and not collects(self._dag[name], node.name)
            for name in self._dag.readers(node.name)
        )


def _may_change(what: Readable) -> bool:
    """Return whether data may change: not copied tables in memory, nor what the author names the version of."""
    match what:
        case Path() | FileSource(version=None) | DeltaSource():
            return True
    return False
