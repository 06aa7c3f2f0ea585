"""Puts a run of a program on record: its answers, its iteration with a node a question, and the models it fitted."""

from __future__ import annotations

import json
import time
import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from helix_spark.capture.plan_messages import messages, sort_of
from helix_spark.capture.plan_words import lines_of
from helix_spark.catalog.leases.holders import writer
from helix_spark.catalog.records import AnswerRecord, ArtifactRecord, IterationRecord, NodeRecord
from helix_spark.engine.results.results import ModelResult
from helix_spark.engine.results.storing import NotStoredError, Origin, store
from helix_spark.errors import CatalogError, Location
from helix_spark.iteration.provenance import Provenance
from helix_spark.iteration.recording import versions_json
from helix_spark.program.answer_texts import answer_of_text
from helix_spark.program.answering import Answerer, Asked
from helix_spark.program.plain_program import PlainProgram
from helix_spark.program.questions import KINDS, Question, handle_of
from helix_spark.program.recorded_answers import RecordedAnswers
from helix_spark.program.served_session import ServedSession
from helix_spark.signature.difference import changes, parts_from_json, parts_to_json
from helix_spark.signature.parts import Group, Part, digest
from helix_spark.visible_text import LONGEST_NAME


@dataclass(frozen=True, slots=True)
class Tally:
    """How some questions were answered, each counted once.

    Attributes:
        asked: how many there are.
        fresh: of those, the ones that Spark was asked now.
        fitted: models that were fitted now.
        saved: seconds that the answers from the record took Spark when it was asked them.
    """

    asked: int
    fresh: int
    fitted: int
    saved: float

    @property
    def reused(self) -> int:
        """Those that were answered from the record."""
        return self.asked - self.fresh


def tally_of(asked: Sequence[Asked], record: RecordedAnswers) -> Tally:
    """How questions were answered."""
    found = {one.question.identity for one in asked}
    fresh = {one.question.identity: one for one in asked if one.fresh}
    saved = sum(record.seconds(identity) for identity in found - fresh.keys())
    return Tally(len(found), len(fresh), sum(_is_fit(one.question.what) for one in fresh.values()), saved)


def record_run(program: PlainProgram, error: BaseException | None, message: str) -> tuple[int, Tally] | None:
    """Records a run that has ended, and returns its iteration's number and how its questions were answered; None if it
    asked Spark nothing.

    Args:
        error: what ended it, if something did.

    Raises:
        CatalogError: the catalog cannot be written.
    """
    answerer, record = program.answerer, program.record
    if answerer is None or record is None:
        return None
    seconds = time.perf_counter() - program.began
    run = uuid.uuid4().hex
    catalog = program.catalog
    catalog.make()
    catalog.leases.take(run)
    try:
        provenance = Provenance.of(Location(str(program.path), 1))
        before = parts_before(program)
        begun = catalog.start_iteration(_iteration(program, run, message))
        rows = list(rows_of(answerer.asked))
        catalog.answers.append(_answers(answerer.asked, program.name, begun.number))
        kept = _store_models(answerer, program, begun.number)
        ended = provenance.stamped(replace(
            begun, seconds=seconds, status=_status(error), outputs=json.dumps(_outputs(rows, record)),
            error="" if error is None or _is_exit(error) else f"{type(error).__name__}: {error}"[:10_000],
            start_seconds=program.server.start_seconds or None if program.server is not None else None,
        ))
        if (file := provenance.file_record()) is not None:
            catalog.keep_file(file)
        catalog.append_iteration(ended, _nodes(rows, ended, program, before, kept))
        catalog.sync()
    finally:
        catalog.leases.release(run)
    return begun.number, tally_of(answerer.asked, record)


def keep_answers(program: PlainProgram, asked: Sequence[Asked]) -> None:
    """Records some answers of a program that goes on, and stores the models that were fitted for them. The iteration
    is recorded at the program's end.

    Raises:
        CatalogError: the catalog cannot be written.
    """
    if not any(one.fresh for one in asked):
        return
    assert program.answerer is not None
    program.catalog.make()
    program.catalog.answers.append(_answers(asked, program.name, 0))
    _store_models(program.answerer, program, 0)
    program.catalog.sync()


def _iteration(program: PlainProgram, run: str, message: str) -> IterationRecord:
    return IterationRecord(
        run=run, workflow=program.name, number=1, status="running", started=time.time(), message=message,
        parameters=json.dumps({"arguments": list(program.arguments)} if program.arguments else {}),
        versions=versions_json(), writer=writer(),
    )


def _status(error: BaseException | None) -> Any:
    if error is None or _is_exit(error):
        return "done"
    return "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"


