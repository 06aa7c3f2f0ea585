"""The questions of a program's run as nodes of its graph: with names, inputs, and reasons for asking Spark."""

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
from helix_spark.plans.plan_messages import messages, parts_of, type_of
from helix_spark.plans.plan_words import lines_of
from helix_spark.plans.program_client import Caller
from helix_spark.program.plain_program import PlainProgram
from helix_spark.visible_text import LONGEST_NAME


def rows_of(asked: Sequence[AnsweredQuestion], tables: PersistedTables) -> list[AnsweredQuestion]:
    """Return the questions that count as nodes, each once, inputs first: jobs, and persisted tables."""
    rows: dict[str, AnsweredQuestion] = {}
    for row in (*_persisted_tables(tables), *asked):
        if is_node(row.question, row.caller):
            rows.setdefault(row.identity, row)
    names = _names(rows.values())
    inputs = {identity: _inputs(row, tables, names) for identity, row in rows.items()}
    return [
        replace(rows[identity], name=names[identity], inputs=tuple(map(names.__getitem__, inputs[identity])))
        for identity in TopologicalSorter(inputs).static_order()
    ]


def rows_of_program(program: PlainProgram) -> list[AnsweredQuestion]:
    """Return a program's nodes so far."""
    answerer = program.answerer
    return [] if answerer is None else rows_of(answerer.answers, answerer.served.tables)


def _persisted_tables(tables: PersistedTables) -> Iterator[AnsweredQuestion]:
    """Yield the persisted tables that were computed for a question, or reused."""
    for table in tables:
        question = table.question
        if question is not None and (table.is_reused or table.is_computed):
            why = question.chance[0] if question.chance else "it is not kept any more" if table.forgotten else ""
            yield AnsweredQuestion(question, table.caller, table.seconds, table.started, not table.is_reused, why=why)


def _inputs(asked: AnsweredQuestion, tables: PersistedTables, names: Mapping[str, str]) -> list[str]:
    """Return the identities of the models, checkpoints and persisted tables in a question."""
    question = asked.question
    waiting = parts_of(question.message) if question.kind == "table" else [question.message]
    inputs: dict[str, None] = {}
    while waiting:
        part: Any = waiting.pop()
        if (table := tables.table_of(part)) is not None and table.question is not None:
            inputs[table.question.identity] = None
            continue
        if (handle := handle_in(part)) is not None:
            inputs[handle.removeprefix(HANDLE)] = None
        waiting.extend(reversed(parts_of(part)))
    return [identity for identity in inputs if identity in names and identity != question.identity]


def _names(asked: Iterable[AnsweredQuestion]) -> dict[str, str]:
    """Return the names of questions, by identity. Equal titles are numbered by line, then in a deterministic order."""
    groups: defaultdict[str, list[AnsweredQuestion]] = defaultdict(list)
    for row in asked:
        groups[title_of(row.question, row.caller)].append(row)
    names: dict[str, str] = {}
    for title, group in groups.items():
        rows = sorted(group, key=lambda row: (row.caller.line, sorted(params_of(row.question.message)), row.identity))
        names |= {row.identity: title if at == 1 else f"{title} #{at}" for at, row in enumerate(rows, 1)}
    return names


def title_of(question: Question, who: Caller) -> str:
    """Return the title of a question: a metric, the assigned variable, or the call, with the class that it fits."""
    inside = _inside(question.message)
    if inside and is_metric(question, who):
        return inside
    call = who.target or who.call or who.function or "a question"
    title = call if not inside or call.startswith(f"{inside}(") else f"{call}: {inside}"
    return title[: LONGEST_NAME - 20]  # with a number it is a name


def is_metric(question: Question, who: Caller) -> bool:
    """Return whether a question is an evaluation of the author's, rather than of a search."""
    command = ml_command(question.message)
    return command is not None and command.HasField("evaluate") and who.function == "evaluate"


def _inside(what: Any) -> str:
    """Return the fitted class of Spark ML, or the evaluated metric; empty for another question."""
    if (command := ml_command(what)) is None or not command.HasField("evaluate"):
        return fitted_class(what).rpartition(".")[2]
    if metric := dict(params_of(what)).get("metricName"):
        return metric
    evaluator = str(command.evaluate.evaluator.name)
    kind = stage_class(evaluator)
    parameters = {} if kind is None else inspect.signature(kind).parameters  # clients send no defaults
    return str(parameters["metricName"].default) if "metricName" in parameters else evaluator.rpartition(".")[2]


def is_node(question: Question, who: Caller) -> bool:
    """Return whether a question runs something and is the author's: pyspark asks its models some questions itself."""
    if question.kind in ("analysis", "setting"):
        return False
    if (command := ml_command(question.message)) is None or command.WhichOneof("command") != "fetch":
        return True
    return who.call.endswith(f".{command.fetch.methods[-1].method}")


