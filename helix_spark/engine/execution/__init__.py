"""Execution: runs a plan in units of work and measures the seconds of each node. Stores nothing."""
