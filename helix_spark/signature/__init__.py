"""Change tracking: what identifies a result, and how two iterations differ.

Pure: reads code, values and versions, never Spark. It does not decide what to run; see `planner`.
"""
