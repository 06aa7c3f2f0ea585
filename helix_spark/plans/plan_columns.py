"""The names of the columns of a plan, told without Spark: what `df.columns` asks most, and `mapInPandas` each time.

Only what the plan and the columns of its inputs say for certain; where Spark makes up a name, there is none. The engine
asks Spark the same when the plan runs, so an error here is found before it can do harm.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from helix_spark.plans.type_text import UnknownTypeError, parse_type

Columns = tuple[str, ...]

SERVED = "helix-served-"
"""How ids of tables begin that were made in the driver's JVM: what they read was seen there."""

INPUT = "helix input "
"""Begins the name of the table or column that stands for an input; its position follows."""

_AS_ITS_INPUT = frozenset({
    "filter", "sort", "limit", "offset", "tail", "sample", "repartition", "repartition_by_expression", "hint",
    "deduplicate", "drop_na", "fill_na", "replace", "with_watermark", "collect_metrics", "subquery_alias",
})
_OF_THE_LEFT = frozenset({5, 6})
"""`Join.JoinType`: left anti and left semi."""

_PLAIN = re.compile(r"[A-Za-z_]\w*")
_NAMED = re.compile(r"(?is)^.*[\s)]as\s+(`[^`]+`|[A-Za-z_]\w*)\s*$")


class UnknownColumnsError(Exception):
    """Only Spark can tell."""


def columns_of(relation: Any, inputs: Mapping[int, Columns | None], *, case_sensitive: bool = False) -> Columns:
    """The names of a relation's columns, in their order.

    Args:
        relation: a `spark.connect.Relation`.
        inputs: by position, the columns of the tables that placeholders stand for; None where they are not known.

    Raises:
        UnknownColumnsError: only Spark can tell.
    """
    return _Names(inputs, str if case_sensitive else str.lower).columns(relation)


