"""Spark settings: those that Helix's own session starts with, and those that change results.

Precedence: the author's settings, PYSPARK_SUBMIT_ARGS, spark-defaults.conf, Helix's, Spark's defaults.
"""

from __future__ import annotations

import json
import os
import re
import shlex
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

from helix_spark.answers.stored_tables import VERIFIED
from helix_spark.errors import SetupError

GIB = 2**30

DELTA = MappingProxyType({
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
})
"""Settings that Delta requires."""

ROWS_FOR_PYTHON = MappingProxyType({
    "spark.sql.execution.arrow.pythonUDF.columnarInput.enabled": "false",
    "spark.sql.inMemoryColumnarStorage.enableVectorizedReader": "false",
})
"""Spark 4.2.0 deadlocks with its worker when a Python function of rows reads columns of parquet (avoided by the first
setting) or of persisted tables (by the second one), see SPARK-58241."""

MODELS_AS_CLASSIC = MappingProxyType({"spark.connect.session.connectML.mlCache.memoryControl.enabled": "false"})
"""Models of a server as those of a classic session: with training summaries, trees of any size, and no pass over the
data before a fit to estimate the model's size. A client may set it."""

DEEP_PLANS = MappingProxyType({"spark.sql.analyzer.maxIterations": "10000"})
"""Type coercion of a step waits for the steps below it, so the plan of an author's loop needs as many passes of the
analyzer as it has steps. Spark's limit is 100."""

WHILE_WE_WORK = MappingProxyType({
    **VERIFIED, **DEEP_PLANS, **ROWS_FOR_PYTHON, **MODELS_AS_CLASSIC,
    # Tables of Helix have one commit; Delta's default of 50 makes every first read of one cost 1.6 s.
    "spark.databricks.delta.snapshotPartitions": "1",
})
"""Settings that Helix needs in any session; the user's session gets its own back afterwards."""

WHILE_WE_WRITE = MappingProxyType({
    # Milliseconds would truncate microseconds.
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    # LEGACY changes days and times before 1582, EXCEPTION refuses them.
    "spark.sql.parquet.datetimeRebaseModeInWrite": "CORRECTED",
    "spark.sql.parquet.int96RebaseModeInWrite": "CORRECTED",
})
"""Settings in any session while a table is written: others would change its values."""

CHANGES_RESULTS = MappingProxyType({
    "spark.sql.ansi.enabled": "true",
    "spark.sql.caseSensitive": "false",
    "spark.sql.decimalOperations.allowPrecisionLoss": "true",
    "spark.sql.ansi.doubleQuotedIdentifiers": "false",
    "spark.sql.files.ignoreCorruptFiles": "false",
    "spark.sql.files.ignoreMissingFiles": "false",
    "spark.sql.jsonGenerator.ignoreNullFields": "true",
    "spark.sql.mapKeyDedupPolicy": "EXCEPTION",
    "spark.sql.parquet.inferTimestampNTZ.enabled": "true",
    "spark.sql.parquet.mergeSchema": "false",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.sources.partitionColumnTypeInference.enabled": "true",
    "spark.sql.storeAssignmentPolicy": "ANSI",
    "spark.sql.timestampType": "TIMESTAMP_LTZ",
})
"""Settings that change the results of queries, with the values of Helix's own session (UTC, otherwise Spark 4's
defaults)."""

CHANGES_NO_ANSWER = MappingProxyType({
    # Since Spark 4.1 Delta's parser loses the arguments of `spark.sql(text, args)` (delta-io/delta#7640). With this
    # setting they are bound after parsing, as in Spark 4.0.
    "spark.sql.legacy.parameterSubstitution.constantsOnly": "true",
    **DEEP_PLANS,
})
"""Exceptions from `FAMILIES`: Helix's own session needs them for some queries, and no result changes by them."""

