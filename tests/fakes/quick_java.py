"""How the tests' JVMs run: each runs much code a few times, and reads few rows."""

from __future__ import annotations

JAVA_OPTIONS = (
    # Without the optimising compiler a session of the tests takes a sixth less, and with the simplest collector, on two
    # cores, a tenth less. Classes of Spark's own jars need no verification: that takes a fifth of a short job.
    "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:+UnlockDiagnosticVMOptions -XX:-BytecodeVerificationRemote"
)
WHOLE_STAGE = "spark.sql.codegen.wholeStage"
"""The setting that has Spark write and compile a class for each stage of a query."""

SUBMIT_ARGUMENTS = f"--conf 'spark.driver.extraJavaOptions={JAVA_OPTIONS}' --conf {WHOLE_STAGE}=false pyspark-shell"
"""The variable PYSPARK_SUBMIT_ARGS of a command that starts a JVM of its own."""
