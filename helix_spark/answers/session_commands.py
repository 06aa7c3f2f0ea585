"""Changes of a program's session: views, functions, settings. A server gets them in the program's order once it runs.
Tables that were built before a change keep their meaning."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import helix_spark.plans.connect_proto as pb
from helix_spark.answers.analyses import Analyses, FrameStep
from helix_spark.answers.plan_data import may_overlap
from helix_spark.answers.questions import Signer
from helix_spark.answers.sent_requests import ours
from helix_spark.answers.served_session import ServedSession
from helix_spark.answers.session_state import View, counts_at_analysis
from helix_spark.identity.data_version import SignedData
from helix_spark.plans.answer_gate import rows_answered
from helix_spark.plans.plan_reads import view_name
from helix_spark.plans.sql_texts import read_statement


@dataclass(frozen=True, slots=True)
class SessionCommands:
    """The commands of one session, which started with the initial settings."""

    signer: Signer
    served: ServedSession
    analyses: Analyses
    initial: Mapping[str, str]

    def view(self, view: Any, request: Any) -> list[Any]:
        """Create a view: on the server once it runs; at once if Spark may refuse the view."""
        name = view_name(view.name, is_global=view.is_global)
        if name in self.signer.state.now.views:
            if not view.replace:
                return self.served.send(request)
            self.keep_meanings([name])
        self.signer.state.show(name, View(view.input, self.signer.state.now.views))
        return self.change(request)

    def function(self, command: Any, request: Any) -> list[Any]:
        """Register a function. One with a nondeterministic definition gets a unique identity."""
        question = self.signer.question("rows", command)
        # Unknown reads in workers count in each question that calls it.
        reads = {why for code, _ in question.code for why in self.signer.watched.unknown(code)}
        salt = f" {time.time_ns()}" if set(question.chance) - reads else ""
        name = command.function_name.lower()
        if name in self.signer.state.now.functions:
            self.keep_meanings([name])
        now, code = self.signer.state.now, tuple(code for code, _ in question.code)
        self.signer.state.now = replace(
            now, functions={**now.functions, name: question.identity_without_reads + salt},
            code={**now.code, name: code},
        )
        return self.change(request)

    def set(self, kind: str, operation: Any, request: Any) -> Any:
        message = getattr(operation, kind)
        pairs = message.pairs if kind == "set" else [pb.KeyValue(key=name) for name in message.keys]
        new = {pair.key: pair.value if kind == "set" else None for pair in pairs}
        self.note_settings(new)
        is_static = any(name.startswith("spark.") and not name.startswith("spark.sql.") for name in new)
        # Spark refuses to set some of its own settings.
        answer = self.served.send(request)[0] if self.served.is_informed or is_static else pb.ConfigResponse()
        self.signer.state.requests.append(request)
        return answer

    def note_settings(self, new: Mapping[str, str | None]) -> None:
        """Note settings; existing tables keep their analysis with the earlier settings."""
        now = self.signer.state.now
        before = now.over(self.initial)
        changed = (name for name, value in new.items() if now.statements or before.get(name) != value)
        if any(map(counts_at_analysis, changed)):
            self._keep_analyses()
        self.signer.state.set(new)

    def note_statement(self, identity: str) -> None:
        """Note a statement that may set something; existing tables keep their meaning."""
        self.keep_meanings()
        self._keep_analyses()
        now = self.signer.state.now
        self.signer.state.now = replace(now, statements=(*now.statements, identity))

    def _keep_analyses(self) -> None:
        for step, plan in self.analyses.tables():
            if not step.has_alias:  # names behind aliases would be lost
                self._keep(step, plan)

    def catalog_call(self, call: Any, request: Any) -> list[Any] | None:
        """Execute a call of ``spark.catalog`` whose effect is known, and return its rows; None for another call."""
        kind = call.WhichOneof("cat_type")
        message, views = getattr(call, kind), self.signer.state.now.views
        match kind:
            case "drop_temp_view" | "drop_global_temp_view":
                name = view_name(message.view_name, is_global=kind == "drop_global_temp_view")
                if name not in views and self.signer.state.now.unknown:
                    return None
                self._drop(name, request)
                return _rows("bool", [name in views])
            case "clear_cache":
                self._clear_cache(request)
            case "cache_table" | "uncache_table" if view_name(message.table_name) in views:
                self.change(request)
            case _:
                return None
        return _rows("string", [])

    def statement(self, sql: Any, request: Any, answer: Callable[[Literal["analysis"], Any], list[Any]]) -> Any | None:
        """Execute an SQL statement whose effect is known, and return the relation of its rows; None for another
        statement. `answer` answers Helix's own requests, and raises Spark's errors."""
        has_arguments = bool(sql.args or sql.pos_args or sql.named_arguments or sql.pos_arguments)
        match = None if has_arguments else _STATEMENT.fullmatch(sql.query)
        if match is None:
            return None
        views, name = self.signer.state.now.views, view_name(match["view"] or match["table"] or "")
        if match["setting"] is not None:
            self.note_settings({match["setting"]: match["value"]})
            self.change(request)
            return _relation({"key": [match["setting"]], "value": [match["value"]]})
        if match["body"] is not None:
            if not read_statement(match["body"]).asks:
                return None
            body = pb.Relation(sql=pb.SQL(query=match["body"]))
            analysis = ours(pb.AnalyzePlanRequest, request)
            analysis.schema.plan.root.CopyFrom(body)
            answer("analysis", analysis)
            if name in views:
                self.keep_meanings([name])
            self.signer.state.show(name, View(body, None))
            self.change(request)
        elif match["clear"] is not None:
            self._clear_cache(request)
        elif name not in views:
            return None
        elif match["dropped"] is not None:
            self._drop(name, request)
        else:
            self.change(request)
        return _relation({})

    def _drop(self, name: str, request: Any) -> None:
        self.keep_meanings([name])
        now = self.signer.state.now
        self.signer.state.now = replace(now, views={key: view for key, view in now.views.items() if key != name})
        self.change(request)

    def _clear_cache(self, request: Any) -> None:
        for table in self.served.tables:
            self.served.unpersist(table.number)
        self.change(request)

    def list_files(self, step: FrameStep, message: Any) -> None:
        """List the files of a new step in a message on the server: later files are not part of the step."""
        if step.lists == "source" and self.served.is_informed:
            self.served.resolve_reads(message)
        elif step.lists == "name" and (plan := step.plan()) is not None:
            self._keep(step, plan)

    def prepare_write(self, place: Path, *, by_spark: bool) -> None:
        """Bring the server to the state of a classic session before a write to a place, by Spark or by other code: list
        the unchanged files of tables, register persisted tables, and load models of these files."""
        def is_there(reads: Iterable[SignedData]) -> bool:
            return any(may_overlap(read, place) for read in reads)

        for step, plan in (alive for alive in self.analyses.alive() if alive[0].lists == "source"):
            data = [*chain.from_iterable(self.signer.bindings[step.number].data.values())]
            if is_there(data) and all(read.changed() is None for read in data):
                self.served.resolve_reads(plan.plan(self.analyses.client))
        self.served.register_tables(is_there, by_spark=by_spark)
        self.served.models.make_before(lambda model: is_there(model.reads))

    def change(self, request: Any) -> list[Any]:
        """Send a change to the server, now or once it runs."""
        if self.served.is_informed:
            self.served.send(request)
        self.signer.state.requests.append(request)
        return []

    def keep_meanings(self, names: Collection[str] | None = None) -> None:
        """Keep analyses of tables with these lower-case names (None: all) before the names change meaning."""
        now = self.signer.state.now
        # Names in a view in SQL are resolved when it is read.
        if now.unknown or any(view.views is None for view in now.views.values()):
            names = None
        for step, plan in self.analyses.alive():
            if step.names if names is None else step.names & frozenset(names):
                self._keep(step, plan)

    def _keep(self, step: FrameStep, plan: Any) -> None:
        if step.number not in self.served.analysed:
            relation = plan.plan(self.analyses.client)
            keep = partial(self.served.keep_analysed, step.number, relation, lambda: step.plan() is not None)
            if self.served.is_informed:
                keep()
            self.signer.state.requests.append(keep)


_NAME = r"(?:`[^`]+`|\w+)"
_STATEMENT = re.compile(
    rf"""\s*(?:(?:--[^\n]*\n|/\*.*?\*/)\s*)*(?:
      set\s+(?P<setting>spark\.sql\.[\w.]+)\s*=\s*(?P<value>(?:(?!--|/\*)[^;'"])*?)
    | create\s+(?:or\s+replace\s+)?temp(?:orary)?\s+view\s+(?P<view>{_NAME})\s+as\s+(?P<body>.*?)
    | (?:(?P<dropped>drop\s+view)|(?:un)?cache\s+(?:lazy\s+)?table)\s+(?:if\s+exists\s+)?(?P<table>{_NAME})
    | (?P<clear>clear\s+cache)
    )\s*;?\s*""",
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)
"""Statements with known effects on a session."""


def _rows(kind: str, values: Sequence[Any]) -> list[Any]:
    """Return the rows of a call of ``spark.catalog``."""
    import pyarrow as pa
    from pyspark.sql.pandas.types import from_arrow_schema

    rows = pa.table({"value": pa.array(values, pa.type_for_alias(kind))})
    return rows_answered(from_arrow_schema(rows.schema), rows)


def _relation(columns: Mapping[str, Sequence[str]]) -> Any:
    import pyarrow as pa

    rows, sink = pa.table(columns), pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as stream:
        stream.write_table(rows)
    return pb.Relation(local_relation=pb.LocalRelation(data=sink.getvalue().to_pybytes()))
