"""Stores results of a run, one at a time, and takes the digests of what they hold while they are written; of pinned
tables that are not stored, once everything else is."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from helix_spark.catalog.records import ArtifactRecord
from helix_spark.engine.results.contents import count
from helix_spark.engine.results.model_contents import content_of_files
from helix_spark.engine.results.node_results import TableResult
from helix_spark.engine.results.storing import Origin, StoringError, store
from helix_spark.iteration.run import Run
from helix_spark.iteration.storable import Storable
from helix_spark.planner.plan import Plan


class ResultWriter:
    """Writes for one run.

    Attributes:
        contents: digests of what results hold, by node name, that were taken behind the answer.
    """

    def __init__(self, run: Run, storable: Storable) -> None:
        self.run, self.storable = run, storable
        self.contents = dict[str, str]()

    def write(self, name: str, plan: Plan) -> ArtifactRecord | None:
        """Store the result of a node, and release its lease; None where it cannot be stored."""
        tools, node = self.run.tools, plan[name]
        tools.observer.storing(name)
        try:
            again = sum(plan[made].compute_seconds for made in {name, *self.run.dag.ancestors(name)})
            wishes = self.run.dag[name].wishes
            maker = Origin(
                node.signature, plan.workflow, name, self.run.record.number, again, name in self.storable.at_hand,
                wishes.insisted, wishes.fixed,
            )
            record = store(
                self.run.outcome.results[name], maker, tools.catalog,
                lambda: self.storable.check_unmoved(name),
                partial(self.contents.__setitem__, name) if self._has_no_content(name) else None,
            )
            self._note_content(name, record)
            return record
        except StoringError as error:
            tools.observer.warning(error.what)
            return None
        finally:
            self.run.leased.release(node.signature)

    def look_at_pins(self, names: Iterable[str]) -> None:
        """Take the digests of tables whose rows Spark has in memory, and which are not known by now."""
        for name in names:
            result = self.run.outcome.results.get(name)
            if not isinstance(result, TableResult) or result.collected or not result.in_memory:
                continue
            if name not in self.contents and self._has_no_content(name):
                _, content = count(result.frame())
                if content is not None and result.in_memory:  # else what was read may have been computed anew
                    self.contents[name] = content

    def _has_no_content(self, name: str) -> bool:
        """Return whether the digest of what a result holds is asked for, and was not taken yet."""
        return self.run.outcome.contents is not None and name not in self.run.outcome.contents

    def _note_content(self, name: str, record: ArtifactRecord) -> None:
        """Take the digest of a model from its files: before, it would have had to be written for that. Where another
        driver's result came first, nobody knows what that holds."""
        if not self.run.is_own(record):
            self.contents.pop(name, None)
            return
        path = self.run.tools.catalog.path_of(record) if record.kind == "model" else None
        if path is not None and self._has_no_content(name):
            content = content_of_files(path)
            if content is not None:
                self.contents[name] = content
