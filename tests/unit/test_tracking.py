"""MLflow's runs: what they say of an iteration, that an iteration has one, and that nothing waits or fails for them."""

from __future__ import annotations

import json
import math
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import helix_spark as hx
from helix_spark.catalog.catalog import Catalog
from helix_spark.cli.schema import show_json
from helix_spark.errors import ParameterError
from helix_spark.run.tracker import Finished
from helix_spark.tracking import mlflow_tracker
from helix_spark.tracking.entry import entry_of, numbers
from helix_spark.tracking.mlflow_tracker import SENDER, MlflowTracker
from helix_spark.tracking.sender import URI_VARIABLE, describe_failure, send
from tests.fakes.observer import Warned
from tests.fakes.tracker import Remembering

WITH_MLFLOW = pytest.mark.skipif(find_spec("mlflow") is None, reason="mlflow is not installed")
"""For tests whose senders import it; that takes seconds."""


def scores(factor: float = 2.0, broken: bool = False) -> hx.Workflow:
    wf = hx.Workflow("scores")
    wf.source("data", hx.table(pd.DataFrame({"a": [1.0, 2.0]})))

    @wf.reducer(output=True)
    def total(data: pd.DataFrame) -> float:
        return float(data.a.sum() * factor) / (0 if broken else 1)

    @wf.reducer(output=True)
    def by_sex(data: pd.DataFrame) -> dict[str, object]:
        return {"F": 0.5, "M": {"over 50 %": 0.25}, "note": "few"}

    return wf


def tracked(tmp_path: Path, *workflows: hx.Workflow) -> list[Finished]:
    tracker = Remembering()
    with hx.Helix(tmp_path / "catalog", tracker=tracker) as helix:
        for workflow in workflows:
            helix.run(workflow, "a message")
    assert tracker.closed
    return tracker.seen


