"""Scripts with their data and catalog in an S3 store, by a Spark of their own and by a server on another machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from helix_spark.engine.spark.jars import get_jars, store_jars
from tests.end_to_end.connect_servers import serving

S3A = "org.apache.hadoop.fs.s3a.S3AFileSystem"
pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.long]
ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import os
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.feature import VectorAssembler
from pyspark.sql import SparkSession, functions as F

spark = (SparkSession.builder.config("spark.hadoop.fs.s3a.endpoint", os.environ["AWS_ENDPOINT_URL"])
         .config("spark.hadoop.fs.s3a.path.style.access", "true").getOrCreate())
rows = spark.read.schema("age double, rich int").csv("s3a://BUCKET/people")
doubled = rows.withColumn("doubled", F.col("age") * 2).persist()
examples = VectorAssembler(inputCols=["age", "doubled"], outputCol="features").transform(doubled)
model = LogisticRegression(labelCol="rich", regParam=0.1, maxIter=3).fit(examples)
print(doubled.count(), model.transform(examples).where("prediction >= THRESHOLD").count())
"""


@pytest.fixture
def folder(tmp_path: Path, bucket: str, put: Callable[[str, str], None]) -> Path:
    """The author's folder; the data is in the bucket."""
    write(tmp_path, bucket)
    put("people/part.csv", people(rich=3))
    return tmp_path


def write(folder: Path, bucket: str, *, threshold: float = 0.5) -> None:
    text = PROGRAM.replace("BUCKET", bucket).replace("THRESHOLD", str(threshold))
    (folder / "train.py").write_text(text)


def people(*, rich: int) -> str:
    return "".join(f"{20 + n % 50},{int(n % 7 > rich)}\n" for n in range(200))


def helix(folder: Path, bucket: str, *words: str) -> str:
    """What a command says of the bucket's catalog."""
    done = subprocess.run(
        [sys.executable, "-m", "helix_spark", *words, "--catalog", f"s3a://{bucket}/catalog"], cwd=folder, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "HELIX_CDS": "off"}, capture_output=True, check=False, timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def ran(folder: Path, bucket: str, number: int, *words: str) -> tuple[str, dict[str, Any]]:
    """What a run prints, and its iteration, which has this number."""
    printed = helix(folder, bucket, "run", "train.py", *words, "--policy", "always")
    return printed.splitlines()[0], json.loads(helix(folder, bucket, "show", str(number), "--json"))


def computed(iteration: dict[str, Any]) -> list[str]:
    return [node["name"] for node in iteration["nodes"] if node["state"] == "compute"]


def test_a_script_reuses_what_its_own_spark_stored(
    folder: Path, bucket: str, put: Callable[[str, str], None]
) -> None:
    check_reuse(folder, bucket, put)


def test_a_server_on_another_machine_stores_what_the_driver_records(
    folder: Path, bucket: str, object_store: str, put: Callable[[str, str], None],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    there = {
        "spark.hadoop.fs.s3a.endpoint": object_store, "spark.hadoop.fs.s3a.path.style.access": "true",
        "spark.hadoop.fs.s3a.connection.ssl.enabled": "false", "spark.connect.grpc.binding.address": "0.0.0.0",
    }
    home = tmp_path_factory.mktemp("elsewhere")
    with serving(home, host="127.0.0.2", jars=get_jars(store_jars(S3A)), further=there) as (address, _):
        check_reuse(folder, bucket, put, "--conf", f"spark.remote={address}")


def check_reuse(
    folder: Path, bucket: str, put: Callable[[str, str], None], *words: str
) -> None:
    first, iteration = ran(folder, bucket, 1, *words)
    assert computed(iteration)
    stored = {one["node"] for one in json.loads(helix(folder, bucket, "storage", "--json"))["results"]}
    assert stored == {"doubled", "model: LogisticRegression"}

    again, unchanged = ran(folder, bucket, 2, *words)
    assert (again, computed(unchanged)) == (first, [])

    write(folder, bucket, threshold=0.0)
    edited, with_edit = ran(folder, bucket, 3, *words)
    assert (edited, len(computed(with_edit))) == ("200 200", 1), with_edit["nodes"]

    put("people/part.csv", people(rich=5))
    _, other_data = ran(folder, bucket, 4, *words)
    assert computed(other_data) == computed(iteration)
