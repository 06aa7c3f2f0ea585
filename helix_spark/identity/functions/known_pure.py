"""Pure code outside of the project: its arguments alone decide its result.

Any name outside of this set may be impure. Methods need no names: their objects come from code in the set, or are
tables of the engine. """

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
"""Opcodes that create sets: the order of texts in a set differs from process to process."""


def doubtful_names(value: object, described: Described) -> Iterator[str]:
    """Yield the content of an object, or its references out of the project, that are not known to be pure. References
    into the project are checked separately."""
    checked = described.edges[: described.checked]
    yield from names_beyond((*checked, *(edge for edge in described.edges if isinstance(edge, Reference))))
    if isinstance(value, FunctionType):
        for code in (value.__code__, *nested_code(value.__code__)):
            if not _MAKE_SETS.isdisjoint(code.co_code[::2]):
                yield f"a set that `{described.label}` makes"


def names_beyond(edges: Iterable[Edge]) -> Iterator[str]:
    """Yield the names of edges out of the project that are not known to be pure.

    >>> list(names_beyond(["builtins.len", "builtins.open", "unbound.spark"]))
    ['builtins.open', 'unbound.spark']
    """
    return (name for edge in edges if (name := dotted_name(edge)) is not None and _PURE.match(name) is None)
