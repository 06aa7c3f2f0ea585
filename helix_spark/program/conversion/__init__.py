"""Conversion: the declared workflow that a plain program amounts to, written by `helix convert` as a start."""