def _is_exit(error: BaseException) -> bool:
    return isinstance(error, SystemExit) and error.code in (None, 0)


@dataclass(frozen=True, slots=True)
class Row:
    """A question with the name that it has among all of its run."""

    name: str
    asked: Asked


def rows_of(asked: Sequence[Asked]) -> Iterator[Row]:
    """The questions that count as nodes: those that run something. Each once, by the first time that it was asked."""
    once: dict[str, Asked] = {}
    for one in asked:
        if KINDS[one.question.sort] == "execute" and _is_authors(one):
            once.setdefault(one.question.identity, one)
    numbers = _numbers(once.values())
    for one in once.values():
        number = numbers[one.question.identity]
        yield Row(named(one) if number == 1 else f"{named(one)} #{number}", one)


def _numbers(asked: Iterable[Asked]) -> dict[str, int]:
    """By identity, the number of each question among those of its name: in an order that does not rest on which of them
    was answered first, as fits of a grid side by side are."""
    groups: defaultdict[str, list[Asked]] = defaultdict(list)
    for one in asked:
        groups[named(one)].append(one)
    numbers: dict[str, int] = {}
    for group in groups.values():
        ordered = sorted(group, key=lambda one: (sorted(_params(one.question.what)), one.question.identity))
        numbers |= {one.question.identity: at for at, one in enumerate(ordered, 1)}
    return numbers


def named(asked: Asked) -> str:
    """What a question is called: as its author writes the call; of Spark ML, with what is fitted or evaluates, too."""
    call = asked.caller.call or asked.caller.function or "a question"
    inside = _inside(asked.question.what)
    return f"{call}: {inside}" if inside else call


def _inside(what: Any) -> str:
    """The class of Spark ML that is fitted or evaluates; empty for other questions."""
    command = _ml(what)
    match None if command is None else command.WhichOneof("command"):
        case "fit":
            return str(command.fit.estimator.name.rpartition(".")[2])
        case "evaluate":
            return str(command.evaluate.evaluator.name.rpartition(".")[2])
    return ""


def _ml(what: Any) -> Any:
    """The command of Spark ML that a question is; None for others."""
    is_ml = sort_of(what) == "Command" and what.WhichOneof("command_type") == "ml_command"
    return what.ml_command if is_ml else None


def _is_authors(asked: Asked) -> bool:
    """Whether a question is one that its author asks. pyspark asks its models some things by itself."""
    command = _ml(asked.question.what)
    if command is None or command.WhichOneof("command") != "fetch":
        return True
    return asked.caller.call.endswith(f".{command.fetch.methods[-1].method}")


def _answers(asked: Sequence[Asked], workflow: str, number: int) -> list[AnswerRecord]:
    now = time.time()
    return [
        AnswerRecord(one.question.identity, workflow, number, now, one.seconds, one.answer or "", one.left)
        for one in asked if one.answer or one.left
    ]


def _nodes(
    rows: Sequence[Row], ended: IterationRecord, program: PlainProgram, before: Mapping[str, tuple[Part, ...]],
    kept: Mapping[str, ArtifactRecord],
) -> list[NodeRecord]:
    by_handle = {handle_of(row.asked.question): row.name for row in rows}
    return [_node(row, ended, program, before, kept.get(row.asked.question.identity), by_handle) for row in rows]


def _node(
    row: Row, ended: IterationRecord, program: PlainProgram, before: Mapping[str, tuple[Part, ...]],
    stored: ArtifactRecord | None, by_handle: Mapping[str, str],
) -> NodeRecord:
    asked, question = row.asked, row.asked.question
    assert program.record is not None
    inputs = dict.fromkeys(by_handle[one] for one in question.handles if by_handle.get(one, row.name) != row.name)
    return NodeRecord(
        run=ended.run, workflow=ended.workflow, iteration=ended.number, name=row.name[:LONGEST_NAME],
        kind={"fit": "learner", "effect": "write"}.get(question.sort, "answer"), inputs=tuple(inputs),
        state="compute" if asked.fresh else "load", reason=reason_of(row, before), declared=question.identity,
        signature=question.identity, parts=parts_to_json(parts_of_row(row)), code=_place(asked),
        seconds=asked.seconds, predicted_seconds=program.record.seconds(question.identity) or None,
        bytes=None if stored is None else stored.bytes, stored=not asked.fresh or stored is not None,
        output=question.sort == "rows", started=max(0.0, asked.started - program.began),
    )


def parts_before(program: PlainProgram) -> dict[str, tuple[Part, ...]]:
    """What the questions of the program's last iteration were made of, by name."""
    last = program.catalog.iterations(program.name, 1)
    return {node.name: parts_from_json(node.parts) for node in program.catalog.nodes(last[0])} if last else {}


