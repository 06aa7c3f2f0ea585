"""The questions of a program's run as nodes of its graph: their names and inputs, and why Spark was asked."""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from graphlib import TopologicalSorter
from typing import Any

from helix_spark.answers.persisted_tables import PersistedTables
from helix_spark.answers.plan_data import places_read
from helix_spark.answers.questions import AnsweredQuestion, Question
from helix_spark.answers.sent_requests import fitted_class, handle_in, ml_command, stage_class
from helix_spark.catalog.records import LONGEST_PLACE, NodeRecord
from helix_spark.history.iteration_lookup import last_ended
from helix_spark.history.source_rows import call_of, lines_of_source, source_rows
from helix_spark.identity.difference import Change, changes, parts_from_json, parts_to_json
from helix_spark.identity.parts import Group, Part, digest
from helix_spark.plans.answer_fields import HANDLE
from helix_spark.plans.plan_messages import messages, parts_of, sort_of
from helix_spark.plans.plan_words import lines_of
from helix_spark.plans.program_client import Caller
from helix_spark.program.plain_program import PlainProgram
from helix_spark.visible_text import LONGEST_NAME


def rows_of(asked: Sequence[AnsweredQuestion], tables: PersistedTables) -> list[AnsweredQuestion]:
    """Return the questions that count as nodes, each once, inputs first: jobs, and persisted tables."""
    once: dict[str, AnsweredQuestion] = {}
    for one in (*_kept_tables(tables), *asked):
        if is_node(one.question, one.caller):
            once.setdefault(one.identity, one)
    names = _names(once.values())
    inputs = {identity: _inputs(one, tables, names) for identity, one in once.items()}
    ordered = TopologicalSorter(inputs).static_order()
    return [replace(once[one], name=names[one], inputs=tuple(names[made] for made in inputs[one])) for one in ordered]


def rows_of_program(program: PlainProgram) -> list[AnsweredQuestion]:
    """Return all that a program has asked so far."""
    answerer = program.answerer
    return [] if answerer is None else rows_of(answerer.asked, answerer.served.tables)


def _kept_tables(tables: PersistedTables) -> Iterator[AnsweredQuestion]:
    """Yield persisted tables that were computed for a question, or read."""
    for table in tables:
        question = table.question
        if question is not None and (table.is_reused or table.is_computed):
            why = question.chance[0] if question.chance else "it is not kept any more" if table.forgotten else ""
            yield AnsweredQuestion(question, table.caller, table.seconds, table.started, not table.is_reused, why=why)


def _inputs(asked: AnsweredQuestion, tables: PersistedTables, names: Mapping[str, str]) -> list[str]:
    """Return the identities of the models, checkpoints and persisted tables that a question's answer is made from."""
    question = asked.question
    waiting = parts_of(question.what) if question.sort == "table" else [question.what]
    found: dict[str, None] = {}
    while waiting:
        one: Any = waiting.pop()
        if (table := tables.table_of(one)) is not None and table.question is not None:
            found[table.question.identity] = None
            continue
        if (handle := handle_in(one)) is not None:
            found[handle.removeprefix(HANDLE)] = None
        waiting.extend(reversed(parts_of(one)))
    return [one for one in found if one in names and one != question.identity]


def _names(asked: Iterable[AnsweredQuestion]) -> dict[str, str]:
    """Name questions, by identity. Equal titles are numbered by line, then in an order that no timing changes."""
    groups: defaultdict[str, list[AnsweredQuestion]] = defaultdict(list)
    for one in asked:
        groups[title_of(one.question, one.caller)].append(one)
    names: dict[str, str] = {}
    for title, group in groups.items():
        ordered = sorted(group, key=lambda one: (one.caller.line, sorted(params_of(one.question.what)), one.identity))
        names |= {one.identity: title if at == 1 else f"{title} #{at}" for at, one in enumerate(ordered, 1)}
    return names


def title_of(question: Question, who: Caller) -> str:
    """Return the title of a question: a metric, the name that its author assigns, or the call, with what it fits."""
    inside = _inside(question.what)
    if inside and is_metric(question, who):
        return inside
    call = who.target or who.call or who.function or "a question"
    title = call if not inside or call.startswith(f"{inside}(") else f"{call}: {inside}"
    return title[: LONGEST_NAME - 20]  # with a number it is a name


def is_metric(question: Question, who: Caller) -> bool:
    """Return whether a question is an evaluation that the author asks, not one of a search."""
    command = ml_command(question.what)
    return command is not None and command.HasField("evaluate") and who.function == "evaluate"


def _inside(what: Any) -> str:
    """Return the class of Spark ML that is fitted, or the metric that is evaluated; empty for other questions."""
    if (command := ml_command(what)) is None or not command.HasField("evaluate"):
        return fitted_class(what).rpartition(".")[2]
    if metric := dict(params_of(what)).get("metricName"):
        return metric
    evaluator = str(command.evaluate.evaluator.name)
    kind = stage_class(evaluator)
    known = {} if kind is None else inspect.signature(kind).parameters  # clients send only what is set
    return str(known["metricName"].default) if "metricName" in known else evaluator.rpartition(".")[2]


