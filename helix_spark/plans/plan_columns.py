"""The names of a plan's columns, derived without Spark: `df.columns` and each `mapInPandas` request them.

Only names that the plan and the columns of its inputs determine; a name that Spark generates is unknown. The engine
requests the names from Spark when a node's plan runs, so an error here is noticed before it does harm.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from helix_spark.plans.type_text import UnknownTypeError, parse_type

Columns = tuple[str, ...]

SERVED = "helix-served-"
"""The prefix of ids of tables that were built in the driver's JVM, where their reads were observed."""

INPUT = "helix input "
"""The prefix of the placeholder table or column of an input; its position follows."""


class UnknownColumnsError(Exception):
    """Columns that only Spark can name."""


def columns_of(relation: Any, inputs: Mapping[int, Columns | None], *, case_sensitive: bool = False) -> Columns:
    """Return names of a `spark.connect.Relation`'s columns. Raises UnknownColumnsError if only Spark knows them.

    Args:
        inputs: by position, the columns of the placeholders' tables; None where they are unknown.
    """
    return tuple(_Reader(inputs, str if case_sensitive else str.lower).columns(relation))


def names_of_text(schema: str, settings: Mapping[str, str]) -> Columns | None:
    """Return the columns of a schema written as text; None where only Spark can parse it.

    >>> names_of_text("a int, b string", {})
    ('a', 'b')
    """
    try:
        return tuple(parse_type(schema, settings).names)
    except (UnknownTypeError, AttributeError):
        return None


_AS_ITS_INPUT = frozenset({
    "filter", "sort", "limit", "offset", "sample", "repartition", "tail", "repartition_by_expression", "hint",
    "deduplicate", "drop_na", "fill_na", "replace", "with_watermark", "collect_metrics", "subquery_alias",
})

_PLAIN = re.compile(r"[A-Za-z_]\w*")
_NAMED = re.compile(r"(?is)^.*[\s)]as\s+(`[^`]+`|[A-Za-z_]\w*)\s*$")


class _Reader:
    """Reads the columns of relations. Its methods have the names of relation types.

    Args:
        inputs: see `columns_of`.
        folded: maps names that Spark treats as equal to one text.
    """

    def __init__(self, inputs: Mapping[int, Columns | None], folded: Callable[[str], str]) -> None:
        self._inputs, self._folded = inputs, folded

    def columns(self, relation: Any) -> list[str]:
        """Return the columns of a relation. Raises UnknownColumnsError."""
        kind = relation.WhichOneof("rel_type")
        details = getattr(relation, kind or "common")
        if kind in _AS_ITS_INPUT:
            return self.columns(details.input)
        read: Callable[[Any], Iterable[str]] | None = getattr(self, f"_{kind}", None)
        if read is None:
            raise UnknownColumnsError(kind)
        return list(read(details))

    def _read(self, relation: Any) -> Sequence[str]:
        name = relation.named_table.unparsed_identifier
        columns = self._inputs.get(int(name.removeprefix(INPUT))) if name.startswith(INPUT) else None
        if columns is None:
            raise UnknownColumnsError(name)
        return columns

    def _project(self, relation: Any) -> Iterator[str]:
        return self._expressions(relation.expressions, relation.input)

    def _with_columns(self, relation: Any) -> Iterator[str]:
        new = {self._folded(alias.name[0]): alias.name[0] for alias in relation.aliases if len(alias.name) == 1}
        if len(new) != len(relation.aliases):
            raise UnknownColumnsError("with_columns")
        old = self.columns(relation.input)
        existing = set(map(self._folded, old))
        yield from (new.get(self._folded(name), name) for name in old)
        yield from (name for folded, name in new.items() if folded not in existing)

    def _drop(self, relation: Any) -> Sequence[str]:
        dropped = set(map(self._folded, (*relation.column_names, *map(_attribute, relation.columns))))
        return [name for name in self.columns(relation.input) if self._folded(name) not in dropped]

    def _with_columns_renamed(self, relation: Any) -> Sequence[str]:
        if relation.rename_columns_map:
            raise UnknownColumnsError("renames without an order")
        columns = self.columns(relation.input)
        for rename in relation.renames:
            old = self._folded(rename.col_name)
            columns = [rename.new_col_name if self._folded(name) == old else name for name in columns]
        return columns

    def _to_df(self, relation: Any) -> Sequence[str]:
        return list(relation.column_names)

    def _map_partitions(self, relation: Any) -> Sequence[str]:
        kind = relation.func.python_udf.output_type
        if kind.WhichOneof("kind") != "struct":
            raise UnknownColumnsError("no table")
        return [field.name for field in kind.struct.fields]

    _group_map = _co_group_map = _map_partitions

    def _set_op(self, relation: Any) -> Sequence[str]:
        left = self.columns(relation.left_input)
        if not relation.by_name:
            return left
        names = set(map(self._folded, left))
        return [*left, *(name for name in self.columns(relation.right_input) if self._folded(name) not in names)]

    def _join(self, relation: Any) -> Sequence[str]:
        left = self.columns(relation.left)
        right = () if relation.join_type in (5, 6) else self.columns(relation.right)  # left anti and left semi
        using = dict.fromkeys(map(self._folded, relation.using_columns))
        others = [name for name in (*left, *right) if self._folded(name) not in using]
        keys = {self._folded(name): name for name in reversed(left)}
        if not keys.keys() >= using.keys():
            raise UnknownColumnsError("a missing join column")
        return [*(keys[name] for name in using), *others]

    def _aggregate(self, relation: Any) -> Iterator[str]:
        if relation.HasField("pivot"):
            raise UnknownColumnsError("pivot")
        return self._expressions((*relation.grouping_expressions, *relation.aggregate_expressions), relation.input)

    def _expressions(self, expressions: Iterable[Any], input_: Any) -> Iterator[str]:
        for expression in expressions:
            star = expression.unresolved_star
            if expression.WhichOneof("expr_type") == "unresolved_star" and not star.unparsed_target:
                yield from self.columns(input_)
            else:
                yield _name(expression)


def _name(expression: Any) -> str:
    match expression.WhichOneof("expr_type"):
        case "alias" if len(expression.alias.name) == 1:
            return str(expression.alias.name[0])
        case "unresolved_attribute":
            return _attribute(expression)
        case "expression_string":
            text = expression.expression_string.expression.strip()
            if _PLAIN.fullmatch(text):
                return str(text)
            if (named := _NAMED.match(text)) is not None:  # such as "upper(a) AS b"
                return named[1].strip("`")
    raise UnknownColumnsError("a column without a name")


def _attribute(expression: Any) -> str:
    text = str(expression.unresolved_attribute.unparsed_identifier)
    if _PLAIN.fullmatch(text):
        return text
    if text[:1] == text[-1:] == "`" and "`" not in text[1:-1] and len(text) > 2:
        return text[1:-1]
    raise UnknownColumnsError(text)
