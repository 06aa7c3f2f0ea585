"""The questions of a program's run as the nodes of its graph: what each is called, and what it is made from."""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import Any

from helix_spark.answers.persisted_tables import PersistedTable, PersistedTables
from helix_spark.answers.questions import AnsweredQuestion, Question, handle_in, ml_command, stage_class
from helix_spark.plans.answer_fields import HANDLE
from helix_spark.plans.plan_messages import messages, parts_of, sort_of
from helix_spark.plans.program_client import Caller
from helix_spark.program.plain_program import PlainProgram


@dataclass(frozen=True, slots=True)
class QuestionRow:
    """A question with its name in the run, and the names of the questions whose results it is made from."""

    name: str
    asked: AnsweredQuestion
    inputs: tuple[str, ...] = ()


def rows_of(asked: Sequence[AnsweredQuestion], tables: PersistedTables) -> list[QuestionRow]:
    """Return the questions that count as nodes, once each, inputs first: those that run something, and persisted
    tables."""
    once: dict[str, AnsweredQuestion] = {}
    for one in (*map(_question_of, _needed(tables)), *asked):
        if is_node(one.question, one.caller):
            once.setdefault(one.question.identity, one)
    numbers = _numbers(once.values())
    names = {
        identity: named(one) if numbers[identity] == 1 else f"{named(one)} #{numbers[identity]}"
        for identity, one in once.items()
    }
    inputs = {identity: _inputs(one, tables, names) for identity, one in once.items()}
    ordered = TopologicalSorter(inputs).static_order()
    return [QuestionRow(names[one], once[one], tuple(names[made] for made in inputs[one])) for one in ordered]


def rows_of_program(program: PlainProgram) -> list[QuestionRow]:
    """Return all that a program has asked so far."""
    answerer = program.answerer
    return [] if answerer is None else rows_of(answerer.asked, answerer.served.tables)


def _needed(tables: PersistedTables) -> Iterator[PersistedTable]:
    """Yield persisted tables that were computed for a question, or read."""
    return (table for table in tables if table.question is not None and (table.stored is not None or table.is_computed))


def _question_of(table: PersistedTable) -> AnsweredQuestion:
    assert table.question is not None
    why = table.question.chance[0] if table.question.chance else "it is not kept any more" if table.forgotten else ""
    return AnsweredQuestion(table.question, table.caller, table.seconds, table.started, table.stored is None, why=why)


def _inputs(asked: AnsweredQuestion, tables: PersistedTables, names: Mapping[str, str]) -> list[str]:
    """Return the identities of the models, checkpoints and persisted tables that a question's answer is made from."""
    question = asked.question
    waiting = parts_of(question.what) if question.sort == "table" else [question.what]
    found: dict[str, None] = {}
    while waiting:
        one: Any = waiting.pop()
        table = tables.table_of(one)
        if table is not None and table.question is not None:
            found[table.question.identity] = None
            continue
        if (handle := handle_in(one)) is not None:
            found[handle.removeprefix(HANDLE)] = None
        waiting.extend(reversed(parts_of(one)))
    return [one for one in found if one in names and one != question.identity]


def _numbers(asked: Iterable[AnsweredQuestion]) -> dict[str, int]:
    """Number questions of one name, by identity: by line, then in an order that does not depend on timing."""
    groups: defaultdict[str, list[AnsweredQuestion]] = defaultdict(list)
    for one in asked:
        groups[named(one)].append(one)
    numbers: dict[str, int] = {}
    for group in groups.values():
        ordered = sorted(group, key=_order)
        numbers |= {one.question.identity: at for at, one in enumerate(ordered, 1)}
    return numbers


def _order(asked: AnsweredQuestion) -> tuple[int, list[tuple[str, str]], str]:
    return asked.caller.line, sorted(params_of(asked.question.what)), asked.question.identity


def named(asked: AnsweredQuestion) -> str:
    """Return what a question is called, without a number among those of its name."""
    return title_of(asked.question, asked.caller)


def title_of(question: Question, who: Caller) -> str:
    """Return the title of a question: a metric, the name that its author assigns, or the call; with what it fits, if
    more."""
    inside = _inside(question.what)
    if inside and is_metric(question, who):
        return inside
    call = who.target or who.call or who.function or "a question"
    return call if not inside or call.startswith(f"{inside}(") else f"{call}: {inside}"


def is_metric(question: Question, who: Caller) -> bool:
    """Return whether a question is an evaluation that the author asks, not one of a search."""
    command = ml_command(question.what)
    return command is not None and command.HasField("evaluate") and who.function == "evaluate"


def _inside(what: Any) -> str:
    """Return the class of Spark ML that is fitted, or the metric that is evaluated; empty for other questions."""
    command = ml_command(what)
    match None if command is None else command.WhichOneof("command"):
        case "fit":
            return str(command.fit.estimator.name.rpartition(".")[2])
        case "evaluate":
            evaluator = str(command.evaluate.evaluator.name)
            return dict(params_of(what)).get("metricName") or _default_metric(evaluator)
    return ""


def _default_metric(evaluator: str) -> str:
    """Return the default metric of an evaluator, by its name in the JVM: clients send only what is set."""
    kind = stage_class(evaluator)
    known = {} if kind is None else inspect.signature(kind).parameters
    return str(known["metricName"].default) if "metricName" in known else evaluator.rpartition(".")[2]


def is_node(question: Question, who: Caller) -> bool:
    """Return whether a question runs something and is the author's: pyspark asks its models some things by itself."""
    if question.sort in ("analysis", "setting"):
        return False
    command = ml_command(question.what)
    if command is None or command.WhichOneof("command") != "fetch":
        return True
    return who.call.endswith(f".{command.fetch.methods[-1].method}")


def params_of(what: Any) -> Iterator[tuple[str, str]]:
    """Yield the parameters of what is fitted, or evaluates."""
    from pyspark.ml.connect.serialize import deserialize_param

    for one in messages(what):
        part: Any = one
        if sort_of(one) in ("MlCommand.Fit", "MlCommand.Evaluate"):
            for name, value in part.params.params.items():
                yield name, str(deserialize_param(value))[:200]


def kind_of(question: Question) -> str:
    """Return the kind of node that a question is recorded as."""
    return {"fit": "learner", "effect": "write", "table": "table"}.get(question.sort, "answer")


def is_fit(what: Any) -> bool:
    command = ml_command(what)
    return command is not None and command.WhichOneof("command") == "fit"
