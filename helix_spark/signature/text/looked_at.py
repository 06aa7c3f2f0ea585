"""What code asks for where it looks at functions and classes of the project: their names, signatures, docstrings.

Most code does not look, so none of that counts unless something that is reached asks for it by one of these names.
"""

from __future__ import annotations

import re

DOCS = frozenset({"__doc__"})

OWN_NAMES = frozenset({"__name__", "__qualname__"}) | DOCS
"""Attributes that are a text each."""

NAMING = frozenset({"agg", "aggregate", "pivot_table", "crosstab"})
"""What of pandas names columns after the functions that make them."""

NAMING_SEVERAL = frozenset({"apply", "transform"})
"""pandas' methods that do, if they are given several."""

UDFS = frozenset({"udf", "pandas_udf", "arrow_udf", "udtf", "arrow_udtf"})
"""What of Spark names columns after the functions that it is given."""

NAMES_STEPS = re.compile(r"sklearn\.(\w+\.)*make_(pipeline|union|column_transformer)$")
"""What names steps after their classes."""

READ_DOCS = frozenset({"inspect.getdoc", "pydoc.getdoc", "pydoc.render_doc"})
"""Functions that read docstrings."""

PUT_INTO_TEXT = frozenset({"builtins.str", "builtins.repr", "builtins.format", "builtins.ascii"})
"""Functions that make anything a text."""

TAKE_ROWS = UDFS | {"applyInPandas", "applyInArrow", "mapInPandas", "mapInArrow"}
"""What Spark is given functions by, some of which it asks by their annotations how they take rows."""

TELL_OF_SIGNATURES = frozenset({"__annotations__", "__signature__", "__code__"})
"""Attributes that tell of annotations or of parameters."""

READ_SIGNATURES = frozenset({
    "typing.get_type_hints", "typing_extensions.get_type_hints", "inspect.get_annotations", "inspect.signature",
    "inspect.Signature.from_callable", "inspect.getfullargspec",
})
"""Functions that read those."""