@pytest.fixture(scope="module")
def entry(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a run sends, for tests that only read it."""
    finished, = tracked(tmp_path_factory.mktemp("tracked"), scores())
    return entry_of(finished, None, {})


def test_numbers_become_metrics_and_the_rest_is_told_as_parameters_tags_and_artifacts(entry: dict[str, Any]) -> None:
    outputs = {name: value for name, value in entry["metrics"].items() if not name.startswith("helix.")}
    assert outputs == {"total": 6.0, "by_sex.F": 0.5, "by_sex.M.over 50 _": 0.25}
    assert entry["metrics"]["helix.nodes.compute"] == 3
    assert entry["parameters"] == {"factor": "2.0", "broken": "False"}
    assert (entry["experiment"], entry["name"], entry["status"]) == ("scores", "scores 1", "FINISHED")
    assert entry["tags"]["helix.iteration"] == "1"
    assert entry["tags"]["mlflow.note.content"] == "a message"
    assert entry["tags"]["mlflow.source.name"] == __file__
    assert len(entry["tags"]["helix.signature.total"]) == 64
    nodes = {node["name"]: node["state"] for node in json.loads(entry["texts"]["plan.json"])["nodes"]}
    assert nodes == dict.fromkeys(["data", "total", "by_sex"], "compute")
    assert "never run before" in entry["texts"]["plan.txt"]
    assert entry["texts"]["dag.svg"].startswith("<svg")


def test_what_is_no_number_is_no_metric() -> None:
    assert dict(numbers({"auc": 0.9, "ok": True, "worst": math.nan, "huge": 10**400})) == {"auc": 0.9}


def test_its_nodes_are_told_as_helix_show_tells_them(tmp_path: Path) -> None:
    finished, = tracked(tmp_path, scores())
    told = json.loads(entry_of(finished, None, {})["texts"]["plan.json"])["nodes"]
    assert told == show_json(finished.record, Catalog.open(tmp_path / "catalog", create=False))["nodes"]


def drums(entry: dict[str, Any], mark: str) -> list[str]:
    """Names of the nodes that the graph draws with a mark."""
    boxes = re.findall(r'class="hx-node ([^"]*)" data-node="(\w+)"', entry["texts"]["dag.svg"])
    return [name for classes, name in boxes if f"hx-{mark}" in classes.split()]


def stored(entry: dict[str, Any]) -> list[str]:
    """Names of the nodes that the plan says to be stored."""
    return [node["name"] for node in json.loads(entry["texts"]["plan.json"])["nodes"] if node["stored"]]


def test_what_is_stored_is_told_as_of_the_end(tmp_path: Path) -> None:
    tracker = Remembering()
    with hx.Helix(tmp_path / "catalog", tracker=tracker, policy="always") as helix:
        helix.run(scores()).wait()
        helix.run(scores())
    first, second = tracker.seen
    assert not any(node.stored for node in first.nodes), "its records were written before anything was stored"
    for finished in (first, second):
        made = entry_of(finished, None, {})
        assert stored(made) == drums(made, "stored") == ["total", "by_sex"]
    assert all(node.stored for node in second.nodes if node.name in ("total", "by_sex"))
    made = entry_of(replace(second, live=second.live - {second.plan["total"].signature}), None, {})
    assert stored(made) == drums(made, "stored") == ["by_sex"]
    assert drums(made, "evicted") == ["total"]


def test_a_failed_iteration_has_a_run_that_failed(tmp_path: Path) -> None:
    tracker = Remembering()
    with hx.Helix(tmp_path / "catalog", tracker=tracker) as helix, pytest.raises(hx.HelixError):
        helix.run(scores(broken=True))
    made = entry_of(tracker.seen[0], "mine", {})
    assert (made["experiment"], made["status"]) == ("mine", "FAILED")
    assert "ZeroDivisionError" in made["tags"]["helix.error"]


def test_a_tracker_that_raises_is_a_warning(tmp_path: Path) -> None:
    class Broken(Remembering):
        def track(self, finished: Finished, warning: Callable[[str], None]) -> None:
            raise RuntimeError("out of order")

    observer = Warned()
    with hx.Helix(tmp_path / "catalog", tracker=Broken(), observer=observer) as helix:
        assert helix.run(scores())["total"] == 6.0
    assert observer.warnings == ["iteration 1 could not be tracked: RuntimeError: out of order"]


# The sender, with a client that remembers


@dataclass(frozen=True)
class Experiment:
    """As much of MLflow's experiment as is read."""

    experiment_id: str = "1"
    lifecycle_stage: str = "active"


@dataclass
class RunInfo:
    """As much of what MLflow says of a run as is read."""

    run_id: str
    status: str = "RUNNING"


@dataclass(frozen=True)
class MlflowRun:
    """A run of MLflow's."""

    info: RunInfo


class FakeClient:
    """As much of MlflowClient as is used."""

    def __init__(self) -> None:
        self.runs: dict[str, MlflowRun] = {}
        self.logged: list[Any] = []

    def get_experiment_by_name(self, name: str) -> Any:
        return Experiment()

    def search_runs(self, experiments: list[str], filter_string: str, max_results: int) -> list[Any]:
        return [run for name, run in self.runs.items() if f"'{name}'" in filter_string]

    def create_run(self, experiment: str, start_time: int, tags: Mapping[str, str], run_name: str) -> Any:
        run = MlflowRun(RunInfo(f"id {len(self.runs)}"))
        self.runs[tags["helix.run"]] = run
        return run

    def log_batch(self, run: str, **what: Any) -> None:
        self.logged.append(what)

    def log_text(self, run: str, text: str, path: str) -> None:
        self.logged.append(path)

    def set_terminated(self, run: str, status: str, end_time: int) -> None:
        next(iter(self.runs.values())).info.status = status


def as_sent(entry: dict[str, Any]) -> dict[str, Any]:
    return json.loads(json.dumps(entry))  # type: ignore[no-any-return]


def test_two_runs_of_one_iteration_are_not_made(entry: dict[str, Any]) -> None:
    client: Any = FakeClient()
    first = send(client, as_sent(entry))
    logged = len(client.logged)
    assert send(client, as_sent(entry)) == first
    assert len(client.runs) == 1
    assert len(client.logged) == logged


def test_a_run_that_got_stuck_half_way_is_completed(entry: dict[str, Any]) -> None:
    client: Any = FakeClient()
    client.create_run("1", 0, {"helix.run": entry["run"]}, "scores 1")
    assert send(client, as_sent(entry)) == "id 0"
    assert "plan.txt" in client.logged
    assert client.runs[entry["run"]].info.status == "FINISHED"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ("API request to endpoint /x failed with error code 401 != 200", "MLFLOW_TRACKING_TOKEN"),
        ("Max retries exceeded with url: /x (Connection refused)", "no server answers"),
        ("Max retries exceeded with url: /x (Read timed out.)", "not answer in time"),
        ("INVALID_PARAMETER_VALUE: no such thing", "no such thing"),
    ],
)
def test_troubles_in_words(error: str, words: str) -> None:
    assert words in describe_failure(RuntimeError(error))


# The tracker, with senders of our own making

IMPORTS = "import os, sys, time\n"


def entry_to_send(number: int, folder: Path | None = None) -> dict[str, Any]:
    return {"n": number, "title": f"iteration {number}", "temporary": str(folder or "")}