class _Names:
    def __init__(self, inputs: Mapping[int, Columns | None], folded: Callable[[str], str]) -> None:
        self._inputs, self._folded = inputs, folded

    def columns(self, relation: Any) -> Columns:
        sort = relation.WhichOneof("rel_type")
        made = getattr(relation, sort)
        if sort in _AS_ITS_INPUT:
            return self.columns(made.input)
        tell: Callable[[Any], Iterable[str]] | None = getattr(self, f"_{sort}", None)
        if tell is None:
            raise UnknownColumnsError(sort)
        return tuple(tell(made))

    def _read(self, made: Any) -> Columns:
        name = made.named_table.unparsed_identifier
        found = self._inputs.get(int(name.removeprefix(INPUT))) if name.startswith(INPUT) else None
        if found is None:
            raise UnknownColumnsError(name)
        return found

    def _range(self, _: Any) -> Columns:
        return ("id",)

    def _with_relations(self, made: Any) -> Columns:
        return self.columns(made.root)

    def _project(self, made: Any) -> list[str]:
        return self._expressions(made.expressions, made.input)

    def _with_columns(self, made: Any) -> list[str]:
        new = {self._folded(alias.name[0]): alias.name[0] for alias in made.aliases if len(alias.name) == 1}
        if len(new) != len(made.aliases):
            raise UnknownColumnsError("with_columns")
        before = self.columns(made.input)
        there = {self._folded(name) for name in before}
        return [new.get(self._folded(name), name) for name in before] + [
            name for folded, name in new.items() if folded not in there
        ]

    def _drop(self, made: Any) -> list[str]:
        gone = {self._folded(name) for name in made.column_names}
        gone.update(self._folded(self._attribute(one)) for one in made.columns)
        return [name for name in self.columns(made.input) if self._folded(name) not in gone]

    def _with_columns_renamed(self, made: Any) -> Columns:
        if made.rename_columns_map:
            raise UnknownColumnsError("renames without an order")
        names = self.columns(made.input)
        for rename in made.renames:
            old = self._folded(rename.col_name)
            names = tuple(rename.new_col_name if self._folded(name) == old else name for name in names)
        return names

    def _to_df(self, made: Any) -> Columns:
        return tuple(made.column_names)

    def _to_schema(self, made: Any) -> list[str]:
        return _fields(made.schema)

    def _map_partitions(self, made: Any) -> list[str]:
        return _fields(made.func.python_udf.output_type)

    _group_map = _co_group_map = _map_partitions

    def _set_op(self, made: Any) -> Columns:
        left = self.columns(made.left_input)
        if not made.by_name:
            return left
        there = {self._folded(name) for name in left}
        return (*left, *(name for name in self.columns(made.right_input) if self._folded(name) not in there))

    def _join(self, made: Any) -> list[str]:
        left = self.columns(made.left)
        right = () if made.join_type in _OF_THE_LEFT else self.columns(made.right)
        using = {self._folded(name): name for name in made.using_columns}
        rest = [name for name in (*left, *right) if self._folded(name) not in using]
        keys = [next(name for name in left if self._folded(name) == one) for one in using] if using else []
        return [*keys, *rest]

    def _aggregate(self, made: Any) -> list[str]:
        if made.HasField("pivot"):
            raise UnknownColumnsError("pivot")
        return self._expressions((*made.grouping_expressions, *made.aggregate_expressions), made.input)

    def _local_relation(self, made: Any) -> list[str]:
        if made.schema.startswith("{"):
            return [field["name"] for field in json.loads(made.schema)["fields"]]
        if made.schema:
            return self._parsed(made.schema)
        import pyarrow as pa

        with pa.ipc.open_stream(made.data) as rows:
            return list(rows.schema.names)

    def _parsed(self, text: str) -> list[str]:
        try:
            return list(parse_type(text, {}).names)
        except (UnknownTypeError, AttributeError) as error:
            raise UnknownColumnsError(text) from error

    def _expressions(self, expressions: Iterable[Any], input_: Any) -> list[str]:
        names: list[str] = []
        for one in expressions:
            if one.WhichOneof("expr_type") == "unresolved_star" and not one.unresolved_star.unparsed_target:
                names += self.columns(input_)
            else:
                names.append(self._name(one))
        return names

    def _name(self, expression: Any) -> str:
        match expression.WhichOneof("expr_type"):
            case "alias" if len(expression.alias.name) == 1:
                return str(expression.alias.name[0])
            case "unresolved_attribute":
                return self._attribute(expression)
            case "expression_string":
                return _named_in(expression.expression_string.expression)
        raise UnknownColumnsError("a column without a name")

    def _attribute(self, expression: Any) -> str:
        text = str(expression.unresolved_attribute.unparsed_identifier)
        if _PLAIN.fullmatch(text):
            return text
        if text[:1] == text[-1:] == "`" and "`" not in text[1:-1] and len(text) > 2:
            return text[1:-1]
        raise UnknownColumnsError(text)


def _named_in(text: str) -> str:
    """The name of a column that is SQL text.

    >>> _named_in("upper(a) AS b"), _named_in("a")
    ('b', 'a')
    """
    if _PLAIN.fullmatch(text.strip()):
        return text.strip()
    found = _NAMED.match(text)
    if found is None:
        raise UnknownColumnsError(text)
    return found[1].strip("`")


def _fields(kind: Any) -> list[str]:
    if kind.WhichOneof("kind") != "struct":
        raise UnknownColumnsError("no table")
    return [field.name for field in kind.struct.fields]


def names_of_text(schema: str, settings: Mapping[str, str]) -> Columns | None:
    """The columns of a schema that is written as text; None where only Spark can read it.

    >>> names_of_text("a int, b string", {})
    ('a', 'b')
    """
    try:
        found: Sequence[str] = parse_type(schema, settings).names
    except (UnknownTypeError, AttributeError):
        return None
    return tuple(found)
