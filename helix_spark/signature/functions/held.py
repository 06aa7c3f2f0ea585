"""What is random in code of packages that the project holds as a value: ``{"now": datetime.now}``, a field's
``default_factory=time.time``. Whoever calls it does so by a name that says nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from helix_spark.signature.functions.randomness import random_name, stages_in
from helix_spark.signature.objects.edges import Edge, Reference, dotted
from helix_spark.signature.objects.spark_objects import spark_classes

_NOT_CALLED = frozenset({"annotation", "annotations", "base", "metaclass", "class", "by", "subclass", "depends_on"})
"""Roles in which code is looked at, or is declared by the author to count as it is."""


def held_uses(reference: Reference, edges: Sequence[Edge]) -> tuple[str, ...]:
    """What is random in what a thing refers to, in sentences.

    Args:
        reference: to the thing.
        edges: to what it refers to, but for what was looked at with its calls.
    """
    held = [(name, edge.held) for edge in edges if edge.held and (name := dotted(edge)) is not None]
    random = [name for name, role in held if role not in _NOT_CALLED and random_name(name)]
    return tuple(f"{reference.place()} is or holds {name}" for name in random)


def statements_in(value: object) -> tuple[str, ...]:
    """The SQL of the transformers in a value."""
    stages = [stage for stage in stages_in(value) if "SQLTransformer" in spark_classes(stage)]
    settings = [(param.name, setting) for stage in stages for param, setting in stage._paramMap.items()]
    return tuple(setting for name, setting in settings if name == "statement" and isinstance(setting, str))
