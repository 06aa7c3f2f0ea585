"""Watches the author's code while nodes are computed, and notes actions that no signature covers."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias
from uuid import uuid4

import helix_spark.plans.connect_proto as pb
from helix_spark.answers.capture_nodes import as_built
from helix_spark.answers.sent_requests import message_in
from helix_spark.dag.node import Dag, Node
from helix_spark.engine.spark.borrowed import master_of
from helix_spark.engine.spark.driver_client import driver_client
from helix_spark.engine.spark.settings import counts, is_on_this_machine
from helix_spark.errors import SourceError
from helix_spark.hermetic.action import Action, in_action
from helix_spark.hermetic.observed_inputs import ObservedInputs, files_named
from helix_spark.hermetic.task import Purpose, written_for
from helix_spark.hermetic.watch import Watch, observed_in
from helix_spark.hermetic.worker_reports import WorkerReports
from helix_spark.identity.data_version import DataIdentity, identify
from helix_spark.planner.plan import Plan
from helix_spark.plans.captured_function import CallInputs, CapturedFunction, Input, SparkFunction
from helix_spark.plans.connect_session import expression_of, is_column, is_frame
from helix_spark.plans.current_program import client_session
from helix_spark.plans.nondeterminism import chance_in, chance_in_text, choices_in, choices_in_text
from helix_spark.plans.plan_messages import parts_of, type_of
from helix_spark.plans.plan_reads import functions_elsewhere, is_of_a_model, tables_elsewhere, view_name
from helix_spark.plans.program_client import caller
from helix_spark.plans.sql_texts import is_generated, read_statement
from helix_spark.plans.written_plan import relation_of
from helix_spark.workflow.operators import Function, Read
from helix_spark.workflow.sources import Source

if TYPE_CHECKING:
    from helix_spark.answers.function_calls import FunctionCall
    from helix_spark.answers.served_session import Server
    from helix_spark.engine.server.session import Sessions

BeginCall: TypeAlias = "Callable[[Node, CallInputs, Server], FunctionCall]"
"""A function that begins a call of a node's function."""


def begin_in_spark(_node: Node, inputs: CallInputs, server: Server) -> FunctionCall:
    """Begin a call whose requests are all sent to Spark."""
    from helix_spark.answers.function_calls import begin

    return begin(inputs, server=server)


_noting = Lock()
"""Guards the notes: several threads may note one node."""


class ChangedReads(NamedTuple):
    """A change of a node's inputs since its signing, in words; and the nodes begun by then: one has caused it."""

    what: str
    by: frozenset[str]


@dataclass(slots=True)
class Notes:
    """Notes on nodes while they were computed, by name.

    Attributes:
        opened: the files of each source when Spark had just listed them; no states if they were gone.
        seen: the observed inputs of each node's code.
        acted: nodes whose watched actions have begun.
        built: nodes of functions that send requests to Spark, with the plans that they built.
        changed: changes of a node between its signing and its computation.
        left: settings that change results and that a node's code left with other values, in words.
        differs: reasons why a result may differ each time, or from its signature's.
        choices: reasons why a result is one of several right ones.
        called: functions of the session that a node's plans call by name.
        purposes: nodes by the keys under which their functions were written for Spark's workers.
    """

    opened: dict[str, DataIdentity] = field(default_factory=dict)
    seen: dict[str, ObservedInputs] = field(default_factory=dict)
    acted: frozenset[str] = frozenset()
    built: dict[str, Node] = field(default_factory=dict)
    changed: dict[str, ChangedReads] = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)
    differs: dict[str, str] = field(default_factory=dict)
    choices: dict[str, str] = field(default_factory=dict)
    called: dict[str, frozenset[str]] = field(default_factory=dict)
    purposes: dict[str, str] = field(default_factory=dict)

    def note(self, node: Node, seen: ObservedInputs) -> bool:
        """Note observed inputs of a node's code; return whether any is new."""
        with _noting:
            before = self.seen.get(node.name, ObservedInputs())
            now = self.seen[node.name] = before | seen
        if why := self.seen_to_differ(node):
            self.differs[node.name] = why
        return now != before

    def note_requests(self, node: Node, requests: AuthorRequests) -> None:
        """Note that a node's result is one of several right ones, and the session's functions that its code calls."""
        if requests.choices:
            self.choices[node.name] = requests.choices[0]
        if requests.called and not node.wishes.depends_on:
            self.called[node.name] = self.called.get(node.name, frozenset()) | requests.called

    def seen_to_differ(self, node: Node) -> str:
        """Return why a node's result may differ each time, by its observed inputs; empty if they give no reason."""
        seen = self.seen.get(node.name, ObservedInputs())
        return next(iter((*seen.chance, *(() if node.wishes.depends_on else seen.outside))), "")

    def take_reports(self, reports: WorkerReports, dag: Dag, plan: Plan) -> frozenset[str]:
        """Note new reports of Spark's workers on the author's code; return the names of its nodes."""
        names = {plan[node.name].signature: node.name for node in dag.nodes}
        names |= {key: name for key, name in self.purposes.items() if name in names.values()}
        return frozenset(names[key] for key, seen in reports.take(names).items() if self.note(dag[names[key]], seen))