def is_node(question: Question, who: Caller) -> bool:
    """Return whether a question runs something and is the author's: pyspark asks its models some things by itself."""
    if question.sort in ("analysis", "setting"):
        return False
    if (command := ml_command(question.what)) is None or command.WhichOneof("command") != "fetch":
        return True
    return who.call.endswith(f".{command.fetch.methods[-1].method}")


def params_of(what: Any) -> Iterator[tuple[str, str]]:
    """Yield the parameters of what is fitted, or evaluates."""
    from pyspark.ml.connect.serialize import deserialize_param

    for one in messages(what):
        if sort_of(one) in ("MlCommand.Fit", "MlCommand.Evaluate"):
            for name, value in one.params.params.items():
                yield name, str(deserialize_param(value))[:200]


def place_of(asked: AnsweredQuestion) -> str:
    """Return the author's line that asks a question, as ``FILE:LINE``; empty where none is known."""
    return f"{asked.caller.file}:{asked.caller.line}" if asked.caller.file else ""


def parts_of_row(row: AnsweredQuestion) -> tuple[Part, ...]:
    """Return the parts of a question, to compare two runs by."""
    question, what = row.question, row.question.what
    relations = [what] if sort_of(what) == "Relation" else \
        [one for one in messages(what) if sort_of(one) == "Relation"][:1]  # the outermost
    text = "\n".join(str(line) for one in relations for line in lines_of(one))
    code, given = tuple(dict.fromkeys(one for one, _ in question.code)), sorted(params_of(what))
    # Where others tell what is not in the words of the plan, these alone say whether it changed.
    told_apart = bool(code or given or question.handles)
    return (
        Part(Group.PLAN, row.name, digest(text) if told_apart else question.identity, text),
        *([Part(Group.CODE, call_of(row.name), digest(*code), None)] if code else []),
        *(Part(Group.INPUT, "model", handle, None) for handle in dict.fromkeys(question.handles)),
        *(Part(Group.SOURCE, read.shown, read.identity.digest, read.identity.shown) for read in question.reads),
        *(Part(Group.PARAMETER, name, digest(name, value), value) for name, value in given),
    )


def nodes_of(rows: Sequence[AnsweredQuestion], program: PlainProgram) -> list[NodeRecord]:
    """Return questions as they are recorded, of no iteration yet. Reasons come from a line's parts in the last one."""
    last, record = last_ended(program.catalog, program.name), program.record
    before = {} if last is None else _parts_of_lines(program.catalog.nodes(last))
    functions = () if program.answerer is None else program.answerer.signer.functions.values()
    pure = {one.digest for one in functions if one.is_pure}
    nodes = [
        NodeRecord(
            run="", workflow=program.name, iteration=0, name=row.name, kind=row.kind, inputs=row.inputs,
            state="compute" if row.fresh else "load", reason="", declared=row.identity, signature=row.identity,
            parts=parts_to_json(parts_of_row(row)), code=place_of(row), seconds=row.seconds,
            predicted_seconds=record.seconds(row.identity) or None, stored=not row.fresh,
            output=row.question.sort == "rows", started=max(0.0, row.started - program.began),
            reads=_reads(row.question, program), pure=pure.issuperset(code for code, _ in row.question.code),
        )
        for row in rows
    ]
    now, answers = _parts_of_lines(nodes), {row.name: row for row in rows}
    reasons: dict[str, str] = {}
    for line, members in lines_of_source(nodes).items():
        differing = changes(before[line], now[line]) if line in before else None
        for one in members:
            shared = "" if answers[one.name].fresh else record.shared_in(one.signature)
            reasons[one.name] = _reason(answers[one.name], differing, parts_from_json(one.parts)) + (
                f" in the shared catalog {shared}" if shared else ""
            )
    return [replace(one, reason=reasons[one.name]) for one in nodes]


def _reads(question: Question, program: PlainProgram) -> tuple[str, ...]:
    """Return the places that a question reads by itself, in its plan and in the Python functions of that."""
    in_workers = (place for code, _ in question.code for place in program.watched.places(code))
    places = dict.fromkeys((*places_read(question.reads, [question.what], program.data.folder), *in_workers))
    return tuple(place[:LONGEST_PLACE] for place in places)


def _parts_of_lines(nodes: Sequence[NodeRecord]) -> dict[str, tuple[Part, ...]]:
    return {one.name: parts_from_json(one.parts) for one in source_rows(nodes)}


def _reason(asked: AnsweredQuestion, of_line: Sequence[Change] | None, parts: Sequence[Part]) -> str:
    sort = asked.question.sort
    if not asked.fresh:
        found_there = {"effect": "the same was written there before, and lies there still", "table": "it is stored"}
        return found_there.get(sort, "its answer is on record")
    if asked.why:
        return asked.why
    if of_line is None:
        return "it was not asked before"
    own = {one.shown for one in parts if one.group is Group.PARAMETER}
    found = [
        one for one in of_line
        if (one.group is not Group.PLAN or one.before != one.after)
        and (not one.label.startswith("grid value") or one.after in own)
    ]
    told = [str(one) for one in found if one.group is not Group.INPUT]
    if found and not told:
        return "a model that it uses is another one"
    return "; ".join(told) or ("it is not stored" if sort == "table" else "its answer is not kept")
