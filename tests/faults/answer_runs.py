"""Runs of a script, and questions of a workflow, whose recorded answers a stranger wrote, or bits turned in: in a
process of its own, without a JVM. `python -m tests.faults.answer_runs FOLDER CASE...` prints a line of JSON for
each case: the number of a hostile answer, `turned-NUMBER`, or the name of a catalog in the folder that begins with
`large`."""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyspark.sql.connect.proto as pb

from helix_spark.answers.answering import Answerer, Mode
from helix_spark.answers.plan_data import DataVersions
from helix_spark.answers.questions import Question, Signer, form_of
from helix_spark.answers.sent_requests import ml_command
from helix_spark.answers.served_session import UnansweredError
from helix_spark.answers.session_state import SessionState
from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.records import AnswerRecord
from helix_spark.catalog.verification import verify
from helix_spark.plans import current_program
from helix_spark.plans.answer_gate import AnswerForm, answer_of_text
from helix_spark.plans.program_client import control_draws, open_session
from helix_spark.plans.replaced_in_pyspark import take_over
from helix_spark.run.recorded_answers import RecordedAnswers
from tests.faults.strange_answers import LONG, MODULE, STRING, Strange, all_strange, columns, rows, stream
from tests.faults.traps import write_module

MOST_MIB = 300
NAME = "script"


@dataclass
class Stub:
    """A server of Spark Connect that answers each question of the script with the same."""

    asked: int = 0

    def stub(self) -> Stub:
        return self

    def how_ended(self) -> str:
        """Nothing: there is no process."""
        return ""

    def drop(self) -> None:
        """Nothing, as above."""

    def leave_rows(self, session_id: str, key: str, relation: bytes) -> bool:
        return False

    def take_rows(self, session_id: str, key: str, name: str) -> bool:
        return False

    def ExecutePlan(self, request: Any, metadata: Any = None) -> Iterator[Any]:  # noqa: N802 - the service calls it so
        self.asked += 1
        plan = request.plan
        if plan.WhichOneof("op_type") == "root":
            return iter(_ROWS["show" if plan.root.WhichOneof("rel_type") == "show_string" else "rows"])
        answer, command = pb.ExecutePlanResponse(), plan.command
        if command.HasField("checkpoint_command"):
            answer.checkpoint_command_result.relation.relation_id = f"kept-{self.asked}"
        match command.ml_command.WhichOneof("command"):
            case "fit":
                answer.ml_command_result.operator_info.obj_ref.id = f"model-{self.asked}"
            case "evaluate":
                answer.ml_command_result.param.double = 0.5
            case "fetch":
                answer.ml_command_result.param.double = 2.5
        return iter([answer])

    def AnalyzePlan(self, request: Any, metadata: Any = None) -> Any:  # noqa: N802 - as above
        self.asked += 1
        answer, kind = pb.AnalyzePlanResponse(), request.WhichOneof("analyze")
        getattr(answer, kind).SetInParent()
        if kind == "schema":
            answer.schema.schema.CopyFrom(columns(LONG))
        if kind == "explain":
            answer.explain.explain_string = "== Plan =="
        return answer

    def Config(self, request: Any, metadata: Any = None) -> Any:  # noqa: N802 - as above
        self.asked += 1
        names = [*request.operation.get.keys, *(one.key for one in request.operation.get_with_default.pairs)]
        return pb.ConfigResponse(pairs=[pb.KeyValue(key=name, value="7") for name in names])


_ROWS = {
    "rows": rows(columns(LONG), stream(pa.record_batch({"a": pa.array([3, 4])})), 2),
    "show": rows(columns(STRING), stream(pa.record_batch({"show_string": pa.array(["+-+\n|a|\n+-+\n"])})), 1),
}


def script(spark: Any) -> list[str]:
    """A plain program that asks a question of each kind."""
    from pyspark.ml.classification import LogisticRegression
    from pyspark.ml.evaluation import RegressionEvaluator
    from pyspark.ml.feature import VectorAssembler

    table = spark.read.csv("rows.csv", header=True)
    print(table.collect(), table.schema, spark.conf.get("spark.example"))
    table.show()
    table.explain()
    model = LogisticRegression().fit(VectorAssembler(inputCols=["a"], outputCol="features").transform(table))
    print(model.intercept, RegressionEvaluator().evaluate(table), table.localCheckpoint().collect())
    return []