@contextmanager
def sent_by(script: str) -> Iterator[None]:
    """Have trackers start a script of ours to send."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mlflow_tracker, "SENDER", (sys.executable, "-c", script))
        yield


def send_to(script: str, folder: Path, count: int = 1, timeout: float = 5.0) -> tuple[list[str], float]:
    """Send entries to a script; return warnings, and seconds that closing took."""
    warnings: list[str] = []
    temporary = [folder / str(number) for number in range(count)]
    tracker = MlflowTracker("http://h", timeout=timeout)
    with sent_by(script):
        for number, one in enumerate(temporary):
            one.mkdir()
            began = time.monotonic()
            tracker.send(entry_to_send(number, one), warnings.append)
            assert time.monotonic() - began < 0.5
        began = time.monotonic()
        tracker.close()
    assert not any(one.exists() for one in temporary)
    return warnings, time.monotonic() - began


def test_entries_are_delivered_in_order(tmp_path: Path) -> None:
    out = tmp_path / "seen"
    script = IMPORTS + f"for line in sys.stdin:\n open({str(out)!r}, 'a').write(line); print('{{}}', flush=True)\n"
    assert send_to(script, tmp_path, 3)[0] == []
    assert [json.loads(line)["n"] for line in out.read_text().splitlines()] == [0, 1, 2]


def test_a_sender_that_hangs_is_waited_for_no_longer_than_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("helix_spark.tracking.mlflow_tracker.START_SECONDS", 1.0)
    warnings, seconds = send_to(IMPORTS + "time.sleep(600)", tmp_path, timeout=0.5)
    assert warnings == ["MLflow at http://h has no run of iteration 0: it could not be sent in time"]
    assert seconds < 10


def test_a_server_that_is_down_is_said_once_and_at_the_end(tmp_path: Path) -> None:
    answer = json.dumps({"error": "no server answers there"})
    warnings, _ = send_to(IMPORTS + f"for line in sys.stdin:\n print({answer!r}, flush=True)\n", tmp_path, 3)
    assert warnings == [
        "MLflow at http://h has no run of iteration 0: no server answers there",
        "MLflow at http://h has no run of the last 3 iterations",
    ]


def test_a_server_that_is_back_is_sent_the_next_entry(tmp_path: Path) -> None:
    answer, back = json.dumps({"error": "no server answers there"}), tmp_path / "back"
    script = IMPORTS + f"for line in sys.stdin:\n print('{{}}' if os.path.exists({str(back)!r}) else {answer!r})\n"
    warnings: list[str] = []
    tracker = MlflowTracker("http://h", timeout=5.0)
    with sent_by(script):
        tracker.send(entry_to_send(1), warnings.append)
        until = time.monotonic() + 30
        while not warnings and time.monotonic() < until:
            time.sleep(0.01)
        back.touch()
        tracker.send(entry_to_send(2), warnings.append)
        tracker.close()
    assert warnings == ["MLflow at http://h has no run of iteration 1: no server answers there"]


def test_a_sender_that_dies_is_a_warning(tmp_path: Path) -> None:
    warnings, _ = send_to("raise SystemExit(3)", tmp_path)
    place = "MLflow at http://h has no run of iteration 0"
    assert warnings == [f"{place}: the sending process ended early (exit code 3)"]


def test_the_sender_is_told_the_uri_where_nobody_else_sees_it(tmp_path: Path) -> None:
    out, uri = tmp_path / "seen", "http://me:secret@h:5000"
    script = IMPORTS + f"open({str(out)!r}, 'w').write(os.environ[{URI_VARIABLE!r}])\n"
    script += "for line in sys.stdin:\n print('{}', flush=True)\n"
    with sent_by(script), hx.Helix(tmp_path / "catalog", tracker=MlflowTracker(uri)) as helix:
        helix.run(scores())
    assert out.read_text() == uri
    assert not [word for word in SENDER if "://" in word]


def test_a_tracker_needs_a_place() -> None:
    with pytest.raises(ParameterError, match="needs the URI"):
        MlflowTracker("")


# The real sender, against servers that are no use


class Refuses(BaseHTTPRequestHandler):
    """401 to everything."""

    def _refuse(self) -> None:
        self.send_response(401)
        self.end_headers()

    do_GET = do_POST = _refuse  # noqa: N815 - the names that http.server looks for

    def log_message(self, format: str, *args: Any) -> None: ...


@pytest.fixture
def refusing() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Refuses)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@WITH_MLFLOW
@pytest.mark.long
def test_a_server_that_refuses_costs_a_run_nothing_but_a_warning(tmp_path: Path, refusing: str) -> None:
    observer = Warned()
    with hx.Helix(tmp_path / "catalog", tracker=MlflowTracker(refusing), observer=observer) as helix:
        assert helix.run(scores())["total"] == 6.0
    warning, = observer.warnings
    assert warning.startswith(f"MLflow at {refusing} has no run of iteration 1 of scores: the server refuses access")


@WITH_MLFLOW
def test_a_server_that_is_down_costs_a_run_nothing_but_a_warning(tmp_path: Path) -> None:
    observer = Warned()
    place = "http://me:secret@127.0.0.1:9"
    with hx.Helix(tmp_path / "catalog", tracker=MlflowTracker(place), observer=observer) as helix:
        assert helix.run(scores())["total"] == 6.0
    warning, = observer.warnings
    assert "no server answers there" in warning
    assert "secret" not in warning
