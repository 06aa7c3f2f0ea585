"""What the author's code has Spark do that no signature covers, as the requests say that it sends.

It reads files, tables and views that are none of its inputs; it asks what has several right answers; it reads settings
that change no result of Spark's, but may change the function's; it leaves settings that do other than it found them, so
that whatever is computed later in its session is computed under these.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from helix_spark.answers.sent_requests import message_in
from helix_spark.engine.spark.settings import counts
from helix_spark.hermetic.watch import Watch
from helix_spark.plans.plan_chance import chance_in, choices_in
from helix_spark.plans.plan_messages import parts_of, sort_of
from helix_spark.plans.plan_reads import is_of_a_model, tables_elsewhere, view_name
from helix_spark.plans.program_client import caller
from helix_spark.plans.recorded_call import client_session
from helix_spark.plans.sql_texts import is_generated, read_statement

DECLARE = "make it a source of the workflow, or name it in depends_on="


class AuthorRequests:
    """Notes what the requests of one action say. What its inputs are made of was there before, and is not its own.
    `reads_declared` is True where the author says by a version what it reads, as of a source; `choices` are phrases why
    what it asks has several right answers."""

    def __init__(self, watch: Watch, *, reads_declared: bool = False) -> None:
        self._watch, self._reads_declared = watch, reads_declared
        self._views: set[str] = set()
        self._found: dict[str, tuple[Any, str | None, str]] = {}
        self._noted: set[str] = set()
        self.choices = list[str]()
        plans: Any = sys.modules.get("pyspark.sql.connect.plan")
        self._first_plan = 0 if plans is None else plans.LogicalPlan._fresh_plan_id()

    def note(self, request: Any) -> None:
        """Note what a request says that is about to be sent."""
        who = caller()
        place = f"{Path(who.file).name}:{who.line}" if who.file else ""
        if type(request).__name__ != "ConfigRequest":
            self._note_message(message_in(request), place)
            return
        kind = request.operation.WhichOneof("op_type")
        operation = getattr(request.operation, kind)
        keys = [one.key for one in getattr(operation, "pairs", ())] or list(getattr(operation, "keys", ()))
        if kind in ("set", "unset"):
            self._about_to_set(keys, place)
        elif who.function in ("get", "getAll") and not (keys and all(map(counts, keys))):  # pyspark asks for others
            shown = f"({keys[0]!r})" if keys else ""
            self._differs(f"reads Spark's settings (.{who.function}{shown})", place)

    def note_table(self, frame: Any) -> None:
        """Note what the plan of a table says that no request may have said so far."""
        self._note_message(frame._plan.plan(frame._session.client), "")

    def _note_message(self, what: Any, place: str) -> None:
        new = list(self._new_parts(what, place))
        choices = choices_in(part for part, _ in new)
        for part, its_place in new:
            self.choices += (_at(why, its_place) for why in choices_in([part]) if why in choices)
            for why in chance_in([part], user_known=True):
                self._differs(why, its_place)
            if sort_of(part) == "SQL":
                if (read := _ASKS_IN_SQL.search(part.query)) is not None:
                    self._differs(f"reads Spark's settings ({read[0].strip()} in SQL)", its_place)
                if (set_ := _SETS_IN_SQL.match(part.query)) is not None:
                    self._about_to_set([set_[1]], its_place)
            for source in () if self._reads_declared else self._reads(part):
                self._watch.asks_others(f"{_at(f'reads {source} by itself', its_place)}: {DECLARE}")
        if sort_of(what) == "Command" and what.HasField("create_dataframe_view"):
            made = what.create_dataframe_view
            self._views.add(view_name(made.name, is_global=made.is_global))

    def settings_left(self) -> str:
        """Return the first setting that changes results and is not as it was found, in words; empty if all are."""
        for key, (conf, before, place) in self._found.items():
            if (now := conf.get(key, None)) != before:
                return _at(f"{key} as {now!r}, which was {before!r}", place)
        return ""

    def _new_parts(self, what: Any, place: str) -> Iterator[tuple[Any, str]]:
        """Yield the messages of what the action built, each with the author's line."""
        waiting = [(what, place, True)]
        while waiting:
            part, place, is_new = waiting.pop()
            if sort_of(part) == "Relation" and part.common.HasField("plan_id"):
                is_new = part.common.plan_id >= self._first_plan
                built_at = part.common.origin.python_origin.call_site
                place = Path(built_at).name if built_at else place
            if is_new:
                yield part, place
            waiting.extend((one, place, is_new) for one in reversed(parts_of(part)))

    def _reads(self, part: Any) -> Iterator[str]:
        """Yield what a message reads, as what follows "reads"."""
        match sort_of(part):
            case "SQL":
                if _BEFORE_TABLES.search(part.query) is None:
                    return
                statement = read_statement(part.query)
                if not statement.asks and (made := _VIEW.search(part.query)) is not None:
                    self._views.add(made[1].lower())
                if not statement.known:
                    yield "tables that its SQL names"
                named = sorted(name for name in statement.tables if not is_generated(name))
                yield from (f"the table {name}" for name in named if name.lower() not in self._views)
            case "MlCommand.Read":
                yield part.path
            # What a session holds, this code has put there, or it was handed to it.
            case "CachedRemoteRelation" | "CachedLocalRelation" | "ChunkedCachedLocalRelation" | "Catalog":
                pass
            case _ if not is_of_a_model(part):
                yield from tables_elsewhere([part], self._views)

    def _about_to_set(self, keys: Iterable[str], place: str) -> None:
        session: Any = client_session()
        for key in keys if session is not None else ():
            if key not in self._found and counts(key):
                self._found[key] = session.conf, session.conf.get(key, None), place

    def _differs(self, why: str, place: str) -> None:
        if why not in self._noted:
            self._noted.add(why)
            self._watch.differs(_at(why, place))


