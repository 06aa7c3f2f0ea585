"""A program may name its Spark, as `SparkSession.builder.remote("sc://host:port")` does."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NoReturn
from unittest.mock import MagicMock

import grpc
import pyspark
import pyspark.sql.connect.proto as pb
import pytest
from pyspark.sql.connect.proto.base_pb2_grpc import (
    SparkConnectServiceServicer,
    add_SparkConnectServiceServicer_to_server,
)

from helix_spark.answers.plan_data import DataVersions, UnknownDataError
from helix_spark.catalog.catalog import Catalog
from helix_spark.engine.server import starting
from helix_spark.engine.server.starting import ProgramServer
from helix_spark.engine.spark import connect_server
from helix_spark.engine.spark.borrowed import settings_of_server
from helix_spark.errors import SetupError
from helix_spark.plans import current_program
from helix_spark.plans.program_client import open_session
from helix_spark.program.plain_program import PlainProgram
from helix_spark.run.recorded_answers import RecordedAnswers
from tests.fakes.programs import rows


class Spark(SparkConnectServiceServicer):  # type: ignore[misc]  # generated without types
    """A server of some version, with one setting."""

    def __init__(self, version: str) -> None:
        self.version = version

    def AnalyzePlan(self, request: Any, context: Any) -> Any:  # noqa: N802 - the service calls it so
        answer = pb.AnalyzePlanResponse()
        answer.spark_version.version = self.version
        return answer

    def Config(self, request: Any, context: Any) -> Any:  # noqa: N802 - as above
        return pb.ConfigResponse(pairs=[pb.KeyValue(key="spark.master", value="yarn")])

    def ReleaseSession(self, request: Any, context: Any) -> Any:  # noqa: N802 - as above
        return pb.ReleaseSessionResponse()


def serving(version: str) -> tuple[Any, str]:
    server = grpc.server(ThreadPoolExecutor(2))
    add_SparkConnectServiceServicer_to_server(Spark(version), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, f"sc://127.0.0.1:{port}"


def test_a_named_server_says_what_its_settings_are() -> None:
    server, address = serving(pyspark.__version__)
    try:
        assert settings_of_server(address) == {"spark.master": "yarn"}
    finally:
        server.stop(None)


def test_a_server_of_another_version_is_refused() -> None:
    server, address = serving("3.5.1")
    try:
        with pytest.raises(SetupError, match=r"is version 3\.5\.1") as found:
            settings_of_server(f"{address}/;user_id=me")
        assert "user_id" not in str(found.value)
    finally:
        server.stop(None)


def test_a_server_that_nobody_answers_for_is_told() -> None:
    with pytest.raises(SetupError, match="no server answers at sc://localhost:1,"):
        settings_of_server("sc://localhost:1")


@pytest.mark.parametrize(("address", "machine"), [
    ("", ""), ("sc://localhost:15002", ""), ("sc://127.0.0.1:15002/;token=a", ""),
    ("sc://spark.example", "spark.example"),
])
def test_a_server_on_another_machine_is_known(address: str, machine: str) -> None:
    assert ProgramServer({}, address).elsewhere == machine


def test_what_another_machine_reads_nobody_knows_the_version_of(tmp_path: Path) -> None:
    with pytest.raises(UnknownDataError):
        DataVersions(tmp_path, "spark.example").of_folder(str(tmp_path))


def test_another_machine_is_given_nothing_that_is_stored_here(tmp_path: Path) -> None:
    record = RecordedAnswers(Catalog.open(tmp_path, create=True), "train", "spark.example")
    assert record.model("0" * 64) is record.table("0" * 64) is None


def test_the_address_is_the_client_s(tmp_path: Path) -> None:
    session = open_session(object(), {}, "sc://spark.example/;user_id=me")  # type: ignore[arg-type]  # nothing is asked
    try:
        rows_of_nobody = rows(session)._plan.to_proto(session.client)
        assert session.client._user_id == "me"
        assert rows_of_nobody.root.HasField("read")
    finally:
        current_program.PROGRAMS.clear()
        session.stop()


def test_relative_paths_go_by_the_folder_in_which_the_first_session_was_created(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = PlainProgram(tmp_path / "train.py", (), Catalog.open(tmp_path, create=True), {}, print)
    (first := tmp_path / "first").mkdir()
    folders = []

    def start(*arguments: Any) -> NoReturn:
        folders.append(arguments[3])
        raise SetupError("there is no Spark")

    monkeypatch.setattr(starting, "start_server", start)
    monkeypatch.chdir(first)
    session = program.session({})
    try:
        monkeypatch.chdir(tmp_path)
        assert program.server is not None
        with pytest.raises(SetupError):
            program.server.stub()
        assert (program.data.folder, folders, Path.cwd()) == (first, [first], tmp_path)
    finally:
        current_program.PROGRAMS.clear()
        session.stop()


def test_relative_paths_go_by_the_folder_of_a_jvm_that_was_there_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = PlainProgram(tmp_path / "train.py", (), Catalog.open(tmp_path, create=True), {}, print)
    jvm = MagicMock()  # as spark-submit has started it
    jvm.java.lang.System.getProperty.side_effect = {"user.dir": str(tmp_path / "first")}.get
    monkeypatch.setattr(connect_server, "_jvm_exists", lambda: True)
    monkeypatch.setattr(connect_server, "_existing_jvm", lambda: jvm)
    monkeypatch.setattr(connect_server, "_settings_of_existing_jvm", dict)
    session = program.session({})
    try:
        assert program.data.folder == tmp_path / "first"
    finally:
        current_program.PROGRAMS.clear()
        session.stop()


def test_relative_paths_of_a_named_server_are_unknown(tmp_path: Path) -> None:
    server, address = serving(pyspark.__version__)
    program = PlainProgram(tmp_path / "train.py", (), Catalog.open(tmp_path / "catalog", create=True), {}, print)
    (tmp_path / "a.csv").touch()
    session = program.session({"spark.remote": address})
    try:
        assert program.data.of_folder(str(tmp_path / "a.csv"))
        with pytest.raises(UnknownDataError):
            program.data.of_folder(os.path.relpath(tmp_path / "a.csv"))
    finally:
        current_program.PROGRAMS.clear()
        session.stop()
        server.stop(None)


def test_a_local_server_by_spark_s_own_name_is_the_master(tmp_path: Path) -> None:
    program = PlainProgram(tmp_path / "train.py", (), Catalog.open(tmp_path, create=True), {}, print)
    given, address = program._settings_and_address({"spark.remote": "local[3]"})
    assert (given["spark.master"], address) == ("local[3]", "")