def name_of(question: Question) -> str:
    """The kind of a question, as `strange_answers.KINDS` calls it."""
    what = question.message
    if (command := ml_command(what)) is not None:
        return str(command.WhichOneof("command"))
    if question.kind == "setting":
        return "setting"
    if question.kind == "analysis":
        return {"AnalyzePlanRequest.Explain": "explain"}.get(f"AnalyzePlanRequest.{type(what).__name__}", "schema")
    if question.kind == "fit":
        return "checkpoint"
    return "show" if what.WhichOneof("rel_type") == "show_string" else "collect"


@dataclass(frozen=True)
class Recordable:
    """An answer that a run records.

    Attributes:
        kind: of its question; see `strange_answers.KINDS`.
        form: that it must have.
    """

    kind: str
    identity: str
    form: AnswerForm
    text: str


@dataclass
class Outcome:
    """The result of one run.

    Attributes:
        printed: by the script; `error` is what ended it.
        lines: of Helix's own.
    """

    printed: str = ""
    error: str = ""
    asked: int = 0
    mib: int = 0
    lines: list[str] = field(default_factory=list)
    answers: list[Recordable] = field(default_factory=list)


def run(root: Path, folder: Path, mode: Mode) -> Outcome:
    """One run of the script, or a plan of it, against a catalog."""
    outcome, stub, printed = Outcome(), Stub(), io.StringIO()
    record = RecordedAnswers(Catalog.open(root, create=True), NAME, tell=outcome.lines.append)
    answerer = Answerer(Signer("around", SessionState(), DataVersions(folder)), record, stub, {}, mode=mode)
    before = _memory("VmRSS", fresh=True)
    control_draws()
    session = open_session(answerer, {})
    take_over(_Taken(session, answerer))  # type: ignore[arg-type]  # the script has no functions, which the others are for
    with contextlib.redirect_stdout(printed):
        try:
            script(session)
        except UnansweredError:
            pass
        except Exception as error:  # noqa: BLE001 - whatever a hostile answer brings about is what is counted
            outcome.error = f"{type(error).__name__}: {str(error)[:200]}"
        finally:
            current_program.PROGRAMS.clear()
            session.stop()
    outcome.printed, outcome.asked, outcome.answers = printed.getvalue(), stub.asked, list(_recordable(answerer))
    outcome.mib = _memory("VmHWM") - before
    return outcome


def _recordable(answerer: Answerer) -> Iterator[Recordable]:
    for asked in answerer.answers:
        if asked.answer:
            question = asked.question
            yield Recordable(name_of(question), question.identity, form_of(question), asked.answer)
    for asked in answerer.analyses.take():
        yield Recordable("schema", asked.question.identity, AnswerForm("analyze", "schema"), asked.answer or "")


@dataclass(frozen=True)
class _Taken:
    """A program, as far as pyspark is to take its session for the only one."""

    only: Any
    answerer: Answerer

    def session(self, options: Mapping[str, str]) -> Any:
        return self.only

    def settle(self, frame: Any) -> None:
        self.answerer.settle(frame)

    def columns(self, frame: Any) -> Any:
        return None


def _memory(name: str, *, fresh: bool = False) -> int:
    """MiB of this process, as Linux counts them.

    Args:
        fresh: whether the peak is counted anew from now on.
    """
    if fresh:
        Path("/proc/self/clear_refs").write_text("5")
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) >> 10 for line in lines if line.startswith(f"{name}:"))


