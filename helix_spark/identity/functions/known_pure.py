"""What is known to be pure: code outside the project whose result its arguments alone decide.

The set is closed: a name that is not in it may ask anything. Methods need no names: what they are called on is made by
what is in the set, or is a table that the engine hands over.
"""

from __future__ import annotations

import dis
import re
from collections.abc import Iterable, Iterator
from types import FunctionType

from helix_spark.identity.functions.code_form import nested_code
from helix_spark.identity.objects.references import Described, Edge, Reference, dotted_name

_PURE = re.compile(
    r"builtins\.(?!(open|input|eval|exec|compile|globals|locals|vars|dir|getattr|id|hash|set|frozenset|help|breakpoint)"
    r"(\.|$)|__)\w+"
    r"|(abc|base64|bisect|cmath|collections|copy|dataclasses|enum|fractions|functools|heapq|itertools|json|math|numbers"
    r"|operator|re|statistics|string|textwrap|typing|unicodedata|zlib|helix_spark)(\.|$)|time\.sleep$"
    r"|types\.(UnionType|GenericAlias|NoneType)$"
    r"|datetime\.(date|timedelta)(?!\.(fromtimestamp|today))(\.|$)"
    r"|numpy(?!\.(.+\.)?(random|load\w*|genfromtxt|from(file|regex)|memmap|save\w*|DataSource|lib|ctypeslib|testing)"
    r"(\.|$))(\.|$)"
    r"|pandas(?!\.(.+\.)?(read_\w+|io|HDFStore|Excel\w+|util|testing|plotting|eval)(\.|$))(\.|$)"
    r"|pyspark\.(sql\.(\w+\.)*(functions|types|window|column|udf)|ml)(\.|$)"
)
_MAKE_SETS = frozenset(dis.opmap[name] for name in ("BUILD_SET", "SET_ADD", "SET_UPDATE"))
"""Opcodes: in which order a set of texts is gone through differs from process to process."""


def doubtful_names(value: object, described: Described) -> Iterator[str]:
    """Yield what a thing consists of, or reaches beyond the project, that is not known to be pure; a thing of the
    project that it reaches is asked by itself."""
    checked = described.edges[: described.checked]
    yield from names_beyond((*checked, *(edge for edge in described.edges if isinstance(edge, Reference))))
    if isinstance(value, FunctionType):
        for code in (value.__code__, *nested_code(value.__code__)):
            if not _MAKE_SETS.isdisjoint(code.co_code[::2]):
                yield f"a set that `{described.label}` makes"


def names_beyond(edges: Iterable[Edge]) -> Iterator[str]:
    """Yield the names of what is referred to beyond the project that is not known to be pure.

    >>> list(names_beyond(["builtins.len", "builtins.open", "unbound.spark"]))
    ['builtins.open', 'unbound.spark']
    """
    return (name for edge in edges if (name := dotted_name(edge)) is not None and _PURE.match(name) is None)
