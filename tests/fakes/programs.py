"""Runs of plain programs, against a server and a record in memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from helix_spark.answers.answering import Answerer, Mode
from helix_spark.answers.model_saves import save_models_as_one
from helix_spark.answers.plan_data import DataVersions
from helix_spark.answers.questions import Signer, code_of
from helix_spark.answers.session_state import SessionState
from helix_spark.hermetic.task import written_for
from helix_spark.plans import current_program
from helix_spark.plans.program_client import open_session
from helix_spark.plans.replaced_in_pyspark import take_over
from helix_spark.program.author_acts import AuthorActs
from tests.fakes.answer_record import FakeRecord
from tests.fakes.connect_server import FakeServer


def answerer_of(record: FakeRecord, server: FakeServer, folder: Path, *, mode: Mode = "run") -> Answerer:
    """What answers one run of a program whose relative paths begin in a folder."""
    signer = Signer("around", SessionState(), DataVersions(folder))
    return Answerer(signer, record, server, {}, mode=mode)


Program = Callable[[Any], Any]


class Runs:
    """Runs functions of a session as programs, one after the other, against one record."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.record = folder, FakeRecord()
        self.said: list[str] = []

    def run(self, program: Program, *, mode: Mode = "run", server: FakeServer | None = None) -> FakeServer:
        """One run, or a plan; returns the server that it asked."""
        server = FakeServer() if server is None else server
        answerer = answerer_of(self.record, server, self.folder, mode=mode)
        answerer.served.tell = self.said.append
        session = open_session(answerer, {})

        class Taken:
            def session(self, options: dict[str, str]) -> Any:
                return session

            def settle(self, frame: Any) -> None:
                answerer.settle(frame)

            def columns(self, frame: Any) -> Any:
                return None

            def write_code(self, value: Any, pickle: Callable[[], bytes]) -> bytes:
                code = code_of(value[0] if isinstance(value, tuple) else value)
                with written_for(answerer.signer.watched.purpose(code.digest)):
                    pickled = pickle()
                answerer.signer.functions[pickled] = code
                return pickled

            def save(self, path: str, write: Callable[[], None]) -> None:
                answerer.save(path, write)

            def need_classic(self, what: str) -> None:
                """Nothing: pyspark refuses it."""

        acts = AuthorActs(lambda: answerer)
        acts.start()
        take_over(Taken())
        save_models_as_one()
        try:
            self.returned = program(session)
        finally:
            acts.stop()
            current_program.PROGRAMS.clear()
            session.stop()
        self.record.remember(answerer)
        self.answerer = answerer
        return server


def rows(spark: Any) -> Any:
    return spark.read.csv("rows.csv", header=True)
