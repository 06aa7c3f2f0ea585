"""``import helix_spark.auto``, in the first line of a plain PySpark program, has it run as by ``helix run``: under
spark-submit, too. The variable ``HELIX=off`` has it do nothing."""

from helix_spark.cli.automatic import begin

begin()
