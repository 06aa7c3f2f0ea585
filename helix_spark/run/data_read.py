"""Whether what a run reads, sources and files of `depends_on`, held the data that was signed from when that was signed
until the last reader was done: of what changed meanwhile nobody knows what was made of it, whatever it holds now."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from helix_spark.dag.node import Node
from helix_spark.engine.execution.units import collects
from helix_spark.engine.results.node_results import ModelResult, TableResult, ValueResult
from helix_spark.errors import SourceError
from helix_spark.identity.data_version import Identified, Readable, identify
from helix_spark.planner.problem import State
from helix_spark.run.run import Run
from helix_spark.workflow.sources import DeltaSource, FileSource


class DataRead:
    """What one run read itself. What it took from the catalog or from memory was made of the signed data; but of a
    table that memory holds as collected rows alone, Spark computes the DataFrame anew for who asks for that.

    Args:
        run: once something was executed.
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
        """The nodes that read something whose data may change under them."""
        return tuple(node.name for node in self._dag.nodes if self._reads(node.name))

    def below(self, name: str) -> Iterator[str]:
        """Those that read once more where a table is computed again, as when it is written."""
        waiting, met = [name], {name}
        while waiting:
            node = self._dag[waiting.pop()]
            if self._reads(node.name):
                yield node.name
            inputs = [one for one in node.inputs if one not in met and not self._is_there(one)]
            met.update(inputs)
            waiting += inputs

    def change(self, name: str, *, contents: bool) -> str | None:
        """What was done to what a node reads since that was signed, in words; None if nothing was. A change stays one,
        also where all is put back.

        Args:
            contents: whether files are read, too, once each: a disk on the network may keep no time of change.
        """
        if name not in self._changes:
            found = (self._change(name, one, contents=contents) for one in self._reads(name))
            if (how := next((how for how in found if how is not None), None)) is not None:
                self._changes[name] = how
        return self._changes.get(name)

    @property
    def void(self) -> frozenset[str]:
        """Names of the nodes whose results are made of what is known by now to have changed, and of those nodes
        themselves."""
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
        """Whether memory holds the rows of a table, and Spark computes them once more for a reader of this run."""
        result = self._outcome.results.get(node.name)
        if self._plan[node.name].state is not State.LOAD or not isinstance(result, TableResult):
            return False
        return result.collected and result.through_frame and not result.in_memory and any(
            self._plan[name].state is State.COMPUTE and not collects(self._dag[name], node.name)
            for name in self._dag.readers(node.name)
        )

    def _is_there(self, name: str) -> bool:
        """Return whether a result is had without computing it again."""
        result = self._outcome.results.get(name)
        if isinstance(result, ModelResult | ValueResult) or (isinstance(result, TableResult) and result.at_hand):
            return True
        return self._plan[name].state is not State.COMPUTE and name not in self._again


def _may_change(what: Readable) -> bool:
    """Not tables in memory, which are copied, nor what the author names the version of."""
    match what:
        case Path() | FileSource(version=None) | DeltaSource():
            return True
    return False
