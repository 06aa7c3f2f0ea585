"""Runs the author's Python as a build system runs an action: what it draws follows from a seed, what it reads is seen.

Needs nothing but Python's own library, and no other room: Spark's workers get its code by value.
"""
