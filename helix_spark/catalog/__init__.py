"""Prior results: records of what ran, and the tables, models and values that are stored.

A result exists when its record does. Data is written first, under a path no one else uses, and published by one
appended record. Records are Delta tables written and read without a JVM; nothing here is ever unpickled, and nothing
here decides what to keep; see `planner`.
"""
