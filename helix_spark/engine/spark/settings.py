"""Spark settings as data: those a session of Helix's own starts with, and those that change results.

Precedence, as for any Spark application: what the author gives, then spark-defaults.conf and PYSPARK_SUBMIT_ARGS, then
ours, then Spark's defaults.
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
"""Without these two Delta refuses to read and write."""

ROWS_FOR_PYTHON = MappingProxyType({
    "spark.sql.execution.arrow.pythonUDF.columnarInput.enabled": "false",
    "spark.sql.inMemoryColumnarStorage.enableVectorizedReader": "false",
})
"""Where a Python function of rows reads columns of parquet (the first setting has it read rows) or of persisted tables
(the second one), Spark 4.2.0 tells its worker what no worker reads, and both wait for ever (SPARK-58241)."""

MODELS_AS_CLASSIC = MappingProxyType({"spark.connect.session.connectML.mlCache.memoryControl.enabled": "false"})
"""Has a server give models as a classic session has them: with summaries of training, trees of any size, no pass over
the data before a fit to foretell how large a model will be. A client may set it."""

DEEP_PLANS = MappingProxyType({"spark.sql.analyzer.maxIterations": "10000"})
"""A step whose types have to be brought together waits for those below it: a loop of the author's takes as many passes
over its plan as it has steps, of which Spark makes no more than 100."""

WHILE_WE_WORK = MappingProxyType({
    **VERIFIED, **DEEP_PLANS, **ROWS_FOR_PYTHON, **MODELS_AS_CLASSIC,
    # Tables of Helix have one commit; Delta's default of 50 makes every first read of one cost 1.6 s.
    "spark.databricks.delta.snapshotPartitions": "1",
})
"""What our work needs of any session, the user's too; given back when we are done."""

WHILE_WE_WRITE = MappingProxyType({
    # Milliseconds would cut off what is below them.
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    # Days and times as they are: LEGACY writes those before 1582 as others, EXCEPTION refuses them.
    "spark.sql.parquet.datetimeRebaseModeInWrite": "CORRECTED",
    "spark.sql.parquet.int96RebaseModeInWrite": "CORRECTED",
})
"""What would change a stored table's values: of any session, ours too, held while a table is written."""

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
"""Settings that change what a query answers, with the values that a session of ours starts with (the time zone is
UTC wherever it runs, the others are Spark 4's defaults)."""

CHANGES_NO_ANSWER = MappingProxyType({
    # Delta's parser forgets what `spark.sql(text, args)` is given: it does not know how Spark hands that over since 4.1
    # (delta-io/delta#7640). By this setting it is bound after parsing, as in Spark 4.0.
    "spark.sql.legacy.parameterSubstitution.constantsOnly": "true",
    **DEEP_PLANS,
})
"""Settings of the families below by which a session of ours answers what it would refuse; they count for nothing."""

FAMILIES = (
    # They bring back another answer, of an older Spark or of the SQL standard.
    "spark.sql.legacy.", "spark.sql.pyspark.legacy.", "spark.sql.ansi.",
    # What texts and names mean, what is found in them, and what passes between Spark and Python.
    "spark.sql.analyzer.", "spark.sql.parser.", "spark.sql.variant.", "spark.sql.json.", "spark.sql.xml.",
    "spark.sql.icu.", "spark.sql.csv.parser.", "spark.sql.groupBy", "spark.sql.orderBy",
    # What functions and subqueries answer.
    "spark.sql.function.", "spark.sql.optimizer.decorrelate",
    "spark.sql.execution.pandas.", "spark.sql.execution.pythonUDF.", "spark.sql.execution.pythonUDTF.",
)
"""Settings of these families change what a query answers, or may."""

