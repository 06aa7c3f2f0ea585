"""A plain job under `spark-submit`: runs its text once and prints the outputs as soon as they are known.

    spark-submit submitted.py SYSTEM FILE FOLDER KEYS
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))


def main(system: str, file: str, folder: str, keys: str) -> None:
    from pyspark.sql import SparkSession

    from benchmarks.iterating.hamilton_peer import answer
    from benchmarks.iterating.systems import HAMILTON, keeper, load

    spark = SparkSession.builder.getOrCreate()
    if system == HAMILTON:
        outputs = answer(Path(file))
    else:
        keeping = keeper(system, Path(folder), spark)
        keeping.keys = json.loads(keys)
        outputs = load(Path(file)).answer(spark, keeping.keep)
    print("answered " + json.dumps(outputs), flush=True)
    spark.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
