"""The steps of a program's tables, each noted when the program is given the table: what names in it mean then, and an
identity of what a classic session would analyse."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from helix_spark.answers.plan_data import FILE_FORMATS, MissingDataError, PlanRead, UnknownDataError
from helix_spark.answers.questions import Signer, functions_called, handle_in, read_key, tables_named
from helix_spark.answers.session_state import Binding
from helix_spark.identity.parts import digest
from helix_spark.plans.classic_ways import is_outer
from helix_spark.plans.frame_creation import steps_of
from helix_spark.plans.plan_messages import messages, plan_named, sort_of
from helix_spark.plans.sql_words import spark_functions


@dataclass(frozen=True, slots=True)
class FrameStep:
    """One step of a plan.

    Attributes:
        number: its plan id.
        plan: pyspark's own object; gone once the program has no table that is made of it.
        identity: of what Spark is asked when it analyses the step.
        chance: why Spark may analyse it otherwise next time, as phrases.
        names: the tables, views and functions that are not Spark's own and that it names itself, in lower case.
        handles: the models and checkpoints that it and its inputs refer to.
        has_alias: whether its columns may be named by an alias.
        is_open: whether it names columns of a query that it is to become a part of: it cannot be analysed alone.
        depth: how many steps are on top of each other in it.
        lists: how it says which files it reads, which are listed when it is built: by a source, or by a name in SQL;
            empty if it reads none.
    """

    number: int
    plan: weakref.ref[Any]
    identity: str
    chance: tuple[str, ...] = ()
    names: frozenset[str] = frozenset()
    handles: frozenset[str] = frozenset()
    has_alias: bool = False
    is_open: bool = False
    depth: int = 1
    lists: Literal["", "source", "name"] = ""


@dataclass(slots=True)
class FrameSteps:
    """All of a session, by plan id. Its methods may be called from any thread."""

    signer: Signer
    client: Any = None
    _steps: dict[int, FrameStep] = field(default_factory=dict)
    _frames: dict[int, weakref.ref[Any]] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def note_frame(self, frame: Any) -> FrameStep:
        """Note the steps of a table that are new, and return its last one."""
        with self._lock:
            self.client = frame._session.client
            for plan, relation in steps_of(frame, self._steps):
                self._note(plan, relation)
            number = frame._plan._plan_id
            self._frames[number] = weakref.ref(frame)
            return self._steps[number]

    def tables(self) -> Iterator[tuple[FrameStep, Any]]:
        """The last steps of tables that the program still has, as `alive` gives them."""
        with self._lock:
            self._frames = {number: frame for number, frame in self._frames.items() if frame() is not None}
            steps = [self._steps[number] for number in sorted(self._frames)]
        for one in steps:
            if (plan := one.plan()) is not None:
                yield one, plan

    def alive(self, names: Collection[str] | None = None) -> Iterator[tuple[FrameStep, Any]]:
        """The steps that the program may still use, each with pyspark's object, in the order in which they were built.

        Args:
            names: leave out those that name none of these themselves; None for all that name something.
        """
        with self._lock:
            steps = [self._steps[number] for number in sorted(self._steps)]
        for one in steps:
            if (one.names if names is None else one.names & frozenset(names)) and (plan := one.plan()) is not None:
                yield one, plan

    def _note(self, plan: Any, relation: Any) -> None:
        parts: list[Any] = list(messages(relation))
        number = plan._plan_id
        binding, reads, chance = self._bound(parts, number)
        inputs = [self._steps[one.common.plan_id] for one in parts if _is_hole(one)]
        for one in parts:
            if sort_of(one) == "Relation" and not _is_hole(one) and one.common.HasField("plan_id"):
                self.signer.bindings[one.common.plan_id] = binding
        names = frozenset(_names(parts, binding))
        if names and binding.unknown:
            chance.append(f"comes after {binding.unknown}, which may have changed what its names mean")
        self._steps[number] = FrameStep(
            number, weakref.ref(plan), self._identity(relation, binding, names, reads),
            tuple(dict.fromkeys((*chance, *(why for one in inputs for why in one.chance)))), names,
            frozenset(handle for one in parts if (handle := handle_in(one)) is not None).union(
                *(one.handles for one in inputs)
            ),
            relation.WhichOneof("rel_type") == "subquery_alias" or any(one.has_alias for one in inputs),
            self._is_open(parts),
            1 + max((one.depth for one in inputs), default=0), _lists(binding, names),
        )

    def _is_open(self, parts: Collection[Any]) -> bool:
        closed = {one.common.plan_id for part in parts for one in _queries_within(part)}
        return any(
            is_outer(one) if sort_of(one) == "Expression" else
            _is_hole(one) and one.common.plan_id not in closed and self._steps[one.common.plan_id].is_open
            for one in parts
        )

    def _bound(self, parts: Iterable[Any], number: int) -> tuple[Binding, list[str], list[str]]:
        """What names mean now, with the versions of the files that a step reads; the versions of all that it reads; and
        why nobody knows one."""
        binding, chance = self.signer.state.now, list[str]()
        data: dict[bytes, tuple[PlanRead, ...]] = {}
        versions: list[str] = []
        for one in parts:
            try:
                reads = tuple(self.signer.data_of(one, binding, lambda _: None))
            except MissingDataError:
                versions.append("missing")
                continue
            except UnknownDataError as error:
                chance.append(str(error))
                continue
            versions += (read.identity.digest for read in reads)
            if reads and all(read.is_listed_at_once for read in reads):
                data[read_key(one)] = reads
        return (replace(binding, data=data, step=number) if data else binding), versions, chance

    def _identity(self, relation: Any, binding: Binding, names: frozenset[str], reads: list[str]) -> str:
        own = type(relation)()
        own.CopyFrom(relation)
        refers: list[str] = []
        for one in messages(own):
            part: Any = one
            match sort_of(one):
                case "Relation":
                    step = self._steps.get(part.common.plan_id)
                    refers.append("" if step is None else step.identity)
                    part.ClearField("common")
                case "Expression":
                    part.ClearField("common")
                case "PythonUDF" | "PythonUDTF":
                    part.ClearField("command")  # its type counts, and not what it gives
            if (number := plan_named(part)) is not None:
                step = self._steps.get(number)
                refers.append("unknown" if step is None else step.identity)
                part.plan_id = 0
        views = (self.signer.question("rows", binding.views[name].shows) for name in names if name in binding.views)
        return digest(
            own.SerializeToString(deterministic=True), *refers, *sorted(one.identity for one in views),
            *sorted(binding.functions[name] for name in names if name in binding.functions),
            *reads, binding.settings_identity(of_analysis=True),
        )


def _lists(binding: Binding, names: Collection[str]) -> Literal["", "source", "name"]:
    if any(name.partition(".")[0] in FILE_FORMATS for name in names):
        return "name"
    return "source" if binding.data else ""


def _is_hole(one: Any) -> bool:
    return sort_of(one) == "Relation" and one.WhichOneof("rel_type") is None


def _queries_within(part: Any) -> Iterable[Any]:
    """The relations that a part of a step asks for its own sake: these may name columns of the step."""
    match sort_of(part):
        case "WithRelations":
            queries: Iterable[Any] = part.references
            return queries
        case "LateralJoin":
            return (part.right,)
    return ()


def _names(parts: Iterable[Any], binding: Binding) -> Iterator[str]:
    for one in parts:
        try:
            yield from (name.replace("`", "").lower() for name in tables_named(one))
        except UnknownDataError:
            yield "a statement that cannot be parsed"
        yield from (
            name for name in functions_called(one) if name in binding.functions or name not in spark_functions()
        )
