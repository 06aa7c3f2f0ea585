"""The plain census job in a session as Delta's quick start makes it: what a fresh process needs to its answer.

    python -m benchmarks.plain.documented
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def documented_session() -> SparkSession:
    """See https://docs.delta.io/latest/quick-start.html."""
    from delta import configure_spark_with_delta_pip
    from pyspark.sql import SparkSession

    builder = (
        SparkSession.builder.appName("plain_census")
        .config("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension")
        .config("spark.sql.catalog.spark_catalog", "org.apache.spark.sql.delta.catalog.DeltaCatalog")
    )
    spark: SparkSession = configure_spark_with_delta_pip(builder).getOrCreate()
    return spark


def main() -> None:
    """Runs the job once and prints its answer."""
    from benchmarks.plain.plain_census import answer

    spark = documented_session()
    print("answered", answer(spark, lambda name, make, *, once=False: make() if once else make().cache()), flush=True)
    spark.stop()


if __name__ == "__main__":
    main()
