"""Run one text of a job once under `spark-submit`, and print the outputs as soon as they are known.

    spark-submit submitted.py SYSTEM FILE FOLDER REQUEST

The text is that of a plain job, or for a rule of Helix's paper that of a declared one.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))


def main(system: str, file: str, folder: str, request: str) -> None:
    from pyspark.sql import SparkSession

    from benchmarks.iterating.hamilton_peer import answer
    from benchmarks.iterating.systems import HAMILTON, RULES, keeper, load

    options = json.loads(request)
    if system in RULES:
        run_rule(system, Path(file), Path(folder) / "catalog", options)
        return
    spark = SparkSession.builder.getOrCreate()
    if system == HAMILTON:
        outputs = answer(Path(file))
    else:
        keeping = keeper(system, Path(folder), spark)
        keeping.keys = options["keys"]
        outputs = load(Path(file)).answer(spark, keeping.keep)
    print("answered " + json.dumps(outputs), flush=True)
    spark.stop()


def run_rule(system: str, file: Path, catalog: Path, options: dict[str, Any]) -> None:
    from benchmarks.harness import load_workflow
    from helix_spark.helix import Helix
    from tests.simulation.rule import RULES

    with Helix(catalog, policy=RULES[system], budget=options["budget"]) as helix:
        helix.run(load_workflow(file, options["settings"]))
        print("answered ", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
