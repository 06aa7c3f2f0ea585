"""Spark: sessions, lowering operators to DataFrames and Spark ML stages, forcing and timing, storing results.

The only room that imports pyspark at run time. It does what a plan says, in rooms of its own, each of which imports
none but those before it: `spark` (the driver's JVM and the session: Java, jars, settings), `server`, `results`,
`lowering` and `execution`.
"""