FAMILIES = (
    # Behaviour of an older Spark or of the SQL standard.
    "spark.sql.legacy.", "spark.sql.pyspark.legacy.", "spark.sql.ansi.",
    # Parsing and resolution.
    "spark.sql.analyzer.", "spark.sql.parser.", "spark.sql.variant.", "spark.sql.json.", "spark.sql.xml.",
    "spark.sql.icu.", "spark.sql.csv.parser.", "spark.sql.groupBy", "spark.sql.orderBy",
    # Functions, subqueries, exchange with Python.
    "spark.sql.function.", "spark.sql.optimizer.decorrelate",
    "spark.sql.execution.pandas.", "spark.sql.execution.pythonUDF.", "spark.sql.execution.pythonUDTF.",
)
"""Prefixes of settings that may change the results of queries."""

WHERE_SET = frozenset({
    # Parsing and resolution.
    "spark.sql.functionResolution.sessionOrder", "spark.sql.lateralColumnAlias.enableImplicitResolution",
    "spark.sql.prioritizeOrdinalResolutionInSort.enabled", "spark.sql.selfJoinAutoResolveAmbiguity",
    "spark.sql.variable.substitute",
    # Results of functions and operators, and names of their columns.
    "spark.sql.chunkBase64String.enabled", "spark.sql.enforceTypeCoercionBeforeUnionDeduplication.enabled",
    "spark.sql.jsonGenerator.writeNullIfWithDefaultValue", "spark.sql.mapZipWithUsesJavaCollections",
    "spark.sql.optimizer.metadataOnly", "spark.sql.preserveCharVarcharTypeInfo", "spark.sql.readSideCharPadding",
    "spark.sql.retainGroupColumns", "spark.sql.stableDerivedColumnAlias.enabled",
    # Reading files.
    "spark.sql.avro.datetimeRebaseModeInRead", "spark.sql.columnNameOfCorruptRecord",
    "spark.sql.files.ignoreInvalidPartitionPaths", "spark.sql.files.supportSecondOffsetFormat",
    "spark.sql.orc.mergeSchema", "spark.sql.parquet.binaryAsString", "spark.sql.parquet.datetimeRebaseModeInRead",
    "spark.sql.parquet.fieldId.read.ignoreMissing", "spark.sql.parquet.ignoreVariantAnnotation",
    "spark.sql.parquet.int96AsTimestamp", "spark.sql.parquet.int96RebaseModeInRead",
    "spark.sql.parquet.int96TimestampConversion", "spark.sql.parquet.reader.respectUnknownTypeAnnotation.enabled",
    "spark.sql.parquet.respectSummaryFiles", "spark.sql.sources.default", "spark.sql.sources.validatePartitionColumns",
    # Exchange with Python; functions see the size of batches.
    "spark.sql.execution.arrow.maxRecordsPerBatch", "spark.sql.execution.arrow.maxBytesPerBatch",
    "spark.sql.execution.arrow.maxRecordsPerOutputBatch", "spark.sql.execution.arrow.maxBytesPerOutputBatch",
    "spark.sql.execution.pyspark.binaryAsBytes", "spark.sql.pyspark.inferNestedDictAsStruct.enabled",
    "spark.sql.pyspark.toJSON.returnDataFrame",
})
"""Further settings that change the results of queries, which Helix's own session does not set. Each counts where it is
set; its default follows from the version of Spark, which counts as well.

Settings that are in none of these lists do not count: those that platforms and catalogs set differ between ways to
start Spark, and the same workflow must have the same identity in all of them."""


