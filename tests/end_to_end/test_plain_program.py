"""A plain PySpark program under `helix run`: what it prints is what it prints by itself, and an edit asks only what it
touches."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.end_to_end.plain_programs import HELIX, run, under_helix, write_program


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("program")
    write_program(folder)
    return folder


@pytest.mark.long
def test_a_program_prints_what_it_prints_by_itself(folder: Path) -> None:
    found = under_helix(folder)
    plain, _ = run(folder, sys.executable, "train.py", "an argument")
    assert found.printed == plain


@pytest.mark.long
def test_an_edit_of_a_program_fits_what_it_touches(folder: Path) -> None:
    under_helix(folder)
    text = (folder / "train.py").read_text()
    (folder / "train.py").write_text(text.replace("[0.01, 0.1]", "[0.01, 0.2]"))
    edited = under_helix(folder)
    plain, _ = run(folder, sys.executable, "train.py", "an argument")
    assert edited.printed == plain
    assert 2 <= edited.fits <= 3  # a fit a fold, and the best model if it is another one
    shown, _ = run(folder, HELIX, "show", str(edited.iteration), "--json")
    states = {node["name"]: node["state"] for node in json.loads(shown)["nodes"]}
    assert states["rows"] == "load"
    assert under_helix(folder).fits == 0


ENDS = {
    "by an error": """
import atexit, logging, sys, threading, time
import pyspark
logging.basicConfig(level=logging.INFO)
logging.getLogger("mine").info("begins with %s in %s", sys.argv, __file__)
atexit.register(print, "at exit")

def slow():
    time.sleep(0.3)
    print("a thread goes on")

def inner():
    raise ValueError("inner")

threading.Thread(target=slow).start()
print(__name__, sys.modules["__main__"].__file__, input("say: "))
try:
    inner()
except ValueError as error:
    raise RuntimeError("outer") from error
""",
    "by a code": "import pyspark, sys\nsys.exit(7)\n",
    "by words": "import pyspark, sys\nsys.exit('words')\n",
    "in the debugger": "import pyspark\nbreakpoint()\nprint('behind')\n",
    "unparsed": "import pyspark\ndef f(:\n",
}


@pytest.mark.parametrize("way", [
    "by an error", *(pytest.param(way, marks=pytest.mark.long) for way in ENDS if way != "by an error"),
])
def test_a_program_ends_as_by_itself(tmp_path: Path, way: str) -> None:
    (tmp_path / "train.py").write_text(ENDS[way])

    def ended(*command: str) -> tuple[int, str, str]:
        done = subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False, input="c\n",
            env={**os.environ, "PYTHONHASHSEED": "0"},
        )
        return done.returncode, done.stdout, done.stderr

    assert ended(HELIX, "run", "train.py", "an argument") == ended(sys.executable, "train.py", "an argument")


READING = """
from pathlib import Path
from pyspark.ml.feature import Imputer
from pyspark.sql import SparkSession, functions as F

spark = SparkSession.builder.getOrCreate()

@F.udf("string")
def first_word(number):
    return Path("words.txt").absolute().read_text().split()[0]

@F.udf("double")
def words(number):
    return float(len(Path("words.txt").absolute().read_text().split()) + number)

rows = spark.range(4).select(words("id").alias("n"))
model = Imputer(inputCol="n", outputCol="filled").fit(rows)
print(model.surrogateDF.collect(), model.transform(rows).count())
print(spark.range(2).select(first_word("id")).collect())
"""


@pytest.mark.long
def test_a_file_that_a_function_reads_in_a_worker_counts(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(READING)
    (tmp_path / "words.txt").write_text("one two")
    first = under_helix(tmp_path)
    again = under_helix(tmp_path)
    assert (again.printed, again.asked) == (first.printed, again.reused)
    (tmp_path / "words.txt").write_text("two one zero")
    edited = under_helix(tmp_path)
    assert edited.reused == 0
    assert "two" in edited.printed
    assert "4.5" in edited.printed
    (tmp_path / "train.py").write_text(READING.replace("split()[0]", "split()[1]"))
    other_word = under_helix(tmp_path)
    assert other_word.asked - other_word.reused == 1
    known = under_helix(tmp_path)
    assert (known.printed, known.asked) == (other_word.printed, known.reused)


SUBMITTED = """
import logging, sys, threading
from pyspark.sql import SparkSession, functions as F

logging.basicConfig(level=logging.WARNING, stream=sys.stdout)
spark = SparkSession.builder.appName("submitted").config("spark.sql.shuffle.partitions", 3).getOrCreate()
rows = spark.range(100).withColumn("name", F.concat(F.lit("n"), F.col("id") % 7))
from extra import shout

print(rows.select(F.udf(shout, "string")("name").alias("loud")).groupBy("loud").count().orderBy("loud").collect())
found = {}
threads = [
    threading.Thread(target=lambda n=n: found.update({n: rows.where(F.col("id") % n == 0).count()})) for n in (2, 3)
]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(sorted(found.items()))
logging.warning("half way")
print(spark.conf.get("spark.sql.shuffle.partitions"), spark.conf.get("spark.sql.session.timeZone"))
spark.stop()
spark = SparkSession.builder.getOrCreate()
print(spark.range(10).agg(F.sum("id")).collect(), spark.conf.get("spark.sql.shuffle.partitions"))
print(sys.argv[1:])
"""


@pytest.mark.long
def test_a_program_is_submitted_as_by_itself(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "modules.zip", "w") as modules:
        modules.writestr("extra.py", "def shout(text):\n    return text.upper()\n")
    (tmp_path / "plain.py").write_text(SUBMITTED)
    (tmp_path / "reused.py").write_text("import helix_spark.auto\n" + SUBMITTED)
    submit = str(Path(sys.executable).with_name("spark-submit"))
    options = ("--conf", "spark.sql.session.timeZone=Asia/Tokyo", "--py-files", "modules.zip")
    printed = [
        [line for line in run(tmp_path, submit, *options, file, "an argument")[0].splitlines() if "helix: " not in line]
        for file in ("plain.py", "reused.py", "reused.py")
    ]
    assert "N6" in printed[0][0]
    assert printed[0] == printed[1] == printed[2]


@pytest.mark.long
def test_modules_by_a_relative_path_are_found_in_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(tmp_path / "modules.zip", "w") as modules:
        modules.writestr("extra.py", "def shout(text):\n    return text.upper()\n")
    (tmp_path / "train.py").write_text(SUBMITTED)
    monkeypatch.setenv("PYTHONPATH", "modules.zip")
    assert under_helix(tmp_path).printed == run(tmp_path, sys.executable, "train.py", "an argument")[0]