WHERE_SET = frozenset({
    # What texts, names and literals mean.
    "spark.sql.functionResolution.sessionOrder", "spark.sql.lateralColumnAlias.enableImplicitResolution",
    "spark.sql.prioritizeOrdinalResolutionInSort.enabled", "spark.sql.selfJoinAutoResolveAmbiguity",
    "spark.sql.variable.substitute",
    # What functions and operators answer, and what their columns are called.
    "spark.sql.chunkBase64String.enabled", "spark.sql.enforceTypeCoercionBeforeUnionDeduplication.enabled",
    "spark.sql.jsonGenerator.writeNullIfWithDefaultValue", "spark.sql.mapZipWithUsesJavaCollections",
    "spark.sql.optimizer.metadataOnly", "spark.sql.preserveCharVarcharTypeInfo", "spark.sql.readSideCharPadding",
    "spark.sql.retainGroupColumns", "spark.sql.stableDerivedColumnAlias.enabled",
    # What is found in files.
    "spark.sql.avro.datetimeRebaseModeInRead", "spark.sql.columnNameOfCorruptRecord",
    "spark.sql.files.ignoreInvalidPartitionPaths", "spark.sql.files.supportSecondOffsetFormat",
    "spark.sql.orc.mergeSchema", "spark.sql.parquet.binaryAsString", "spark.sql.parquet.datetimeRebaseModeInRead",
    "spark.sql.parquet.fieldId.read.ignoreMissing", "spark.sql.parquet.ignoreVariantAnnotation",
    "spark.sql.parquet.int96AsTimestamp", "spark.sql.parquet.int96RebaseModeInRead",
    "spark.sql.parquet.int96TimestampConversion", "spark.sql.parquet.reader.respectUnknownTypeAnnotation.enabled",
    "spark.sql.parquet.respectSummaryFiles", "spark.sql.sources.default", "spark.sql.sources.validatePartitionColumns",
    # What passes between Spark and Python, and in how large batches, which functions see.
    "spark.sql.execution.arrow.maxRecordsPerBatch", "spark.sql.execution.arrow.maxBytesPerBatch",
    "spark.sql.execution.arrow.maxRecordsPerOutputBatch", "spark.sql.execution.arrow.maxBytesPerOutputBatch",
    "spark.sql.execution.pyspark.binaryAsBytes", "spark.sql.pyspark.inferNestedDictAsStruct.enabled",
    "spark.sql.pyspark.toJSON.returnDataFrame",
})
"""Further settings that change what a query answers. Unlike those of `CHANGES_RESULTS` a session of ours leaves them
alone, and so may any other: each counts where somebody set it. What holds where nobody did, the version of Spark says,
which counts as well.

A list of what counts, not of what does not: what platforms and catalogs set by themselves differs from one way to start
Spark to another, and the same workflow must be the same in all of them."""


