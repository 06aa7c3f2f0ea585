"""Apache Hamilton with its cache, over the steps of a plain job.

Each step is a function of a module; Hamilton's cache decides by the code of each function and the data version of what
it reads. That version is a hash of the value, and a Spark DataFrame has none that means anything, nor can the cache
store one. So a step writes its frame to parquet under a path of its own and returns the path, a value that Hamilton can
hash and keep: a step that ran again has another path, so what reads it runs again too, and one whose code was there
before has its old path back. A session can be neither hashed nor stored, so each function takes the one that is there.
Constants and helpers are written inside the functions, for Hamilton does not look at functions that a function calls.
"""

from __future__ import annotations

import textwrap
import time
from pathlib import Path
from typing import Any

from benchmarks.iterating.measured import Measured, bytes_below
from benchmarks.iterating.steps import ANSWER, Step, steps_of
from benchmarks.iterating.systems import load

_HEAD = '''import uuid

from pyspark.sql import SparkSession

FOLDER = {folder!r}
'''
_SESSION = "    spark = SparkSession.builder.getOrCreate()\n"


def write_module(plain: Path) -> Path:
    """Write the module of a plain job's steps next to it."""
    steps = steps_of(plain.read_text())
    texts = [_HEAD.format(folder=str(plain.parent / "hamilton_tables")), *map(_function, steps)]
    path = plain.with_name(f"hamilton_{plain.stem}.py")
    path.write_text("\n\n".join(texts))
    return path


def answer(module: Path) -> dict[str, Any]:
    """Return Hamilton's answer, with its cache next to the module."""
    from hamilton import driver

    graph = driver.Builder().with_modules(load(module)).with_cache(path=str(module.parent / "hamilton_cache")).build()
    return dict(graph.execute([ANSWER])[ANSWER])


def run_hamilton(plain: Path) -> Measured:
    """Run a version's text in the current session."""
    module = write_module(plain)
    start = time.perf_counter()
    outputs = answer(module)
    seconds = time.perf_counter() - start
    return Measured(seconds, seconds, stored_bytes(plain.parent), outputs)


def stored_bytes(folder: Path) -> int:
    """Return the bytes of its cache, and of the tables whose paths the cache has."""
    return bytes_below(folder / "hamilton_cache") + bytes_below(folder / "hamilton_tables")


def _function(step: Step) -> str:
    parameters = ", ".join(f"{name}: str" for name in step.inputs)
    reads = _SESSION + "".join(f"    {name}_kept = spark.read.parquet({name})\n" for name in step.inputs)
    if step.name == ANSWER:
        return f"def {ANSWER}({parameters}) -> dict:\n{reads}{textwrap.indent(step.body, '    ')}\n"
    return (
        f"def {step.name}({parameters}) -> str:\n{reads}"
        f"    def made():\n{textwrap.indent(step.body, ' ' * 8)}\n\n"
        f'    path = f"{{FOLDER}}/{step.name}-{{uuid.uuid4().hex}}"\n'
        "    made().write.parquet(path)\n    return path\n"
    )