@dataclass(frozen=True, slots=True)
class Watcher:
    """Watches the nodes of one plan, in any thread. Workers on other machines report to `root`, if that is a folder."""

    sessions: Sessions
    plan: Plan
    notes: Notes
    reports: WorkerReports
    root: object = None
    begin_call: BeginCall = begin_in_spark
    change_of: Callable[[Node], str] = lambda _: ""

    @contextmanager
    def acting(self, node: Node, *, gets_frames: bool = False) -> Iterator[AuthorRequests]:
        """Watch a function of the author's and seed it by its node; yield the object that notes its requests. If it
        `gets_frames`, their plans are not its own."""
        action = Action(node.name if isinstance(node.operator, SparkFunction) else self.plan[node.name].signature)
        assert action.watch is not None
        requests = AuthorRequests(action.watch, reads_declared=isinstance(node.operator, Read), gets_frames=gets_frames)
        action.note_request = requests.note
        action.look_again = partial(self._look_again, node)
        try:
            with self.written_for(node) if self.sessions.started else nullcontext(), in_action(action):
                yield requests
        finally:
            if left := requests.settings_left():
                self.notes.left[node.name] = left
            self.notes.note_requests(node, requests)
        if isinstance(node.operator, Function):
            action.watch.note_named_files(files_named(node.operator.call))
        self.notes.note(node, action.observed_inputs())

    def _look_again(self, node: Node) -> None:
        """Note a change by other nodes since a function was signed: values that it reads, options."""
        if isinstance(node.operator, Function) and (change := self.change_of(node)):
            self.notes.changed[node.name] = ChangedReads(change, self.notes.acted.union(self.notes.seen) - {node.name})
        self.notes.acted |= {node.name}

    def written_for(self, node: Node) -> AbstractContextManager[None]:
        """Attribute functions that are pickled for Spark's workers meanwhile to a node."""
        key, spark = self.plan[node.name].signature, self.sessions.get()
        self.notes.purposes[key] = node.name
        if is_on_this_machine(master_of(spark)):
            home = str(Path.cwd()) if driver_client(spark) is not None else ""
            return written_for(Purpose(key, self.reports.folder, home))
        return written_for(Purpose(key, self.reports.folder_in(self.root) if isinstance(self.root, Path) else ""))

    def begin(self, node: Node, inputs: Mapping[str, Input], server: Server) -> FunctionCall:
        """Begin a call of a node's function that gets Spark objects; `inputs` are by parameter."""
        is_known = _planned(node) is not None
        signatures = {} if is_known else {at: self.plan[name].signature for at, name in enumerate(node.inputs)}
        return self.begin_call(node, CallInputs(inputs, {}, signatures=signatures, is_known=is_known), server)

    @contextmanager
    def calling(self, node: Node) -> Iterator[AuthorRequests | None]:
        """Watch a call as `acting` does, unless the function's plan is known: that names all its reads. Such a function
        gets its seed again; one that drew no random numbers waits for no other function."""
        if (planned := _planned(node)) is None:
            with self.acting(node) as requests:
                yield requests
            return
        seed = uuid4().hex if node.wishes.fresh else node.name
        with in_action(Action(seed, watched=False)) if planned.drew else nullcontext():
            yield None

    def built(self, node: Node, captured: CapturedFunction) -> None:
        """Note the plan that a function has built, and the files that it names."""
        planned = _planned(node)
        if planned is not None and planned.identity != captured.identity and not node.wishes.fresh:
            self.notes.differs[node.name] = "built another plan than when it was planned"
        watch = Watch()
        for function in captured.code:
            watch.note_named_files(files_named(function))
        for why in captured.chance:
            watch.note_nondeterminism(why)
        self.notes.note(node, observed_in(watch.events))
        if captured.choices:
            self.notes.choices.setdefault(node.name, captured.choices[0])
        if planned is None and isinstance(node.operator, SparkFunction) and not captured.unsigned:
            # The next run identifies it by this plan.
            self.notes.built[node.name] = as_built(node, captured)

    def look_at(self, node: Node, column: Any) -> None:
        """Note the requests in the plan of a column that no function builds."""
        watch = Watch()
        requests = AuthorRequests(watch)
        requests.note_made(column)
        self.notes.note_requests(node, requests)
        self.notes.note(node, observed_in(watch.events))

    def opened(self, name: str, source: Source) -> None:
        """Note the files of a source that Spark has just listed."""
        self.notes.opened[name] = DataIdentity("")
        with suppress(SourceError, OSError):  # its files are gone
            self.notes.opened[name] = identify(source, contents=False)


