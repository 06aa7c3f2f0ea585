"""The normal form of a function: what its source says, without how it says it.

Comments, formatting, docstrings, annotations and the names of locals are gone. A name the function does not bind itself
is a numbered *slot*, so that the form says nothing of what the slot holds; `names` finds that out from the live
function. Purely a matter of syntax: a form depends on nothing but the source text.
"""

from __future__ import annotations

import ast

from helix_spark.signature.text.expressions import nodes_in
from helix_spark.signature.text.form_writer import FormWriter
from helix_spark.signature.text.forms import FunctionForm
from helix_spark.signature.text.looked_at import DOCS
from helix_spark.signature.text.scopes import FunctionNode, function_scope

READS_LOCAL_NAMES = frozenset({"locals", "vars", "dir", "eval", "exec", "globals"})
"""Builtins that can see the names of locals. Where one is used, renaming a local may change what the function does."""


def function_form(node: FunctionNode, *, keep_names: bool = False, shows: bool = False) -> FunctionForm:
    """The normal form of a function or lambda. What its own parameters are called is left to whoever refers to it.

    Args:
        node: its syntax tree; decorators and defaults of the function itself do not count, they are objects by now.
        keep_names: whether the names of locals count, for something that the function calls looks them up.
        shows: whether names, parameters and annotations of inner functions count, for somebody looks at them.

    >>> def form(source: str) -> str:
    ...     return function_form(ast.parse(source).body[0]).text
    >>> form("def f(rows):\\n    kept = rows  # a comment\\n    return kept") == form("def f(r): x = r; return x")
    True
    >>> form("def f(a, b): return a - b") == form("def f(a, b): return b - a")
    False
    """
    names, attributes = _mentioned(node)
    sees_local_names = not READS_LOCAL_NAMES.isdisjoint(names)
    writer = FormWriter(keep_names or sees_local_names, shows, not DOCS.isdisjoint(names | attributes))
    scope = function_scope(node, None)
    writer.function(node, scope, named=writer.keep_names)
    writer.unused_imports()
    return FunctionForm(
        "".join(writer.out),
        tuple(writer.slots),
        tuple(writer.lines),
        frozenset(writer.passed),
        tuple(writer.calls),
        tuple(writer.texts),
        tuple(writer.chains),
        tuple(writer.lookups),
    )


def _mentioned(node: FunctionNode) -> tuple[set[str], set[str]]:
    """The names and the attributes in a function, of whatever."""
    names: set[str] = set()
    attributes: set[str] = set()
    for inner in nodes_in(node):
        if type(inner) is ast.Name:
            names.add(inner.id)
        elif type(inner) is ast.Attribute:
            attributes.add(inner.attr)
    return names, attributes
