"""As a user, in processes of their own, with a catalog in an S3 store: tables and models by Spark, and later runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.long]
ROOT = Path(__file__).resolve().parents[2]
JOB = Path(__file__).with_name("people_job.py").read_text()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "people_job.py").write_text(JOB)
    lines = (f"{20 + n % 50},{'fm'[n % 2]},{int(n % 7 > 3)}" for n in range(200))
    (tmp_path / "people.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


def ran(folder: Path, *command: str) -> str:
    environ = {
        **os.environ, "PYTHONPATH": str(ROOT), "HELIX_CDS": "off", "SPARK_LOCAL_IP": "127.0.0.1",
        "PYSPARK_PYTHON": sys.executable,
    }
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stdout


def helix(folder: Path, *arguments: str) -> Any:
    return json.loads(ran(folder, sys.executable, "-m", "helix_spark", *arguments, "--json"))


def states(run: Any) -> dict[str, str]:
    return {node["name"]: node["state"] for node in run["nodes"]}


def test_what_spark_stored_is_loaded_by_later_runs(
    folder: Path, bucket: str, objects: Callable[[], dict[str, int]]
) -> None:
    place = ("--catalog", f"s3a://{bucket}/catalog", "--policy", "always")
    first = helix(folder, "run", "people_job.py", *place)
    assert set(states(first).values()) == {"compute"}
    kinds = {tuple(name.split("/")[1:2]) for name, size in objects().items() if size}
    assert kinds == {("helix.json",), ("records",), ("tables",), ("models",)}

    second = helix(folder, "run", "people_job.py", *place)
    assert "compute" not in states(second).values()
    assert second["outputs"] == first["outputs"]

    # Reads a table that Spark wrote, without a JVM.
    edited = helix(folder, "run", "people_job.py", "--set", "threshold=0.1", *place)
    assert [states(edited)[name] for name in ("predictions", "rich", "model")] == ["load", "compute", "prune"]

    # Loads a table and a model by Spark: the predictions are gone.
    script = folder / "evict.py"
    script.write_text(
        "import sys\nfrom helix_spark.catalog.catalog import Catalog\n"
        "catalog = Catalog.open(sys.argv[1], create=True)\n"
        "for record in catalog.live():\n"
        "    if record.node in ('predictions', 'rich', 'tested', 'age', 'sex'):\n"
        "        catalog.evict_all({record.signature: 'to be computed again'})\n"
    )
    ran(folder, sys.executable, str(script), place[1])
    again = helix(folder, "run", "people_job.py", "--set", "threshold=0.2", *place)
    assert again["outputs"]["tested"] == first["outputs"]["tested"]
    assert [states(again)[name] for name in ("model", "examples", "predictions")] == ["load", "load", "compute"]

    assert helix(folder, "verify", "--deep", *place[:2])["sound"]
    assert helix(folder, "gc", "--grace", "0", *place[:2])["leftovers"] == []
    found = {path.name for path in folder.iterdir()}
    assert found <= {"people_job.py", "people.csv", "evict.py", "__pycache__"}


def test_spark_submit_reaches_it(folder: Path, bucket: str) -> None:
    from helix_spark.engine.spark.jars import spark_home

    place = ("--catalog", f"s3a://{bucket}/catalog", "--policy", "always")
    submit = (str(spark_home() / "bin" / "spark-submit"), "--master", "local[2]")
    ran(folder, *submit, "people_job.py", *place, "--quiet")
    second = helix(folder, "run", "people_job.py", *place)
    assert "compute" not in states(second).values()
    assert helix(folder, "verify", *place[:2])["sound"]


SESSION = """
import sys
from pyspark.sql import SparkSession
import helix_spark as hx
from helix_spark.engine.spark.jars import delta_jars, get_jars, store_jars
from helix_spark.engine.spark.settings import DELTA
from tests.end_to_end.people_job import people

s3a = store_jars("org.apache.hadoop.fs.s3a.S3AFileSystem")
jars = [*delta_jars(), *(get_jars(s3a) if sys.argv[2] == "with" else ())]
builder = SparkSession.builder.master("local[2]").config("spark.driver.extraClassPath", ":".join(map(str, jars)))
for name, value in {**DELTA, "spark.sql.session.timeZone": "UTC", "spark.sql.shuffle.partitions": "2"}.items():
    builder = builder.config(name, value)
spark = builder.getOrCreate()
try:
    with hx.Helix(sys.argv[1], policy="always") as helix:
        helix.run(people())
except hx.HelixError as error:
    print(error)
"""


def test_a_session_that_cannot_reach_it_is_refused_with_what_to_do(folder: Path, bucket: str) -> None:
    (folder / "session.py").write_text(SESSION)
    said = ran(folder, sys.executable, "session.py", f"s3a://{bucket}/catalog", "without")
    assert "no S3AFileSystem" in said
    assert "--packages org.apache.hadoop:hadoop-aws:" in said


def test_a_session_of_the_users_is_told_where_the_store_is_and_forgets_it(folder: Path, bucket: str) -> None:
    (folder / "session.py").write_text(
        SESSION + "print(spark.sparkContext._jsc.hadoopConfiguration().getPropsWithPrefix('fs.s3a.bucket.'))\n"
    )
    assert ran(folder, sys.executable, "session.py", f"s3a://{bucket}/catalog", "with").strip() == "{}"
    second = helix(folder, "run", "people_job.py", "--catalog", f"s3a://{bucket}/catalog")
    assert "compute" not in states(second).values()
