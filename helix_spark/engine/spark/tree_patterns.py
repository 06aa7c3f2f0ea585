"""Whether a plan or an expression of Catalyst has expressions of some kind in it, which it knows without being read."""

from __future__ import annotations

from functools import lru_cache
from typing import Any


def holds_any(tree: Any, kinds: tuple[str, ...]) -> bool:
    """Whether there is any of these kinds (`org.apache.spark.sql.catalyst.trees.TreePattern`) in a tree."""
    from pyspark import SparkContext

    return any(map(tree.containsPattern, _patterns(SparkContext._gateway, kinds)))


@lru_cache(maxsize=8)
def _patterns(gateway: Any, kinds: tuple[str, ...]) -> tuple[Any, ...]:
    """Looked up once a JVM: each part of a name in Java takes a call to it."""
    known = gateway.jvm.org.apache.spark.sql.catalyst.trees.TreePattern
    return tuple(getattr(known, kind)() for kind in kinds)
