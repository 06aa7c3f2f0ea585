"""Tests. Some packages are commands of their own: `python -m tests.faults`, `interleavings`, `mutants`, and others."""
