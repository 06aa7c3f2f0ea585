"""Spark: sessions, lowering operators to DataFrames and Spark ML stages, forcing and timing, storing results.

The only room that imports pyspark at run time. It does what a plan says; what turns out otherwise, a size or a failure,
is handed to the planner again behind the answer (`retention.py`).
"""