def params_of(what: Any) -> Iterator[tuple[str, str]]:
    """Yield the parameters of an estimator or evaluator."""
    from pyspark.ml.connect.serialize import deserialize_param

    for part in messages(what):
        if type_of(part) in ("MlCommand.Fit", "MlCommand.Evaluate"):
            for name, value in part.params.params.items():
                yield name, str(deserialize_param(value))[:200]


def place_of(asked: AnsweredQuestion) -> str:
    """Return the author's line that asks a question, as ``FILE:LINE``; empty if unknown."""
    return f"{asked.caller.file}:{asked.caller.line}" if asked.caller.file else ""


def parts_of_row(row: AnsweredQuestion) -> tuple[Part, ...]:
    """Return the parts of a question, for comparisons of runs."""
    question, what = row.question, row.question.message
    relations = [what] if type_of(what) == "Relation" else \
        [part for part in messages(what) if type_of(part) == "Relation"][:1]  # the outermost
    text = "\n".join(str(line) for relation in relations for line in lines_of(relation))
    code, parameters = tuple(dict.fromkeys(function for function, _ in question.code)), sorted(params_of(what))
    # If other parts cover what the plan's text lacks, the plan changed only if its text did.
    has_other_parts = bool(code or parameters or question.handles)
    return (
        Part(Group.PLAN, row.name, digest(text) if has_other_parts else question.identity, text),
        *([Part(Group.CODE, call_of(row.name), digest(*code), None)] if code else []),
        *(Part(Group.INPUT, "model", handle, None) for handle in dict.fromkeys(question.handles)),
        *(Part(Group.SOURCE, read.shown, read.identity.digest, read.identity.shown) for read in question.reads),
        *(Part(Group.PARAMETER, name, digest(name, value), value) for name, value in parameters),
    )


def nodes_of(rows: Sequence[AnsweredQuestion], program: PlainProgram) -> list[NodeRecord]:
    """Return questions as recorded nodes, without an iteration. Reasons compare a line's parts with the last run's."""
    last, record = last_ended(program.catalog, program.name), program.record
    before = {} if last is None else _parts_of_lines(program.catalog.nodes(last))
    functions = () if program.answerer is None else program.answerer.signer.functions.values()
    pure = {function.digest for function in functions if function.is_pure}
    nodes = [
        NodeRecord(
            run="", workflow=program.name, iteration=0, name=row.name, kind=row.kind, inputs=row.inputs,
            state="compute" if row.fresh else "load", reason="", declared=row.identity, signature=row.identity,
            parts=parts_to_json(parts_of_row(row)), code=place_of(row), seconds=row.seconds,
            predicted_seconds=record.seconds(row.identity) or None, stored=not row.fresh,
            output=row.question.kind == "rows", started=max(0.0, row.started - program.began),
            reads=_reads(row.question, program), pure=pure.issuperset(code for code, _ in row.question.code),
        )
        for row in rows
    ]
    now, answers = _parts_of_lines(nodes), {row.name: row for row in rows}
    reasons: dict[str, str] = {}
    for line, members in lines_of_source(nodes).items():
        differing = changes(before[line], now[line]) if line in before else None
        for node in members:
            shared = "" if answers[node.name].fresh else record.shared_in(node.signature)
            reasons[node.name] = _reason(answers[node.name], differing, parts_from_json(node.parts)) + (
                f" in the shared catalog {shared}" if shared else ""
            )
    return [replace(node, reason=reasons[node.name]) for node in nodes]


def _reads(question: Question, program: PlainProgram) -> tuple[str, ...]:
    """Return the locations that a question's plan and its Python functions read."""
    in_workers = (place for code, _ in question.code for place in program.watched.places(code))
    places = dict.fromkeys((*places_read(question.reads, [question.message], program.data.folder), *in_workers))
    return tuple(place[:LONGEST_PLACE] for place in places)


def _parts_of_lines(nodes: Sequence[NodeRecord]) -> dict[str, tuple[Part, ...]]:
    return {row.name: parts_from_json(row.parts) for row in source_rows(nodes)}


def _reason(asked: AnsweredQuestion, of_line: Sequence[Change] | None, parts: Sequence[Part]) -> str:
    kind = asked.question.kind
    if not asked.fresh:
        reasons = {"effect": "the same was written there before, and lies there still", "table": "it is stored"}
        return reasons.get(kind, "its answer is on record")
    if asked.why:
        return asked.why
    if of_line is None:
        return "it was not asked before"
    own = {part.shown for part in parts if part.group is Group.PARAMETER}
    own_changes = [
        change for change in of_line
        if (change.group is not Group.PLAN or change.before != change.after)
        and (not change.label.startswith("grid value") or change.after in own)
    ]
    texts = [str(change) for change in own_changes if change.group is not Group.INPUT]
    if own_changes and not texts:
        return "a model that it uses is another one"
    return "; ".join(texts) or ("it is not stored" if kind == "table" else "its answer is not kept")
