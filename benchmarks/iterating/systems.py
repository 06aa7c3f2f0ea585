"""The systems that are compared, and how each runs one version of a workload.

- `helix`, `always`, `never`: Helix with one policy each; `helix` is the joint program.
- `rule`, `rule_purge`: Helix with the rule of its paper, in session and process mode; see `simulation.rule`.
- `oracle`: Helix with a policy that knows the whole script beforehand; only in session mode; see `oracle`.
- `plain`: the job in plain PySpark, keeping results only while it runs.
- `cached`: the same, with results cached for the whole session, each under the latest name it was kept by.
- `checkpoints`: the same, with results written to parquet files, whose names say what is in them.
- `hamilton`: Apache Hamilton with its cache, over the plain job's steps; see `hamilton_peer`.
- `dvc`: `dvc repro` over the plain job's steps; not in session mode; see `dvc_peer`.
"""

from __future__ import annotations

import importlib.util
import re
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.harness import load_workflow, with_root
from benchmarks.iterating.measured import Measured, bytes_below
from benchmarks.scripts import Version

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from helix_spark.helix import Helix

RULES = ("rule", "rule_purge")
POLICIES = {"helix": "joint", **{name: name for name in (*RULES, "always", "never")}}
PLAIN = ("plain", "cached", "checkpoints")
ORACLE, HAMILTON, DVC = "oracle", "hamilton", "dvc"
SYSTEMS = (*POLICIES, ORACLE, *PLAIN, HAMILTON, DVC)
ONLY = {**dict.fromkeys((ORACLE, "cached"), ("session",)), **dict.fromkeys(RULES, ("session", "process")),
        DVC: ("process", "script")}
"""Modes of the systems that do not have all: a cache of a session ends with it, DVC's unit is a process, and `helix`
itself does not know the rules."""

SUBMIT = [str(Path(sys.executable).with_name("spark-submit")), "--master", "local[*]", "--conf",
          "spark.ui.enabled=false"]
"""The command that starts a process of a job, the same for every system."""


def _spark_variables() -> dict[str, str]:
    spec = importlib.util.find_spec("pyspark")
    assert spec is not None
    assert spec.origin is not None
    return {"SPARK_HOME": str(Path(spec.origin).parent), "PYSPARK_PYTHON": sys.executable}


SPARK = _spark_variables()
"""Variables as of an activated environment: its Spark and Python."""


@dataclass
class ForThisRun:
    """Keeps results of a plain job cached until the answer is there.

    Attributes:
        keys: names that say what is in each kept result of the current version, by its name.
    """

    keys: Mapping[str, str]

    def keep(self, name: str, make: Callable[[], DataFrame], *, once: bool = False) -> DataFrame:
        """Return a result, kept or made; see `benchmarks.plain.keeping`."""
        return make() if once else make().cache()

    def finish(self, spark: SparkSession) -> int:
        """Release what a run does not keep, and return the bytes that it does."""
        # What the job caches for itself goes, too: Spark would take it for the next run's, as if that had kept it.
        spark.catalog.clearCache()
        return 0


@dataclass
class ForTheSession(ForThisRun):
    """Keeps results cached, as variables of a notebook do: until another one of the name is made."""

    frames: dict[str, tuple[str, DataFrame]] = field(default_factory=dict)

    def keep(self, name: str, make: Callable[[], DataFrame], *, once: bool = False) -> DataFrame:
        """See `ForThisRun`."""
        key, frame = self.frames.get(name, ("", None))
        if frame is None or key != self.keys[name]:
            if frame is not None:
                frame.unpersist()
            frame = make().cache()
            self.frames[name] = (self.keys[name], frame)
        return frame

    def finish(self, spark: SparkSession) -> int:
        """See `ForThisRun`."""
        return sum(int(rdd.memSize() + rdd.diskSize()) for rdd in spark.sparkContext._jsc.sc().getRDDStorageInfo())


@dataclass
class AsFiles(ForThisRun):
    """Writes results to parquet files named after their content, and reads them from there."""

    folder: Path
    spark: SparkSession

    def keep(self, name: str, make: Callable[[], DataFrame], *, once: bool = False) -> DataFrame:
        """See `ForThisRun`."""
        file = self.folder / self.keys[name]
        if not (file / "_SUCCESS").exists():
            make().write.mode("overwrite").parquet(str(file))
        return self.spark.read.parquet(str(file))

    def finish(self, spark: SparkSession) -> int:
        """See `ForThisRun`."""
        return bytes_below(self.folder)


def keeper(system: str, folder: Path, spark: SparkSession) -> ForThisRun:
    """Return the keeper of a plain system; its `keys` are set before each run."""
    if system == "cached":
        return ForTheSession({})
    return AsFiles({}, folder / "checkpoints", spark) if system == "checkpoints" else ForThisRun({})


def write_texts(name: str, version: Version, folder: Path) -> tuple[Path, Path]:
    """Write a version's texts into a folder, atomically; return the files of the job and of the plain job."""
    plain = version.plain
    for setting, value in version.settings.items():
        plain, count = re.subn(rf"^{setting.upper()} = .*$", f"{setting.upper()} = {value}", plain, flags=re.MULTILINE)
        assert count == 1, f"the plain job has no line {setting.upper()} = ..."
    paths = folder / f"{name}.py", folder / f"plain_{name}.py"
    for path, text in zip(paths, (with_root(version.job), plain), strict=True):
        half = path.with_suffix(".half")
        half.write_text(text)
        half.rename(path)
    return paths


def run_plain(path: Path, spark: SparkSession, keeping: ForThisRun, keys: Mapping[str, str]) -> Measured:
    """Run the plain job's text."""
    start = time.perf_counter()
    keeping.keys = keys
    outputs = load(path).answer(spark, keeping.keep)
    answered = time.perf_counter()
    stored = keeping.finish(spark)
    return Measured(answered - start, time.perf_counter() - start, stored, dict(outputs))


def run_ours(path: Path, engine: Helix, version: Version, catalog: Path) -> Measured:
    """Run the job's text in the current session, as `helix watch` does."""
    start = time.perf_counter()
    iteration = engine.run(load_workflow(path, version.settings))
    answered = time.perf_counter()
    iteration.wait()
    engine.wait()
    busy = time.perf_counter() - start
    return Measured(answered - start, busy, bytes_below(catalog), dict(iteration.outputs))


def other_bytes(catalog: Path, workflow: str) -> int:
    """Return the bytes on disk of everything in a catalog but results."""
    from helix_spark.catalog.catalog import Catalog

    return Catalog.open(catalog, create=False).snapshot(workflow).other_bytes


def load(path: Path) -> Any:
    """Run a file as a module of its name."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module
