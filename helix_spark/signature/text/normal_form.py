"""The normal form of a function: what its source says, without how it says it.

Comments, formatting, docstrings, annotations and the names of locals are gone. A name the function does not bind itself
is a numbered *slot*, so that the form says nothing of what the slot holds; `names` finds that out from the live
function. Purely a matter of syntax: a form depends on nothing but the source text.
"""

from __future__ import annotations

import ast

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
    writer = FormWriter(keep_names or _sees_local_names(node), shows, _mentions(node, DOCS))
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


def _sees_local_names(node: FunctionNode) -> bool:
    return any(isinstance(inner, ast.Name) and inner.id in READS_LOCAL_NAMES for inner in ast.walk(node))


def _mentions(node: FunctionNode, names: frozenset[str]) -> bool:
    return any(
        (isinstance(inner, ast.Attribute) and inner.attr in names)
        or (isinstance(inner, ast.Name) and inner.id in names)
        for inner in ast.walk(node)
    )
