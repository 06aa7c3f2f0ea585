"""The examples in pyspark's own docstrings, by plain PySpark and under Helix."""
