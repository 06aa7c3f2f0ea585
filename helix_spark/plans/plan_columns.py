"""The names of a plan's columns, told without Spark: `df.columns` asks for them, and `mapInPandas` each time.

Only what the plan and the columns of its inputs say for certain; where Spark makes up a name, there is none. The engine
asks Spark the same when the plan of a node runs, so an error here is found before it can do harm.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from helix_spark.plans.type_text import UnknownTypeError, parse_type

Columns = tuple[str, ...]

SERVED = "helix-served-"
"""How ids of tables begin that were made in the driver's JVM: what they read was seen there."""

INPUT = "helix input "
"""Begins the name of the table or column that stands for an input; its position follows."""


class UnknownColumnsError(Exception):
    """Only Spark can tell."""


def columns_of(relation: Any, inputs: Mapping[int, Columns | None], *, case_sensitive: bool = False) -> Columns:
    """Return the names of the columns of a `spark.connect.Relation`, in their order. Raises UnknownColumnsError where
    only Spark can tell.

    Args:
        inputs: by position, the columns of the tables that placeholders stand for; None where they are not known.
    """
    return tuple(_Reader(inputs, str if case_sensitive else str.lower).columns(relation))


def names_of_text(schema: str, settings: Mapping[str, str]) -> Columns | None:
    """Return the columns of a schema that is written as text; None where only Spark can read it.

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
    """Reads the columns of relations; its methods are called by the names of their types.

    Args:
        inputs: see `columns_of`.
        folded: gives what names have in common that Spark takes for one.
    """

    def __init__(self, inputs: Mapping[int, Columns | None], folded: Callable[[str], str]) -> None:
        self._inputs, self._folded = inputs, folded

    def columns(self, relation: Any) -> list[str]:
        """Return the columns of a relation. Raises UnknownColumnsError."""
        kind = relation.WhichOneof("rel_type")
        made = getattr(relation, kind or "common")
        if kind in _AS_ITS_INPUT:
            return self.columns(made.input)
        read: Callable[[Any], Iterable[str]] | None = getattr(self, f"_{kind}", None)
        if read is None:
            raise UnknownColumnsError(kind)
        return list(read(made))

    def _read(self, made: Any) -> Sequence[str]:
        name = made.named_table.unparsed_identifier
        found = self._inputs.get(int(name.removeprefix(INPUT))) if name.startswith(INPUT) else None
        if found is None:
            raise UnknownColumnsError(name)
        return found

    def _project(self, made: Any) -> Iterator[str]:
        return self._expressions(made.expressions, made.input)

    def _with_columns(self, made: Any) -> Iterator[str]:
        new = {self._folded(one.name[0]): one.name[0] for one in made.aliases if len(one.name) == 1}
        if len(new) != len(made.aliases):
            raise UnknownColumnsError("with_columns")
        before = self.columns(made.input)
        there = set(map(self._folded, before))
        yield from (new.get(self._folded(name), name) for name in before)
        yield from (name for folded, name in new.items() if folded not in there)

    def _drop(self, made: Any) -> Sequence[str]:
        gone = set(map(self._folded, (*made.column_names, *map(_attribute, made.columns))))
        return [name for name in self.columns(made.input) if self._folded(name) not in gone]

    def _with_columns_renamed(self, made: Any) -> Sequence[str]:
        if made.rename_columns_map:
            raise UnknownColumnsError("renames without an order")
        columns = self.columns(made.input)
        for rename in made.renames:
            old = self._folded(rename.col_name)
            columns = [rename.new_col_name if self._folded(name) == old else name for name in columns]
        return columns

    def _to_df(self, made: Any) -> Sequence[str]:
        return list(made.column_names)

    def _map_partitions(self, made: Any) -> Sequence[str]:
        kind = made.func.python_udf.output_type
        if kind.WhichOneof("kind") != "struct":
            raise UnknownColumnsError("no table")
        return [field.name for field in kind.struct.fields]

    _group_map = _co_group_map = _map_partitions

    def _set_op(self, made: Any) -> Sequence[str]:
        left = self.columns(made.left_input)
        if not made.by_name:
            return left
        there = set(map(self._folded, left))
        return [*left, *(one for one in self.columns(made.right_input) if self._folded(one) not in there)]

    def _join(self, made: Any) -> Sequence[str]:
        left = self.columns(made.left)
        right = () if made.join_type in (5, 6) else self.columns(made.right)  # left anti and left semi
        using = dict.fromkeys(map(self._folded, made.using_columns))
        rest = [one for one in (*left, *right) if self._folded(one) not in using]
        keys = {self._folded(one): one for one in reversed(left)}
        if not keys.keys() >= using.keys():
            raise UnknownColumnsError("a column to join by that there is not")
        return [*(keys[name] for name in using), *rest]

    def _aggregate(self, made: Any) -> Iterator[str]:
        if made.HasField("pivot"):
            raise UnknownColumnsError("pivot")
        return self._expressions((*made.grouping_expressions, *made.aggregate_expressions), made.input)

    def _expressions(self, expressions: Iterable[Any], input_: Any) -> Iterator[str]:
        for one in expressions:
            if one.WhichOneof("expr_type") == "unresolved_star" and not one.unresolved_star.unparsed_target:
                yield from self.columns(input_)
            else:
                yield _name(one)


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
