"""What a worker tells the driver of the author's code: in a process that stands for both, without Spark."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = '''
import functools, json, os, pickle, socket, sys, threading
from dataclasses import asdict
from pathlib import Path
import pyspark.taskcontext as contexts
from pyspark.cloudpickle import dumps
from helix_spark.hermetic.task import Purpose, guarded, written_for
from helix_spark.hermetic.worker_reports import WorkerReports

class Context:
    def __init__(self, task): self.task = task
    def taskAttemptId(self): return self.task
    def partitionId(self): return 0

reports = WorkerReports()
contexts.TaskContext._taskContext = Context(1)

def sent(function, key):
    with written_for(Purpose(key, reports.folder)):
        return pickle.loads(dumps(guarded(function)))

def read(name): return Path(name).read_text()

def fails(): raise ValueError(read("fails.txt"))

def in_a_thread():
    thread = threading.Thread(target=read, args=("thread.txt",))
    thread.start()
    thread.join()

def one_by_one():
    yield 1
    yield read("late.txt")

def variable(): return os.environ.get("HELIX_TEST_LEAST"), os.environ["SPARK_LOCAL_DIRS"]

def own():
    os.environ.setdefault("HELIX_TEST_OWN", "1")
    Path("own.txt").write_text("1")
    return os.environ["HELIX_TEST_OWN"], read("own.txt")

def machine(): return socket.gethostname()

os.environ["SPARK_LOCAL_DIRS"] = os.environ["HELIX_TEST_LEAST"] = "in the worker"
for function in (fails, in_a_thread, variable, own, machine, functools.partial(read, "partial.txt")):
    name = getattr(function, "__name__", "partial")
    try:
        sent(function, name)()
    except ValueError:
        pass
rows = sent(one_by_one, "one_by_one")()
next(rows)
assert not reports.take(["one_by_one"])
next(rows)
sent(read, "twice")
sent(read, "again")("twice.txt")
import cached
for task, names in ((2, ["filling"]), (3, ["hitting"]), (4, ["beside", "behind"])):
    contexts.TaskContext._taskContext = Context(task)
    for call in [sent(vars(cached)[name], name) for name in names]:
        call()
del os.environ["HELIX_TEST_OWN"]
os.environ["SPARK_LOCAL_DIRS"] = os.environ["HELIX_TEST_LEAST"] = "in the driver"
keys = ["twice", "again", "fails", "in_a_thread", "variable", "own", "machine", "partial", "one_by_one"]
keys += ["filling", "hitting", "beside", "behind"]
print(json.dumps({key: asdict(seen) for key, seen in reports.take(keys).items()}))

reports.close()
sent(read, "late")("fails.txt")  # nobody is there to be told
'''


CACHED = '''
import functools
from pathlib import Path

@functools.cache
def load():
    return Path("cached.txt").read_text()

def filling(): return load()
def hitting(): return load()
def beside(): return load()
def behind(): return load()
'''


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("worker")
    (folder / "cached.py").write_text(CACHED)
    for name in ("fails", "thread", "late", "partial", "twice", "cached"):
        (folder / f"{name}.txt").write_text(name)
    (folder / "worker.py").write_text(SCRIPT)
    done = subprocess.run([sys.executable, "worker.py"], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def files(told: dict[str, Any]) -> set[str]:
    return {Path(path).name for path in told["files"]}


def test_files_are_told_of_the_function_that_reads_them(seen: dict[str, Any]) -> None:
    told = {key: files(one) for key, one in seen.items()}
    assert told["fails"] == {"fails.txt"}, "also where it fails"
    assert told["in_a_thread"] == {"thread.txt"}
    assert told["one_by_one"] == {"late.txt"}
    assert told["partial"] >= {"partial.txt"}
    assert "twice.txt" in told["twice"] & told["again"], "one function, sent for two nodes"


def test_a_variable_that_workers_have_otherwise_is_chance_unless_it_is_sparks(seen: dict[str, Any]) -> None:
    (why,) = seen["variable"]["chance"]
    assert why.startswith("asks for the variable HELIX_TEST_LEAST (worker.py:")
    assert why.endswith("which Spark's workers have another value of than the driver")


def test_what_the_code_has_set_and_written_itself_is_no_input(seen: dict[str, Any]) -> None:
    assert files(seen["own"]) == set()
    assert seen["own"]["chance"] == []
    assert set(seen["own"]["environment"]) == {"HELIX_TEST_OWN"}, "it asked before it set it"


def test_what_asks_the_machine_names_the_line(seen: dict[str, Any]) -> None:
    (why,) = seen["machine"]["chance"]
    assert why.startswith("asks for the name of the machine (worker.py:")


@pytest.mark.parametrize("key", ["filling", "hitting", "beside", "behind"])
def test_a_file_behind_a_cache_counts_for_each_function_that_may_use_it(seen: dict[str, Any], key: str) -> None:
    assert [Path(file).name for file in seen[key]["files"]] == ["cached.txt"]
