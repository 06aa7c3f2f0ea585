"""The systems that are compared, each as something that runs one version of a workload after the other.

- `helix`, `always`, `never`: Helix with one policy each; `helix` is the joint program.
- `rule`, `rule_purge`: Helix with the rule of its paper; only in session mode; see `simulation.rule`.
- `oracle`: Helix with a policy that knows the whole script beforehand; only in session mode; see `oracle`.
- `plain`: the job in plain PySpark, keeping results only while it runs.
- `cached`: the same, with results cached for the whole session, each under the latest name it was kept by.
- `checkpoints`: the same, with results written to parquet files, whose names say what is in them.
- `hamilton`: Apache Hamilton with its cache, over the plain job's steps; see `hamilton_peer`.
- `dvc`: `dvc repro` over the plain job's steps; not in session mode; see `dvc_peer`.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from benchmarks.harness import ROOT
from benchmarks.iterating.measured import Measured, bytes_below
from benchmarks.scripts.edit import Version

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from helix_spark.helix import Helix
    from helix_spark.workflow.workflow import Workflow

POLICIES = {"helix": "joint", "rule": "rule", "rule_purge": "rule_purge", "always": "always", "never": "never"}
PLAIN = ("plain", "cached", "checkpoints")
ORACLE, HAMILTON, DVC = "oracle", "hamilton", "dvc"
SYSTEMS = (*POLICIES, ORACLE, *PLAIN, HAMILTON, DVC)
ONLY = {**dict.fromkeys((ORACLE, "rule", "rule_purge", "cached"), ("session",)), DVC: ("process", "script")}
"""Systems that not every mode has: a cache of a session ends with it, and the unit of DVC is a process."""


SUBMIT = [str(Path(sys.executable).with_name("spark-submit")), "--master", "local[*]", "--conf",
          "spark.ui.enabled=false"]
"""How a process of a job is started, the same for every system."""


class Keeper(Protocol):
    """How a plain job keeps results.

    Attributes:
        keys: what is in each kept result of this version, by its name.
    """

    keys: Mapping[str, str]

    def keep(self, name: str, make: Callable[[], DataFrame], *, once: bool = False) -> DataFrame: ...

    def done(self, spark: SparkSession) -> int:
        """The run has its answer; returns the bytes that are kept beyond it."""
        ...


@dataclass
class ForThisRun:
    """Cached until the answer is there."""

    keys: Mapping[str, str]

    def keep(self, name: str, make: Callable[[], DataFrame], *, once: bool = False) -> DataFrame:
        return make() if once else make().cache()

    def done(self, spark: SparkSession) -> int:
        # What the job caches for itself goes, too: Spark would take it for the next run's, as if that had kept it.
        spark.catalog.clearCache()
        return 0


@dataclass
class ForTheSession:
    """Cached as a variable of a notebook is kept: until another one of its name is made."""

    keys: Mapping[str, str]
    held: dict[str, tuple[str, DataFrame]] = field(default_factory=dict)

    def keep(self, name: str, make: Callable[[], DataFrame], *, once: bool = False) -> DataFrame:
        key, frame = self.held.get(name, ("", None))
        if frame is None or key != self.keys[name]:
            if frame is not None:
                frame.unpersist()
            frame = make().cache()
            self.held[name] = (self.keys[name], frame)
        return frame

    def done(self, spark: SparkSession) -> int:
        held = spark.sparkContext._jsc.sc().getRDDStorageInfo()
        return sum(int(one.memSize() + one.diskSize()) for one in held)


@dataclass
class AsFiles:
    """Written to parquet under a name that says what is in it, and read from there ever after."""

    keys: Mapping[str, str]
    folder: Path
    spark: SparkSession

    def keep(self, name: str, make: Callable[[], DataFrame], *, once: bool = False) -> DataFrame:
        file = self.folder / self.keys[name]
        if not (file / "_SUCCESS").exists():
            make().write.mode("overwrite").parquet(str(file))
        return self.spark.read.parquet(str(file))

    def done(self, spark: SparkSession) -> int:
        return bytes_below(self.folder)


def keeper(system: str, folder: Path, spark: SparkSession) -> Keeper:
    """The keeper of a plain system; its `keys` are set before each run."""
    if system == "cached":
        return ForTheSession({})
    return AsFiles({}, folder / "checkpoints", spark) if system == "checkpoints" else ForThisRun({})


def write_texts(name: str, version: Version, folder: Path) -> tuple[Path, Path]:
    """Puts a version's texts into a folder, at once; returns the job's file and the plain job's."""
    job = version.job.replace("Path(__file__).resolve().parent.parent", f"Path({str(ROOT)!r})")
    plain = version.plain
    for setting, value in version.settings.items():
        plain, count = re.subn(rf"^{setting.upper()} = .*$", f"{setting.upper()} = {value}", plain, flags=re.MULTILINE)
        assert count == 1, f"the plain job has no line {setting.upper()} = ..."
    paths = folder / f"{name}.py", folder / f"plain_{name}.py"
    for path, text in zip(paths, (job, plain), strict=True):
        half = path.with_suffix(".half")
        half.write_text(text)
        half.rename(path)
    return paths


def settings_of(version: Version) -> list[str]:
    """As `--set` takes them."""
    return [f"{name}={value}" for name, value in version.settings.items()]


def run_plain(path: Path, spark: SparkSession, keeping: Keeper, keys: Mapping[str, str]) -> Measured:
    """Runs the plain job's text."""
    begun = time.perf_counter()
    keeping.keys = keys
    outputs = load(path).answer(spark, keeping.keep)
    answered = time.perf_counter()
    stored = keeping.done(spark)
    return Measured(answered - begun, time.perf_counter() - begun, stored, dict(outputs))


def run_ours(path: Path, engine: Helix, version: Version, catalog: Path) -> Measured:
    """Runs the job's text as `helix watch` does, in the session that is there."""
    begun = time.perf_counter()
    iteration = engine.run(workflow_of(path, version))
    answered = time.perf_counter()
    iteration.wait()
    engine.wait()
    busy = time.perf_counter() - begun
    return Measured(answered - begun, busy, bytes_below(catalog), dict(iteration.outputs))


def workflow_of(path: Path, version: Version) -> Workflow:
    """The workflow that a job's text declares, as `helix watch` loads it."""
    from benchmarks.reuse.edits import forget_jobs
    from helix_spark.cli.author_file import build, find_factory, load_file

    forget_jobs()
    return build(find_factory(load_file(path), path, None), path, settings_of(version))


def artifact_bytes(catalog: Path, workflow: str) -> int:
    """Physical bytes of all results that a catalog holds."""
    from helix_spark.catalog.catalog import Catalog

    return Catalog.open(catalog, create=False).snapshot(workflow).artifact_bytes


def records_bytes(catalog: Path, workflow: str) -> int:
    """Physical bytes of everything else that a catalog holds."""
    from helix_spark.catalog.catalog import Catalog

    return Catalog.open(catalog, create=False).snapshot(workflow).other_bytes


def load(path: Path) -> Any:
    """Runs a file as a module of its name."""
    import importlib.util

    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def spark_environment() -> dict[str, str]:
    """Return variables as of an activated environment: its Spark and Python, and the project for Spark's workers."""
    spark_home = find_spec("pyspark")
    assert spark_home is not None
    assert spark_home.origin is not None
    return {
        **os.environ, "SPARK_HOME": str(Path(spark_home.origin).parent), "PYSPARK_PYTHON": sys.executable,
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
    }
