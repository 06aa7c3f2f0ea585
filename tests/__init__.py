"""Tests. `python -m tests.faults` and `python -m tests.interleavings` are commands of their own."""
