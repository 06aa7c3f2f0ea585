"""The plain census job in a fresh process, with the session of Delta's quick start.

    python -m benchmarks.plain.documented
"""

from __future__ import annotations

from delta import configure_spark_with_delta_pip
from pyspark.sql import SparkSession

from benchmarks.plain.keeping import keep_for_this_run
from benchmarks.plain.plain_census import answer


def main() -> None:
    """Run the job once and print its answer; see https://docs.delta.io/latest/quick-start.html."""
    builder = (
        SparkSession.builder.appName("plain_census")
        .config("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension")
        .config("spark.sql.catalog.spark_catalog", "org.apache.spark.sql.delta.catalog.DeltaCatalog")
    )
    spark: SparkSession = configure_spark_with_delta_pip(builder).getOrCreate()
    print("answered", answer(spark, keep_for_this_run), flush=True)
    spark.stop()


if __name__ == "__main__":
    main()
