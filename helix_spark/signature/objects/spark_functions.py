"""Python functions and classes registered with Spark (`udf`, `pandas_udf`, `udtf`), without a session.

Knows the class of pyspark by name only and never imports it.
"""

from __future__ import annotations

from types import FunctionType
from typing import Any

from helix_spark.signature.objects.encoder import canonical
from helix_spark.signature.objects.identity import is_code
from helix_spark.signature.objects.references import Described, Edge, Reference, edge_to
from helix_spark.signature.parts import Group, encode


def describe_udf(reference: Reference) -> Described:
    """A user-defined function: its Python function or class, what it returns, how it is evaluated, whether it is fixed.

    Raises:
        UnidentifiedError: its return type is no type of Spark.
    """
    given: Any = reference.value
    udf = given.__dict__["_unwrapped"] if isinstance(given, FunctionType) else given
    label = reference.label
    types: list[Edge] = []

    def refer(value: object, _path: str) -> bytes | None:
        if not is_code(value):
            return None
        types.append(edge_to(value, label, role="return type"))
        return encode("slot", str(len(types)))

    # `returnType` asks the JVM to parse a type given as text; what was given is as good.
    returned = canonical(udf._returnType, refer)
    # Spark names the column after the function, where nobody gives it another name.
    form = encode("udf", returned, str(udf.evalType), str(udf.deterministic), str(udf._name))
    edges: tuple[Edge, ...] = (
        edge_to(udf.func, label, role="function", name=label),
        edge_to(type(udf), "pyspark", role="class"),
        *types,
    )
    # A table function is called nondeterministic unless somebody says otherwise: that tells nothing of it.
    declared = not udf.deterministic and type(udf).__name__ != "UserDefinedTableFunction"
    random = (f"`{label}` is declared nondeterministic",) if declared else ()
    return Described(Group.CODE, f"{label} (udf)", form, edges, random=random)