def reason_of(row: Row, before: Mapping[str, tuple[Part, ...]]) -> str:
    """Why a question was asked of Spark, or not.

    Args:
        before: see `parts_before`.
    """
    asked = row.asked
    if not asked.fresh:
        return "the same was written there before, and lies there still" if asked.question.sort == "effect" else (
            "its answer is on record"
        )
    if asked.why:
        return asked.why
    if row.name not in before:
        return "it was not asked before"
    found = changes(before[row.name], parts_of_row(row))
    told = [one for one in found if one.group is not Group.PLAN or one.before != one.after]
    if found and not told:
        return "a model that it uses is another one" if asked.question.handles else "Python code in it changed"
    return "; ".join(map(str, told)) or "its answer is not kept"


def _place(asked: Asked) -> str:
    return f"{asked.caller.file}:{asked.caller.line}" if asked.caller.file else ""


def parts_of_row(row: Row) -> tuple[Part, ...]:
    """What a question is made of, for who compares two runs."""
    return tuple(_parts(row))


def _parts(row: Row) -> Iterator[Part]:
    question = row.asked.question
    said = [str(line) for one in _relations(question.what) for line in lines_of(one)]
    yield Part(Group.PLAN, row.name, question.identity, "\n".join(said))
    for one in question.reads:
        yield Part(Group.SOURCE, one.shown, one.identity.digest, one.identity.shown)
    for name, value in sorted(_params(question.what)):
        yield Part(Group.PARAMETER, name, digest(name, value), value)


def _relations(what: Any) -> list[Any]:
    """The outermost relations in a message."""
    if sort_of(what) == "Relation":
        return [what]
    return [one for one in messages(what) if sort_of(one) == "Relation"][:1]


def _params(what: Any) -> Iterator[tuple[str, str]]:
    """The parameters of what is fitted, or evaluates."""
    from pyspark.ml.connect.serialize import deserialize_param

    for one in messages(what):
        part: Any = one
        if sort_of(one) in ("MlCommand.Fit", "MlCommand.Evaluate"):
            for name, value in part.params.params.items():
                yield name, str(deserialize_param(value))[:200]


def _outputs(rows: Sequence[Row], record: RecordedAnswers) -> dict[str, Any]:
    """What the author's own calls of evaluators gave, by name."""
    from pyspark.ml.connect.serialize import deserialize_param

    found: dict[str, Any] = {}
    for row in rows:
        command = _ml(row.asked.question.what)
        if command is None or command.WhichOneof("command") != "evaluate" or row.asked.caller.function != "evaluate":
            continue
        text = row.asked.answer or record.answer(row.asked.question.identity) or ""
        for answer in answer_of_text("execute", text) if text else ():
            if answer.HasField("ml_command_result") and answer.ml_command_result.HasField("param"):
                found[row.name] = deserialize_param(answer.ml_command_result.param)
    return found


def _store_models(answerer: Answerer, program: PlainProgram, number: int) -> dict[str, ArtifactRecord]:
    """Stores the models that were fitted in this run, where having them again takes longer than reading them."""
    record = program.record
    assert record is not None
    wanted = {
        one.question.identity: one for one in answerer.asked
        if one.fresh and one.answer and one.seconds >= LEAST_SECONDS and _is_fit(one.question.what)
    }

    def stored(one: Asked) -> ArtifactRecord | None:
        model = ModelResult(_ServedModel(answerer.served, one.question))
        name = named(one)[:LONGEST_NAME]
        try:
            return store(model, Origin(one.question.identity, program.name, name, number, one.seconds), program.catalog)
        except (CatalogError, NotStoredError) as error:
            program.tell(error.what)
            return None

    with ThreadPoolExecutor(_AT_A_TIME, "helix-models") as pool:  # each is a few small jobs, which wait for each other
        kept = pool.map(stored, (one for identity, one in wanted.items() if not record.is_stored(identity)))
        return {one.signature: one for one in kept if one is not None}


@dataclass(frozen=True, slots=True)
class _ServedModel:
    """A model that a program's server holds, as far as one of Spark ML's own is needed to store it."""

    served: ServedSession
    question: Question

    def write(self) -> _ServedModel:
        return self

    def save(self, path: str) -> None:
        self.served.write_model(self.question, path)


_AT_A_TIME = 4

LEAST_SECONDS = 0.3
"""A fit that took less is fitted again: reading a model takes as long."""


def _is_fit(what: Any) -> bool:
    command = _ml(what)
    return command is not None and command.WhichOneof("command") == "fit"
