"""What code asks for where it looks at functions and classes of the project: their names, signatures, docstrings.

Most code does not look, so none of that counts unless something that is reached asks for it by one of these names.
"""

from __future__ import annotations

DOCS = frozenset({"__doc__"})

OWN_NAMES = frozenset({"__name__", "__qualname__"}) | DOCS
"""Attributes that are a text each."""

NAMING = frozenset({"agg", "aggregate", "pivot_table"})
"""pandas' methods that name columns after the functions that make them."""

UDFS = frozenset({"udf", "pandas_udf", "udtf"})
"""Spark's, which do as well."""

TELL_OF_SIGNATURES = frozenset({"__annotations__", "__signature__", "__code__"})
"""Attributes that tell of annotations or of parameters."""

READ_SIGNATURES = frozenset({
    "typing.get_type_hints", "typing_extensions.get_type_hints", "inspect.get_annotations", "inspect.signature",
    "inspect.Signature.from_callable", "inspect.getfullargspec",
})
"""Functions that read those."""

LOOKS = OWN_NAMES | NAMING | UDFS | TELL_OF_SIGNATURES | {name.rpartition(".")[2] for name in READ_SIGNATURES}
"""All of them as they stand in a text, whatever the names before the last one stand for there."""
