"""Spark: sessions, lowering operators to DataFrames and Spark ML stages, forcing and timing, storing results.

The only room that imports pyspark at run time. It does what a plan says, and has rooms of its own, each of which
imports none but those before it:

- `spark`: the driver's JVM and the session: Java, jars, settings.
- `results`: results while a session lives, loaded from and stored in a catalog.
- `lowering`: from an operator and its inputs to a result.
- `execution`: a plan's nodes in units of work, at the same time where they can be, and timed.
"""
