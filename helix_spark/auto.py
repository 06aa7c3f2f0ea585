"""``import helix_spark.auto`` in the first line of a plain PySpark program runs it as ``helix run`` does, even under
spark-submit. The variable ``HELIX=off`` disables it."""

from helix_spark.cli.automatic import begin

begin()
