"""A server that outlives a run: who finds it, whom it fits, and what goes with the run. Here without a JVM: a keeper in
a thread, whose server is a stand-in."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from helix_spark.engine.server import keeper as keeping
from helix_spark.engine.server.fit import Requirements, environment_digests, why_unfit
from helix_spark.engine.server.keeper import Keeper
from helix_spark.engine.server.kept_servers import (
    FOLDER_VARIABLE,
    NO_SERVER,
    KeptServer,
    MeetingPoint,
    has_room,
    kept_server,
    make_room,
    runtime_folder,
    why_none_is_kept,
)
from helix_spark.engine.server.starting import attach
from helix_spark.errors import SetupError


class FakeServer:
    """Takes the place of a `ConnectServer`: its sessions are names."""

    address, ended, state = "sc://localhost:1/;token=t", "", "as it began"

    def __init__(self, *given: object, **named: object) -> None:
        self.driver = self._jvm = self
        self._jsparkSession = self

    def conf(self) -> FakeServer:
        return self

    def isModifiable(self, name: str) -> bool:  # noqa: N802 - as Spark's is called
        return name.startswith("spark.sql.")

    def how_ended(self, error: BaseException | None = None) -> str:
        return self.ended

    def kill(self) -> None:
        """As above."""

    def stop(self) -> None:
        """Nothing: there is no process."""


class FakeRows:
    """Takes the place of `KeptRows`: nothing is in memory."""

    def __init__(self, jvm: object) -> None:
        """As above."""

    def trim(self, share: float) -> None:
        """Nothing to release."""

    def sizes(self) -> dict[str, int]:
        return {"5" * 64: 1000}


class FakeSessions:
    """Takes the place of `RunSessions`."""

    port, secret = 0, ""
    open_now: ClassVar[list[FakeSessions]] = []

    def __init__(self, driver: object, settings: dict[str, str | None], paths: list[str], warehouse: str) -> None:
        self.settings, self.paths, self.warehouse = settings, paths, warehouse
        self.names: list[tuple[str, str]] = []
        self.open_now.append(self)

    def open(self, user: str, session_id: str) -> None:
        self.names.append((user, session_id))

    def close(self) -> None:
        self.open_now.remove(self)


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder in which servers are met: a short path, for a socket's is at most 108 bytes long."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix="hx-", dir="/tmp") as made:
        monkeypatch.setenv(FOLDER_VARIABLE, made)
        monkeypatch.setattr(keeping, "ConnectServer", FakeServer)
        monkeypatch.setattr(keeping, "RunSessions", FakeSessions)
        monkeypatch.setattr(keeping, "KeptRows", FakeRows)
        monkeypatch.setattr(keeping, "context_state", lambda driver: driver.state)
        monkeypatch.setattr(keeping, "_CHECK_SECONDS", 0.01)
        FakeSessions.open_now.clear()
        yield Path(made)


Kept = Callable[..., Keeper]


@pytest.fixture
def keep(folder: Path) -> Iterator[Kept]:
    """Keep a server for a folder, in a thread."""
    threads: list[tuple[Keeper, threading.Thread]] = []

    def begin(where: str = "/a", idle_seconds: float = 60.0, spark: bool = True, **settings: str) -> Keeper:
        point = MeetingPoint.for_folder(where)
        found = Keeper(point, wanted(where, **settings), idle_seconds, spark_is_wanted=spark)
        begun = threading.Event()

        def work() -> None:
            with point.locked() as is_ours:
                assert is_ours
                begun.set()
                found.keep()

        thread = threading.Thread(target=work, name="kept")
        thread.start()
        threads.append((found, thread))
        begun.wait()
        until(lambda: point.status() is not None)
        return found

    yield begin
    for found, thread in threads:
        found.over.set()
        thread.join()


def until(happened: Callable[[], bool]) -> None:
    """Wait until something has happened, for ten seconds at most."""
    for _ in range(1000):
        if happened():
            return
        threading.Event().wait(0.01)
    raise AssertionError("it did not happen")


def wanted(where: str = "/a", **settings: str) -> Requirements:
    given = {name.replace("_", "."): one for name, one in settings.items()}
    return Requirements(where, {"Python": "3.11", "the variable PATH": "1"}, given)


def run(asks: Requirements, said: list[str] | None = None) -> Any:
    """Attach as a run does that wants this."""
    from helix_spark.engine.server import starting

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(starting, "requirements_now", lambda *_: asks)
        return attach({}, (said if said is not None else []).append, Path.cwd())


def answer_to(kept: Keeper, asks: Requirements) -> dict[str, Any]:
    """Return what a keeper answers a run that wants this."""
    line = kept.point.call(kept.point.door, 5.0)
    assert line is not None
    found = line.ask({"ask": "attach", "wanted": asdict(asks), "paths": []})
    assert found is not None
    return found


def test_a_run_attaches_to_the_server_of_its_folder(keep: Kept) -> None:
    keep()
    server = run(wanted())
    assert server.address == FakeServer.address
    server.open_session("me", "session")
    assert FakeSessions.open_now[0].names == [("me", "session")]
    server.stop()


def test_what_a_run_has_goes_when_its_connection_ends(keep: Kept) -> None:
    keep()
    server = run(wanted())
    server._line.close()  # as when its process is killed
    until(lambda: not FakeSessions.open_now)


def test_two_runs_share_a_server_and_the_end_of_one_ends_nothing_of_the_other(keep: Kept) -> None:
    keep()
    one, other = run(wanted()), run(wanted())
    assert len(FakeSessions.open_now) == 2
    one.stop()
    until(lambda: len(FakeSessions.open_now) == 1)
    assert other.how_ended() == ""
    other.stop()


def test_tables_go_into_the_warehouse_that_a_run_names(keep: Kept) -> None:
    keep()
    for settings, warehouse in (wanted(), ""), (replace(wanted(), settings={"spark.sql.warehouse.dir": "/w"}), "/w"):
        server = run(settings)
        assert FakeSessions.open_now[-1].warehouse == warehouse
        server.stop()


def test_no_server_that_locks_hive_s_database_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    from helix_spark.engine.server import starting

    monkeypatch.setattr(starting, "why_none_is_kept", lambda: "")
    monkeypatch.setattr(starting, "attach", lambda *_: "one that stays")
    monkeypatch.setattr(starting, "ConnectServer", lambda *_: "one for this run")
    servers = [starting.start_server({"spark.sql.catalogImplementation": name}) for name in ("in-memory", "hive")]
    assert servers == ["one that stays", "one for this run"]


def test_a_watch_holds_no_server_that_locks_hive_s_database(monkeypatch: pytest.MonkeyPatch) -> None:
    from helix_spark.engine.server import starting

    connected: list[object] = []
    monkeypatch.setattr(starting, "why_none_is_kept", lambda: "")
    monkeypatch.setattr(starting, "_connect_to_keeper", lambda *given: connected.append(given))
    for name in ("in-memory", "hive"):
        starting.HeldServer({"spark.sql.catalogImplementation": name}).close()
    assert len(connected) == 1


def test_settings_of_a_session_are_the_run_s_own(keep: Kept) -> None:
    keep(spark_sql_a="1", spark_sql_b="1")
    server = run(wanted(spark_sql_a="2"))
    assert FakeSessions.open_now[0].settings == {"spark.sql.a": "2", "spark.sql.b": None}
    server.stop()


def test_a_server_in_use_that_does_not_fit_is_left_alone(keep: Kept) -> None:
    kept, said = keep(spark_driver_memory="1g"), list[str]()
    first = run(wanted(spark_driver_memory="1g"))
    assert run(wanted(spark_driver_memory="2g"), said) is None
    assert "the setting spark.driver.memory is another" in said[0]
    assert "another run uses it" in said[0]
    assert not kept.over.is_set()
    first.stop()


def test_an_idle_server_that_does_not_fit_ends(keep: Kept) -> None:
    kept = keep()
    other = Requirements("/a", {"Python": "3.12", "the variable PATH": "1"}, {})
    assert answer_to(kept, other) == {"refused": "does not fit (Python is another)", "busy": False}
    until(lambda: not kept.point.keeper())


def test_a_keeper_that_was_left_without_spark_starts_it_for_the_first_run_that_needs_it(keep: Kept) -> None:
    kept = keep(spark=False)
    found = kept.point.status()
    assert found is not None
    assert (found["spark"], kept.server) == (False, None)
    server = run(wanted(spark_driver_memory="2g"))
    assert kept.has.settings == {"spark.driver.memory": "2g"}
    assert server.address == FakeServer.address
    server.stop()


def test_a_keeper_that_was_left_in_another_environment_ends(keep: Kept) -> None:
    kept = keep(spark=False)
    other = Requirements("/a", {"Python": "3.11", "the variable PATH": "2"}, {})
    assert answer_to(kept, other) == {"refused": "does not fit (the variable PATH is another)", "busy": False}
    until(lambda: not kept.point.keeper())


def test_nothing_ends_for_a_process_that_is_left_without_spark(keep: Kept) -> None:
    keep("/a")
    assert has_room(MeetingPoint.for_folder("/c"))
    keep("/b")
    assert not has_room(MeetingPoint.for_folder("/c"))
    assert has_room(MeetingPoint.for_folder("/b"))


def test_an_idle_server_ends_after_a_while(keep: Kept) -> None:
    point = keep(idle_seconds=0.05).point
    until(lambda: not point.keeper())
    assert point.status() is None


def test_a_server_in_use_does_not_end_for_being_idle(keep: Kept) -> None:
    kept = keep(idle_seconds=0.5)
    server = run(wanted())
    threading.Event().wait(0.8)
    assert kept.point.keeper()
    server.stop()


def test_a_server_whose_jvm_has_ended_says_how(keep: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    keep()
    server = run(wanted())
    monkeypatch.setattr(FakeServer, "ended", "was killed by signal 9")
    assert server.how_ended() in ("was killed by signal 9", "was ended")
    server.stop()


def test_a_server_in_which_a_run_left_what_all_see_is_not_offered_again(
    keep: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = keep()
    server = run(wanted())
    monkeypatch.setattr(FakeServer, "state", "with a file")
    server.stop()
    until(lambda: not FakeSessions.open_now)
    assert "files or jars" in answer_to(kept, wanted())["refused"]


def test_no_more_than_two_stay_and_the_idlest_ends_first(keep: Kept) -> None:
    first, second = keep("/a"), keep("/b")
    run(wanted("/a")).stop()
    until(lambda: not FakeSessions.open_now)
    said: list[str] = []
    assert make_room(MeetingPoint.for_folder("/c"), said.append)
    assert said == ["the server of /b is ended: no more than 2 are kept"]
    assert first.point.keeper()
    assert not second.point.keeper()


def test_a_run_starts_spark_for_itself_where_two_servers_are_in_use(keep: Kept) -> None:
    keep("/a"), keep("/b")
    in_use, said = [run(wanted("/a")), run(wanted("/b"))], list[str]()
    assert run(wanted("/c"), said) is None
    assert said == ["as many servers as may stay are in use: Spark is started for this run alone"]
    for one in in_use:
        one.stop()


def test_a_plan_learns_whether_a_server_runs_and_which_rows_it_has_in_memory(
    keep: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HELIX_SERVER", "on")
    monkeypatch.chdir(tmp_path)
    assert kept_server() == NO_SERVER
    keep(str(Path.cwd()))
    until(lambda: kept_server() == KeptServer(runs=True))
    run(wanted(str(Path.cwd()))).stop()
    until(lambda: kept_server() == KeptServer({"5" * 64: 1000}, runs=True))
    found = MeetingPoint.for_folder(str(Path.cwd())).status()
    assert found is not None
    assert (found["rows"], found["rows_bytes"]) == (1, 1000)
    monkeypatch.setenv("HELIX_SERVER", "off")
    assert kept_server() == NO_SERVER


def test_rows_in_memory_go_before_the_server_where_memory_is_short(
    keep: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    trimmed, kept_rows = list[float](), [{"5" * 64: 1000}]

    class Rows(FakeRows):
        def trim(self, share: float) -> None:
            trimmed.append(share)
            if not share:
                kept_rows[0] = {}

        def sizes(self) -> dict[str, int]:
            return kept_rows[0]

    monkeypatch.setattr(keeping, "KeptRows", Rows)
    kept = keep()
    run(wanted()).stop()
    monkeypatch.setattr(keeping, "_free_memory", lambda: 0.01)
    until(lambda: not kept.point.keeper())
    assert trimmed == [keeping.ROWS_SHARE, 0.0]


def test_a_server_is_ended_on_request(keep: Kept) -> None:
    point = keep().point
    assert point.stop()
    assert not point.stop()


@pytest.mark.parametrize("file", ["lock", "door"])
def test_a_server_that_nobody_can_find_ends(keep: Kept, file: str) -> None:
    kept = keep()
    getattr(kept.point, file).unlink()
    until(lambda: not kept._leases and not any(one.is_alive() for one in threading.enumerate() if one.name == "kept"))


def test_one_process_alone_keeps_the_server_of_a_folder(keep: Kept) -> None:
    point = keep().point
    with point.locked() as is_ours:
        assert not is_ours


def test_status_says_who_uses_it(keep: Kept) -> None:
    kept = keep()
    server = run(wanted())
    found = kept.point.status()
    assert found is not None
    assert (found["folder"], found["runs"]) == ("/a", [os.getpid()])
    server.stop()


def test_a_folder_that_others_may_enter_is_refused(folder: Path) -> None:
    folder.chmod(0o755)
    with pytest.raises(SetupError, match="not for this user alone"):
        runtime_folder()


def test_a_link_is_no_folder_for_servers(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "link").symlink_to("/tmp")
    monkeypatch.setenv(FOLDER_VARIABLE, str(folder / "link"))
    with pytest.raises(SetupError, match="not for this user alone"):
        runtime_folder()


@pytest.mark.parametrize(("other", "why"), [
    (Requirements("/a", {"the folder": "2"}, {}), "the folder is another"),
    (Requirements("/a", {"the folder": "1", "Java": "21"}, {}), "Java is another"),
    (Requirements("/a", {"the folder": "1"}, {"spark.jars": "a.jar"}), "the setting spark.jars is another"),
    (Requirements("/a", {"the folder": "1"}, {"spark.hadoop.fs.s3a.impl": "a.B"}),
     "the setting spark.hadoop.fs.s3a.impl is another"),
    (Requirements("/a", {"the folder": "1"}, {"spark.app.name": "mine"}), ""),
])
def test_what_cannot_be_another_in_a_session_decides(other: Requirements, why: str) -> None:
    assert why_unfit(Requirements("/a", {"the folder": "1"}, {}), other) == why


def test_variables_of_a_terminal_and_of_a_started_context_do_not_count() -> None:
    names = ("TERM", "SSH_TTY", "HELIX_CATALOG", "SPARK_BUFFER_SIZE")
    here, there = ({"PATH": "/bin", **dict.fromkeys(names, value)} for value in "ab")
    assert environment_digests(here) == environment_digests(there) != environment_digests({"PATH": "/usr/bin"})


def test_a_notebook_shares_the_server_of_commands() -> None:
    kernel = {"CLICOLOR_FORCE": "1", "PAGER": "cat", "GIT_PAGER": "cat", "PYDEVD_USE_FRAME_EVAL": "NO",
              "MPLBACKEND": "module://matplotlib_inline.backend_inline"}
    assert environment_digests(kernel) == environment_digests({}) != environment_digests({"MPLBACKEND": "agg"})


def test_no_value_of_a_variable_is_told() -> None:
    assert "secret" not in str(environment_digests({"PASSWORD": "secret"}))


@pytest.mark.parametrize(("environ", "why"), [
    ({"HELIX_SERVER": "off"}, "HELIX_SERVER is off"), ({"CI": "true"}, "this is CI"),
    ({"PYSPARK_GATEWAY_PORT": "1"}, "spark-submit has started the JVM"), ({"HELIX_SERVER": "on", "CI": "1"}, ""),
])
def test_where_none_stays_is_said(environ: dict[str, str], why: str) -> None:
    assert why_none_is_kept(environ) == why


def test_none_stays_for_the_process_that_a_container_ends_with(monkeypatch: pytest.MonkeyPatch) -> None:
    assert why_none_is_kept({}) == ""
    monkeypatch.setattr(os, "getpid", lambda: 1)
    assert why_none_is_kept({}) == "the container ends with this process"