def own_settings(cores: int, memory_bytes: int, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the default settings of Helix's own session, for a number of cores and bytes of memory."""
    return {
        "spark.app.name": "helix",
        "spark.master": environ.get("SPARK_MASTER") or "local[*]",
        **DELTA, **CHANGES_NO_ANSWER, **ROWS_FOR_PYTHON, **CHANGES_RESULTS,
        # Spark has the same environment variable.
        "spark.sql.ansi.enabled": environ.get("SPARK_ANSI_SQL_MODE", "true").lower(),
        "spark.databricks.delta.snapshotPartitions": WHILE_WE_WORK["spark.databricks.delta.snapshotPartitions"],
        "spark.hadoop.parquet.page.verify-checksum.enabled": "true",
        "spark.driver.memory": driver_memory(memory_bytes),
        # Independent branches run concurrently and share the cores.
        "spark.scheduler.mode": "FAIR",
        # Small data: 200 partitions, Spark's default, took 1.34 s where 4 took 0.13 s (adaptive execution off).
        "spark.sql.shuffle.partitions": str(max(4, 2 * cores)),
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        "spark.sql.parquet.compression.codec": "zstd",  # 20% smaller than snappy, no slower
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
    }


def file_system_of(settings: Mapping[str, str]) -> str:
    """Return the class of Hadoop's file system that a store's settings name, with Spark's prefix or not; else empty.

    >>> file_system_of({"spark.hadoop.fs.gs.impl": "org.apache.hadoop.fs.gs.GoogleHadoopFileSystem"})
    'org.apache.hadoop.fs.gs.GoogleHadoopFileSystem'
    """
    pattern = r"(spark\.hadoop\.)?fs\.(s3a|abfss?|gs)\.impl"
    named = (value for name, value in settings.items() if re.fullmatch(pattern, name))
    return next((value for value in named if value.startswith("org.apache.hadoop.fs.")), "")


def brings(artifact: str, settings: Mapping[str, str], home: Path) -> bool:
    """Return whether settings name a Hadoop artifact, or Spark's folder has it, so that no copy must be added.

    >>> none, settings = Path("nowhere"), {"spark.jars.packages": "org.apache.hadoop:hadoop-aws:3.5.0"}
    >>> brings("hadoop-aws", settings, none), brings("hadoop-aws", {}, none)
    (True, False)
    """
    names = ("spark.jars", "spark.jars.packages", "spark.driver.extraClassPath")
    return any(artifact in settings.get(name, "") for name in names) or any((home / "jars").glob(f"{artifact}-*.jar"))


def driver_memory(memory_bytes: int) -> str:
    """Return a quarter of the memory, at least 1 and at most 8 GiB, in Spark's notation.

    >>> driver_memory(2 * GIB), driver_memory(24 * GIB), driver_memory(512 * GIB)
    ('1024m', '6144m', '8192m')
    """
    return f"{min(max(memory_bytes // 4, GIB), 8 * GIB) // 2**20}m"


def machine_memory() -> int:
    """Return the bytes of memory of this machine, or of the container (cgroup v2) if that is less."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = Path("/sys/fs/cgroup/memory.max")
    text = limit.read_text().strip() if limit.is_file() else "max"
    return physical if text == "max" else min(physical, int(text))


def is_local(master: str) -> bool:
    """Return whether driver and executors are one JVM.

    >>> is_local("local[*]"), is_local("local"), is_local("local-cluster[2,1,1024]")
    (True, True, False)
    """
    return master == "local" or master.startswith("local[")


def is_on_this_machine(master: str) -> bool:
    """Return whether the executors run on this machine.

    >>> is_on_this_machine("local[2]"), is_on_this_machine("local-cluster[2,1,1024]"), is_on_this_machine("yarn")
    (True, True, False)
    """
    return is_local(master) or master.startswith("local-cluster[")


def given_around(home: Path, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the settings of spark-defaults.conf, then those of PYSPARK_SUBMIT_ARGS (`parse_submit_arguments`)."""
    defaults = Path(environ.get("SPARK_CONF_DIR") or home / "conf") / "spark-defaults.conf"
    settings, _ = parse_submit_arguments(environ.get("PYSPARK_SUBMIT_ARGS", ""))
    return {**(parse_defaults(defaults.read_text()) if defaults.is_file() else {}), **settings}


def parse_defaults(text: str) -> dict[str, str]:
    """Parse the lines of a spark-defaults.conf.

    >>> parse_defaults("# ours\\nspark.master  local[2]\\nspark.a=b c\\n\\n")
    {'spark.master': 'local[2]', 'spark.a': 'b c'}
    """
    lines = (re.fullmatch(r"([^ \t=:#!][^ \t=:]*)[ \t=:]*(.*)", line.strip()) for line in text.splitlines())
    return {line[1]: line[2] for line in lines if line is not None}


@lru_cache(maxsize=8)
def parse_submit_arguments(text: str) -> tuple[Mapping[str, str], Sequence[str]]:
    """Return the settings in arguments of spark-submit, and the others. Raises SetupError for a properties file.

    >>> parse_submit_arguments("--master local[2] --conf=spark.sql.ansi.enabled=false --name a pyspark-shell")
    ({'spark.sql.ansi.enabled': 'false', 'spark.master': 'local[2]'}, ['--name', 'a', 'pyspark-shell'])
    """
    parser = ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--conf", "-c", action="append", nargs="?", const="", default=[])
    for name in ("--master", "--remote", "--properties-file"):
        parser.add_argument(name, nargs="?", const="")
    options, others = parser.parse_known_args(shlex.split(text))
    if options.properties_file is not None:
        raise SetupError(
            f"PYSPARK_SUBMIT_ARGS names a file of properties, {options.properties_file}, which Helix does not read",
            remedy="have SPARK_CONF_DIR name a folder with such a file as spark-defaults.conf, or use --conf",
        )
    settings = {name: value for name, _, value in (pair.partition("=") for pair in options.conf)}
    options_of_spark = {"spark.master": options.master, "spark.remote": options.remote}
    return settings | {name: value for name, value in options_of_spark.items() if value is not None}, others


def properties_text(settings: Mapping[str, str]) -> str:
    """Return settings in the format of `java.util.Properties`.

    >>> print(properties_text({"spark.a": " b\\n=c:\\\\d"}), end="")
    spark.a=\\u0020b\\n\\u003dc\\u003a\\\\d
    """
    def escaped(text: str) -> str:  # as JSON, and also separators, comment signs and spaces
        return re.sub("[ =:#!]", lambda match: f"\\u{ord(match[0]):04x}", json.dumps(text)[1:-1])

    return "".join(f"{escaped(name)}={escaped(value)}\n" for name, value in settings.items())


def counts(name: str) -> bool:
    """Return whether a setting may change the results of queries.

    >>> counts("spark.sql.caseSensitive"), counts("spark.sql.legacy.charVarcharAsString"), counts("spark.ui.enabled")
    (True, True, False)
    """
    is_of_family = name.startswith(FAMILIES) and name not in CHANGES_NO_ANSWER
    return is_of_family or name in CHANGES_RESULTS or name in WHERE_SET


def results_settings(settings: Mapping[str, str]) -> dict[str, str]:
    """Return those of `settings` that may change results, with the defaults of `CHANGES_RESULTS`, sorted by name.

    >>> results_settings({"spark.sql.ansi.enabled": "FALSE", "spark.ui.enabled": "false"})["spark.sql.ansi.enabled"]
    'false'
    """
    counting = {**CHANGES_RESULTS, **{name: value for name, value in settings.items() if counts(name)}}
    return {
        name: value.lower() if value.lower() in {"true", "false"} else value for name, value in sorted(counting.items())
    }


def check_settings(settings: Mapping[str, str]) -> None:
    """Raise SetupError for a setting by which Helix could not store results.

    >>> check_settings({"spark.master": "local[2]"})
    """
    for name, needed in DELTA.items():
        if needed not in settings.get(name, needed):
            raise SetupError(
                f"the setting {name} leaves Delta out", exists=f"it is {settings[name]!r}",
                remedy=f"add {needed} to it (extensions are separated by commas), or remove the setting",
            )