_BEFORE_TABLES = re.compile(r"\b(from|into|join|table|update|view)\b|\bidentifier\s*\(", re.IGNORECASE)
_VIEW = re.compile(r"\bview\s+(?:if\s+(?:not\s+)?exists\s+)?`?([\w.]+)", re.IGNORECASE)
_ASKS_IN_SQL = re.compile(r"\$\{[^}]*\}|^\s*SET(\s+(-v|[\w.`]+))?\s*;?\s*$", re.IGNORECASE)
_SETS_IN_SQL = re.compile(r"\s*(?:re)?set\s+`?([\w.]+)", re.IGNORECASE)


def _at(what: str, place: str) -> str:
    return what + (f" ({place})" if place else "")


@contextmanager
def sql_of_classic(session: Any) -> Iterator[list[str]]:
    """Yield what this process asks of a classic session meanwhile, as far as SQL has it: functions and texts."""
    client = session.sparkContext._gateway._gateway_client
    texts: list[str] = []

    def send_command(command: str, *given: Any, **named: Any) -> Any:
        texts.extend(_texts_in(command))
        return type(client).send_command(client, command, *given, **named)

    client.send_command = send_command
    try:
        yield texts
    finally:
        del client.send_command


def _texts_in(command: str) -> Iterator[str]:
    """Yield the function that a command of py4j calls, as SQL, and the texts that it gives.

    >>> [*_texts_in("c\\nz:org.apache.spark.sql.functions\\nrand\\nL7\\ne\\n")]
    ['rand(1)']
    >>> [*_texts_in("c\\no12\\nwhere\\nsa < 1\\ne\\n")]
    ['a < 1']
    """
    kind, target, *named = command.split("\n")
    if kind == "c" and named:
        function, *given = named[:-2]
        if target == "z:org.apache.spark.sql.functions":
            yield f"{function}({', '.join('1' for _ in given)})"
        yield from (text[1:].replace("\\n", "\n") for text in given if text.startswith("s"))