def _planned(node: Node) -> CapturedFunction | None:
    built = node.operator.built if isinstance(node.operator, SparkFunction) else None
    return built if isinstance(built, CapturedFunction) else None


DECLARE = "make it a source of the workflow, or name it in depends_on="


class AuthorRequests:
    """The requests of one action of the author's code to Spark, as far as no signature covers them.

    Noted are reads of files, tables and views that are not inputs; reads of settings that change no result of Spark but
    may change the function's; settings that are left with other values, which apply to later nodes of the session.

    Attributes:
        choices: reasons why an answer is one of several right ones.
        called: functions of the session that the code has not registered itself.

    If it `gets_frames`, their plans existed before and are not noted. `reads_declared` is True if the author declares
    the reads by a version, as for a source.
    """

    def __init__(self, watch: Watch, *, reads_declared: bool = False, gets_frames: bool = False) -> None:
        self._watch, self._reads_declared = watch, reads_declared
        self._views, self._registered = set[str](), set[str]()
        self._settings_before: dict[str, tuple[Any, str | None, str]] = {}
        self._noted: set[str] = set()
        self.choices, self.called = list[str](), frozenset[str]()
        plans: Any = sys.modules.get("pyspark.sql.connect.plan") if gets_frames else None
        self._first_plan = 0 if plans is None else plans.LogicalPlan._fresh_plan_id()

    def note(self, request: Any) -> None:
        """Note a request that is about to be sent."""
        line = caller()
        place = f"{Path(line.file).name}:{line.line}" if line.file else ""
        if type(request).__name__ != "ConfigRequest":
            self._note_message(message_in(request), place)
            return
        kind = request.operation.WhichOneof("op_type")
        operation = getattr(request.operation, kind)
        keys = [pair.key for pair in getattr(operation, "pairs", ())] or list(getattr(operation, "keys", ()))
        if kind in ("set", "unset"):
            self._about_to_set(keys, place)
        elif line.function in ("get", "getAll") and not (keys and all(map(counts, keys))):  # other callers are pyspark
            shown = f"({keys[0]!r})" if keys else ""
            self._differs(f"reads Spark's settings (.{line.function}{shown})", place)

    def note_made(self, returned: Any) -> None:
        """Note the plan of a returned table or column: no request may have sent it yet."""
        if is_frame(returned):
            self._note_message(relation_of(returned))
        elif is_column(returned):
            session: Any = client_session()
            self._note_message(expression_of(returned, session.client))

    def note_sql(self, texts: Iterable[str]) -> None:
        """Note texts that a classic session got, if they are SQL: such a session sends no requests."""
        for text in texts:
            self.choices += choices_in_text(text)
            if why := chance_in_text(text):
                self._differs(why, "")
            self.called |= frozenset(functions_elsewhere([pb.SQL(query=text)])) - self._registered

    def _note_message(self, message: Any, place: str = "") -> None:
        new = list(self._new_parts(message, place))
        choices = choices_in(part for part, _ in new)
        for part, its_place in new:
            self.choices += (_at(why, its_place) for why in choices_in([part]) if why in choices)
            for why in chance_in([part]):
                self._differs(why, its_place)
            if type_of(part) == "SQL":
                if (read := _ASKS_IN_SQL.search(part.query)) is not None:
                    self._differs(f"reads Spark's settings ({read[0].strip()} in SQL)", its_place)
                if (set_ := _SETS_IN_SQL.match(part.query)) is not None:
                    self._about_to_set([set_[1]], its_place)
            for source in () if self._reads_declared else self._reads(part):
                self._watch.note_outside(f"{_at(f'reads {source} by itself', its_place)}: {DECLARE}")
        kind = message.WhichOneof("command_type") if type_of(message) == "Command" else None
        if kind == "create_dataframe_view":
            view = message.create_dataframe_view
            self._views.add(view_name(view.name, is_global=view.is_global))
        elif kind in ("register_function", "register_table_function"):
            self._registered.add(getattr(message, kind).function_name.lower())
        self.called |= frozenset(functions_elsewhere(part for part, _ in new)) - self._registered

    def settings_left(self) -> str:
        """Return the first setting that changes results and has another value than before, in words; else empty."""
        for key, (conf, before, place) in self._settings_before.items():
            if (now := conf.get(key, None)) != before:
                return _at(f"{key} as {now!r}, which was {before!r}", place)
        return ""

    def _new_parts(self, message: Any, place: str) -> Iterator[tuple[Any, str]]:
        """Yield the parts of a message that the action built, each with the author's line."""
        waiting = [(message, place, True)]
        while waiting:
            part, place, is_new = waiting.pop()
            if type_of(part) == "Relation" and part.common.HasField("plan_id"):
                is_new = part.common.plan_id >= self._first_plan
                built_at = part.common.origin.python_origin.call_site
                place = Path(built_at).name if built_at else place
            if is_new:
                yield part, place
            waiting.extend((child, place, is_new) for child in reversed(parts_of(part)))

    def _reads(self, part: Any) -> Iterator[str]:
        """Yield the reads of a message, as phrases to follow "reads"."""
        match type_of(part):
            case "SQL":
                if _BEFORE_TABLES.search(part.query) is None:
                    return
                statement = read_statement(part.query)
                if not statement.asks and (view := _VIEW.search(part.query)) is not None:
                    self._views.add(view[1].lower())
                if not statement.known:
                    yield "tables that its SQL names"
                tables = sorted(name for name in statement.tables if not is_generated(name))
                yield from (f"the table {name}" for name in tables if name.lower() not in self._views)
            case "MlCommand.Read":
                yield part.path
            # The code has cached these relations itself, or got them as inputs.
            case "CachedRemoteRelation" | "CachedLocalRelation" | "ChunkedCachedLocalRelation" | "Catalog":
                pass
            case _ if not is_of_a_model(part):
                yield from tables_elsewhere([part], self._views)

    def _about_to_set(self, keys: Iterable[str], place: str) -> None:
        session: Any = client_session()
        for key in keys if session is not None else ():
            if key not in self._settings_before and counts(key):
                self._settings_before[key] = session.conf, session.conf.get(key, None), place

    def _differs(self, why: str, place: str) -> None:
        if why not in self._noted:
            self._noted.add(why)
            self._watch.note_nondeterminism(_at(why, place))


_BEFORE_TABLES = re.compile(r"\b(from|into|join|table|update|view)\b|\bidentifier\s*\(", re.IGNORECASE)
_VIEW = re.compile(r"\bview\s+(?:if\s+(?:not\s+)?exists\s+)?`?([\w.]+)", re.IGNORECASE)
_ASKS_IN_SQL = re.compile(r"\$\{[^}]*\}|^\s*SET(\s+(-v|[\w.`]+))?\s*;?\s*$", re.IGNORECASE)
_SETS_IN_SQL = re.compile(r"\s*(?:re)?set\s+`?([\w.]+)", re.IGNORECASE)


def _at(text: str, place: str) -> str:
    return text + (f" ({place})" if place else "")