@dataclass
class Home:
    """A script with a catalog that has its honest answers."""

    folder: Path

    @property
    def canary(self) -> Path:
        return self.folder / "executed"

    def begin(self) -> None:
        os.chdir(self.folder)
        sys.path.insert(0, str(self.folder))
        Path("rows.csv").write_text("a\n3\n4\n")
        write_module(self.folder, MODULE, self.canary, "class Kind: ...\n")
        shutil.rmtree("honest", ignore_errors=True)
        self.honest = run(Path("honest"), self.folder, "run")
        self._record(Path("honest"), [(one, one.text) for one in self.honest.answers])

    def _record(self, root: Path, answers: Sequence[tuple[Recordable, str]]) -> None:
        records = [AnswerRecord(one.identity, NAME, 1, 1.0, 0.1, text) for one, text in answers]
        Catalog.open(root, create=True).answers.append(records)

    def tried(self, strange: Strange) -> str:
        """What came of hostile answers to all questions of a kind that should not have; empty if it was nothing."""
        answers = [
            (one, strange.text(answer_of_text(one.form, one.text), self.canary))
            for one in self.honest.answers if one.kind == strange.question
        ]
        shutil.rmtree("copy", ignore_errors=True)
        shutil.copytree("honest", "copy")
        self._record(Path("copy"), answers)
        modes: tuple[Mode, ...] = ("plan", "run")
        outcomes = [run(Path("copy"), self.folder, mode) for mode in modes]
        wrong = [f"in a {mode}: {why}" for mode, one in zip(modes, outcomes, strict=True) if (why := self._wrong(one))]
        if outcomes[1].printed != self.honest.printed:
            wrong.append(f"it printed {outcomes[1].printed[-200:]!r}")
        return "; ".join(wrong)

    def turned(self, case: str) -> str:
        """What came of a bit that turned in a record that should not have; empty if it was nothing."""
        chance, root = random.Random(case), Path(case)
        answer = chance.choice(self.honest.answers)
        honest = AnswerRecord(answer.identity, NAME, 1, 1.0, 0.1, answer.text)
        honest = replace(honest, digest=honest.content_digest())
        changed = flipped(honest, chance.choice(("answer", "digest", "seconds", "at")), chance)
        Catalog.open(root, create=True)._records.append([changed])
        outcome = run(root, self.folder, "run")
        if outcome.printed != self.honest.printed or outcome.error or len(outcome.lines) != 1:
            return f"it printed {outcome.printed[-200:]!r}, and said {outcome.error or outcome.lines}"
        return "`verify` calls it sound" if verify(Catalog.open(root, create=False), deep=False).sound else ""

    def read(self, case: str) -> str:
        """What came of reading all answers of a catalog of large ones that should not have; empty if it was nothing."""
        before = _memory("VmRSS", fresh=True)
        known = RecordedAnswers(Catalog.open(Path(case), create=False), NAME)
        count = sum(known.answer(question_of(number)) is not None for number in range(LARGE))
        mib = _memory("VmHWM") - before
        return f"it took {mib} MiB for {count} answers" if mib > MOST_MIB or count not in (0, LARGE) else ""

    def _wrong(self, outcome: Outcome) -> str:
        if self.canary.exists():
            self.canary.unlink()
            return "code of the stranger's ran"
        if len(outcome.lines) > 1:
            return f"it said {outcome.lines}"
        return outcome.error or (f"it took {outcome.mib} MiB" if outcome.mib > MOST_MIB else "")


LARGE = 200


def question_of(number: int) -> str:
    return f"{number:064x}"


def flipped(record: AnswerRecord, name: str, chance: random.Random) -> AnswerRecord:
    """A record with another value of a field, by one bit of a letter or of a number."""
    value: Any = getattr(record, name)
    if isinstance(value, str):
        at = chance.randrange(len(value))
        value = value[:at] + chr(ord(value[at]) ^ (1 << chance.randrange(7))) + value[at + 1:]
    elif isinstance(value, float):
        value += 2.0 ** -chance.randrange(20)
    else:
        value ^= 1 << chance.randrange(20)
    return replace(record, **{name: value})


def main() -> None:
    home = Home(Path(sys.argv[1]).resolve())
    home.begin()
    found = all_strange()
    print(json.dumps(home.honest.error), flush=True)
    for case in sys.argv[2:]:
        tried = {"turned": home.turned, "large": home.read}.get(case.partition("-")[0])
        print(json.dumps([case, home.tried(found[int(case)]) if tried is None else tried(case)]), flush=True)


if __name__ == "__main__":
    main()