def own_settings(cores: int, memory_bytes: int, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return what a session of Helix's own starts with, where nothing else is said, on such a machine."""
    return {
        "spark.app.name": "helix",
        "spark.master": environ.get("SPARK_MASTER") or "local[*]",
        **DELTA, **CHANGES_NO_ANSWER, **ROWS_FOR_PYTHON, **CHANGES_RESULTS,
        # Spark's own switch for it, by environment.
        "spark.sql.ansi.enabled": environ.get("SPARK_ANSI_SQL_MODE", "true").lower(),
        "spark.databricks.delta.snapshotPartitions": WHILE_WE_WORK["spark.databricks.delta.snapshotPartitions"],
        "spark.hadoop.parquet.page.verify-checksum.enabled": "true",
        "spark.driver.memory": driver_memory(memory_bytes),
        # Independent branches run at the same time and share the cores evenly.
        "spark.scheduler.mode": "FAIR",
        # Small data: 200 partitions, Spark's default, took 1.34 s where 4 took 0.13 s (adaptive execution off).
        "spark.sql.shuffle.partitions": str(max(4, 2 * cores)),
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        "spark.sql.parquet.compression.codec": "zstd",  # 20% smaller than snappy, no slower
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
    }


def file_system_of(settings: Mapping[str, str]) -> str:
    """Return the class of Hadoop's own file system that settings for a store name, Hadoop's or Spark's; empty if they
    name none.

    >>> file_system_of({"spark.hadoop.fs.gs.impl": "org.apache.hadoop.fs.gs.GoogleHadoopFileSystem"})
    'org.apache.hadoop.fs.gs.GoogleHadoopFileSystem'
    """
    pattern = r"(spark\.hadoop\.)?fs\.(s3a|abfss?|gs)\.impl"
    named = (value for name, value in settings.items() if re.fullmatch(pattern, name))
    return next((value for value in named if value.startswith("org.apache.hadoop.fs.")), "")


def brings(artifact: str, settings: Mapping[str, str], home: Path) -> bool:
    """Return whether the settings name an artifact of Hadoop's themselves, or Spark's folder has it: another copy would
    be in the way.

    >>> none, settings = Path("nowhere"), {"spark.jars.packages": "org.apache.hadoop:hadoop-aws:3.5.0"}
    >>> brings("hadoop-aws", settings, none), brings("hadoop-aws", {}, none)
    (True, False)
    """
    names = ("spark.jars", "spark.jars.packages", "spark.driver.extraClassPath")
    return any(artifact in settings.get(one, "") for one in names) or any((home / "jars").glob(f"{artifact}-*.jar"))


def driver_memory(memory_bytes: int) -> str:
    """Return a quarter of the memory, at least 1 and at most 8 GiB, as Spark writes it.

    >>> driver_memory(2 * GIB), driver_memory(24 * GIB), driver_memory(512 * GIB)
    ('1024m', '6144m', '8192m')
    """
    return f"{min(max(memory_bytes // 4, GIB), 8 * GIB) // 2**20}m"


def machine_memory() -> int:
    """Return the bytes of memory of this machine, or of the container (cgroup v2) where that is less."""
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
    """Return whether the executors run here, in whichever processes.

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
    """Return the settings in arguments of spark-submit, and all other words. Settings reach the JVM by a file, for they
    may hold secrets. Raises SetupError where a file of properties is named.

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
    """Return settings as a file of properties, as `java.util.Properties` reads it.

    >>> print(properties_text({"spark.a": " b\\n=c:\\\\d"}), end="")
    spark.a=\\u0020b\\n\\u003dc\\u003a\\\\d
    """
    def escaped(text: str) -> str:  # as JSON does, and what ends a name or is left out at the ends of a value
        return re.sub("[ =:#!]", lambda found: f"\\u{ord(found[0]):04x}", json.dumps(text)[1:-1])

    return "".join(f"{escaped(name)}={escaped(value)}\n" for name, value in settings.items())


def counts(name: str) -> bool:
    """Return whether a setting is one that changes what a query answers.

    >>> counts("spark.sql.caseSensitive"), counts("spark.sql.legacy.charVarcharAsString"), counts("spark.ui.enabled")
    (True, True, False)
    """
    is_of_family = name.startswith(FAMILIES) and name not in CHANGES_NO_ANSWER
    return is_of_family or name in CHANGES_RESULTS or name in WHERE_SET


def results_settings(settings: Mapping[str, str]) -> dict[str, str]:
    """Return those of `settings` that change results, with the value that holds where nothing is said. Sorted by name.

    >>> results_settings({"spark.sql.ansi.enabled": "FALSE", "spark.ui.enabled": "false"})["spark.sql.ansi.enabled"]
    'false'
    """
    found = {**CHANGES_RESULTS, **{name: value for name, value in settings.items() if counts(name)}}
    return {
        name: value.lower() if value.lower() in {"true", "false"} else value for name, value in sorted(found.items())
    }


def check_settings(settings: Mapping[str, str]) -> None:
    """Raises SetupError for a setting without which Helix cannot store what it computes.

    >>> check_settings({"spark.master": "local[2]"})
    """
    for name, needed in DELTA.items():
        if needed not in settings.get(name, needed):
            raise SetupError(
                f"the setting {name} leaves Delta out", exists=f"it is {settings[name]!r}",
                remedy=f"add {needed} to it (extensions are separated by commas), or leave the setting away",
            )
