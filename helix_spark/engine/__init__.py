"""Spark: sessions, lowering operators to DataFrames and Spark ML stages, forcing and timing, storing results.

The only room that imports pyspark at run time. It does what a plan says and decides nothing about what to keep.
"""
