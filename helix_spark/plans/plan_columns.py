"""The columns of a plan, told without Spark: their names, which `df.columns` asks most, and `mapInPandas` each time;
and the kinds of their types, where Spark can refuse nothing of a step: a program's line need not have it analysed then.

Only what the plan and the columns of its inputs say for certain; where Spark makes up a name, there is none. The engine
asks Spark the same when the plan of a node runs, so an error here is found before it can do harm.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

from helix_spark.plans.type_text import UnknownTypeError, parse_type

Columns = tuple[str, ...]

SERVED = "helix-served-"
"""How ids of tables begin that were made in the driver's JVM: what they read was seen there."""

INPUT = "helix input "
"""Begins the name of the table or column that stands for an input; its position follows."""

Kind = Literal["number", "text", "flag", "time", "other"]
"""What Spark accepts in place of each other: numbers of any width, texts, booleans, dates and times; or anything."""

Kinds = Mapping[str, Kind]
"""By the names of columns, which differ by more than their case, in their order."""

_Typed = Sequence[tuple[str, Kind | None]]
"""Columns, each with its kind; None where that is not known."""


class UnknownColumnsError(Exception):
    """Only Spark can tell."""


def columns_of(relation: Any, inputs: Mapping[int, Columns | None], *, case_sensitive: bool = False) -> Columns:
    """Return the names of a relation's columns, in their order.

    Args:
        relation: a `spark.connect.Relation`.
        inputs: by position, the columns of the tables that placeholders stand for; None where they are not known.

    Raises:
        UnknownColumnsError: only Spark can tell.
    """
    def find(one: Any) -> _Typed:
        name = one.read.named_table.unparsed_identifier
        if not name.startswith(INPUT):
            return reader.made_by(one)
        if (found := inputs.get(int(name.removeprefix(INPUT)))) is None:
            raise UnknownColumnsError(name)
        return _untyped(found)

    reader = _Reader(find, str if case_sensitive else str.lower, is_typed=False)
    return tuple(name for name, _ in find(relation))


def kinds_of_step(relation: Any, inputs: Mapping[int, Kinds | None]) -> Kinds | None:
    """Return the columns of a step; None where only Spark knows them, or whether it refuses the step.

    Args:
        relation: in which those that it reads have nothing but their plan ids.
        inputs: their columns, by plan id.
    """
    def find(one: Any) -> _Typed:
        if one.WhichOneof("rel_type") is not None or (found := inputs.get(one.common.plan_id)) is None:
            raise UnknownColumnsError("an input")
        return list(found.items())

    reader = _Reader(find, str, is_typed=True)
    try:
        made = reader.made_by(relation)
    except UnknownColumnsError:
        return None
    kinds = {name: kind for name, kind in made if kind is not None}
    unique = len({name.lower() for name in kinds}) == len(made)
    return kinds if unique and reader.is_accepted else None


def kinds_of_schema(schema: Any) -> Kinds | None:
    """Return the columns of a table by its schema (`spark.connect.DataType`); None where two names differ by their
    case."""
    fields = schema.struct.fields
    kinds = {one.name: _kind(one.data_type) for one in fields}
    return kinds if len({name.lower() for name in kinds}) == len(fields) else None


def names_of_text(schema: str, settings: Mapping[str, str]) -> Columns | None:
    """Return the columns of a schema that is written as text; None where only Spark can read it.

    >>> names_of_text("a int, b string", {})
    ('a', 'b')
    """
    try:
        found: Sequence[str] = parse_type(schema, settings).names
    except (UnknownTypeError, AttributeError):
        return None
    return tuple(found)


_AS_ITS_INPUT = frozenset({
    "limit", "offset", "sample", "repartition", "tail", "repartition_by_expression", "hint", "deduplicate", "drop_na",
    "fill_na", "replace", "with_watermark", "collect_metrics", "subquery_alias",
})
_NEVER_REFUSED = frozenset({"limit", "offset", "sample", "repartition", "range", "local_relation"})
_REFUSED_BY_EXPRESSIONS = frozenset({"project", "with_columns", "filter", "sort", "drop"})
"""Relations that Spark refuses by nothing but their expressions."""

_OF_THE_LEFT = frozenset({5, 6})
"""`Join.JoinType`: left anti and left semi."""

_PLAIN = re.compile(r"[A-Za-z_]\w*")
_NAMED = re.compile(r"(?is)^.*[\s)]as\s+(`[^`]+`|[A-Za-z_]\w*)\s*$")


class _Reader:
    """Reads the columns of relations.

    Args:
        find: gives the columns of a relation that another one reads.
        folded: gives what names have in common that Spark takes for one.
        is_typed: whether kinds are of interest.

    Attributes:
        is_accepted: whether Spark surely refuses nothing of what was read; told of what is typed alone.
    """

    def __init__(self, find: Callable[[Any], _Typed], folded: Callable[[str], str], *, is_typed: bool) -> None:
        self._find, self._folded, self._is_typed = find, folded, is_typed
        self.is_accepted = True

    def made_by(self, relation: Any) -> _Typed:
        """Return the columns of a relation. Raises UnknownColumnsError."""
        kind = relation.WhichOneof("rel_type")
        made = getattr(relation, kind or "common")
        refusable = kind not in _NEVER_REFUSED and kind not in _REFUSED_BY_EXPRESSIONS
        if refusable or (kind in ("limit", "offset") and getattr(made, kind) < 0):
            self.is_accepted = False
        if kind in _AS_ITS_INPUT:
            return self._find(made.input)
        read: Callable[[Any], Iterable[tuple[str, Kind | None]]] | None = getattr(self, f"_{kind}", None)
        if read is None:
            raise UnknownColumnsError(kind)
        return list(read(made))

    def _range(self, _: Any) -> _Typed:
        return [("id", "number")]

    def _local_relation(self, made: Any) -> _Typed:
        if made.schema:
            return [(one["name"], _kind_named(one["type"])) for one in json.loads(made.schema)["fields"]]
        import pyarrow as pa

        with pa.ipc.open_stream(made.data) as rows:
            return _untyped(rows.schema.names)

    def _with_relations(self, made: Any) -> _Typed:
        return self._find(made.root)

    def _filter(self, made: Any) -> _Typed:
        self._accept_if(self._kind(made.condition, made.input) == "flag")
        return self._find(made.input)

    def _sort(self, made: Any) -> _Typed:
        self._accept_if("other" not in {self._kind(one.child, made.input) for one in made.order})
        return self._find(made.input)

    def _project(self, made: Any) -> Iterator[tuple[str, Kind | None]]:
        return self._expressions(made.expressions, made.input)

    def _with_columns(self, made: Any) -> Iterator[tuple[str, Kind | None]]:
        new = {
            self._folded(one.name[0]): (one.name[0], self._kind(one.expr, made.input))
            for one in made.aliases if len(one.name) == 1
        }
        if len(new) != len(made.aliases):
            raise UnknownColumnsError("with_columns")
        before = self._find(made.input)
        there = {self._folded(name) for name, _ in before}
        yield from (new.get(self._folded(name), (name, kind)) for name, kind in before)
        yield from (column for folded, column in new.items() if folded not in there)

    def _drop(self, made: Any) -> _Typed:
        names = [*made.column_names, *map(_attribute, made.columns)]
        for one in made.columns:
            self._kind(one, made.input)
        gone = set(map(self._folded, names))
        rest = [(name, kind) for name, kind in self._find(made.input) if self._folded(name) not in gone]
        self._accept_if({name.lower() for name, _ in rest}.isdisjoint(name.lower() for name in names))
        return rest

    def _with_columns_renamed(self, made: Any) -> _Typed:
        if made.rename_columns_map:
            raise UnknownColumnsError("renames without an order")
        columns = self._find(made.input)
        for rename in made.renames:
            old = self._folded(rename.col_name)
            columns = [(rename.new_col_name if self._folded(name) == old else name, kind) for name, kind in columns]
        return columns

    def _to_df(self, made: Any) -> _Typed:
        return _untyped(made.column_names)

    def _to_schema(self, made: Any) -> _Typed:
        return _fields(made.schema)

    def _map_partitions(self, made: Any) -> _Typed:
        return _fields(made.func.python_udf.output_type)

    _group_map = _co_group_map = _map_partitions

    def _set_op(self, made: Any) -> _Typed:
        left = self._find(made.left_input)
        if not made.by_name:
            return left
        there = {self._folded(name) for name, _ in left}
        return [*left, *(one for one in self._find(made.right_input) if self._folded(one[0]) not in there)]

    def _join(self, made: Any) -> _Typed:
        left = self._find(made.left)
        right = () if made.join_type in _OF_THE_LEFT else self._find(made.right)
        using = dict.fromkeys(map(self._folded, made.using_columns))
        rest = [one for one in (*left, *right) if self._folded(one[0]) not in using]
        keys = {self._folded(one[0]): one for one in reversed(left)}
        if not keys.keys() >= using.keys():
            raise UnknownColumnsError("a column to join by that there is not")
        return [*(keys[name] for name in using), *rest]

    def _aggregate(self, made: Any) -> Iterator[tuple[str, Kind | None]]:
        if made.HasField("pivot"):
            raise UnknownColumnsError("pivot")
        return self._expressions((*made.grouping_expressions, *made.aggregate_expressions), made.input)

    def _expressions(self, expressions: Iterable[Any], input_: Any) -> Iterator[tuple[str, Kind | None]]:
        for one in expressions:
            if one.WhichOneof("expr_type") == "unresolved_star" and not one.unresolved_star.unparsed_target:
                yield from self._find(input_)
            else:
                yield _name(one), self._kind(one, input_)

    def _kind(self, expression: Any, input_: Any) -> Kind | None:
        """Return the kind of an expression over the columns of a relation; None where Spark might refuse it."""
        if not self._is_typed:
            return None
        try:
            return _kind_of(expression, dict(self._find(input_)), input_.common.plan_id)
        except UnknownColumnsError:
            self.is_accepted = False
            return None

    def _accept_if(self, condition: bool) -> None:
        self.is_accepted = self.is_accepted and condition


def _untyped(names: Iterable[str]) -> _Typed:
    return [(name, None) for name in names]


def _fields(kind: Any) -> _Typed:
    if kind.WhichOneof("kind") != "struct":
        raise UnknownColumnsError("no table")
    return _untyped(field.name for field in kind.struct.fields)


def _name(expression: Any) -> str:
    match expression.WhichOneof("expr_type"):
        case "alias" if len(expression.alias.name) == 1:
            return str(expression.alias.name[0])
        case "unresolved_attribute":
            return _attribute(expression)
        case "expression_string":
            return _named_in(expression.expression_string.expression)
    raise UnknownColumnsError("a column without a name")


def _attribute(expression: Any) -> str:
    text = str(expression.unresolved_attribute.unparsed_identifier)
    if _PLAIN.fullmatch(text):
        return text
    if text[:1] == text[-1:] == "`" and "`" not in text[1:-1] and len(text) > 2:
        return text[1:-1]
    raise UnknownColumnsError(text)


def _named_in(text: str) -> str:
    """Return the name of a column that is SQL text.

    >>> _named_in("upper(a) AS b"), _named_in("a")
    ('b', 'a')
    """
    if _PLAIN.fullmatch(text.strip()):
        return text.strip()
    found = _NAMED.match(text)
    if found is None:
        raise UnknownColumnsError(text)
    return found[1].strip("`")


_KINDS: Mapping[str, Kind] = {
    **dict.fromkeys(("byte", "short", "integer", "long", "float", "double", "decimal"), "number"),
    "string": "text", "boolean": "flag", "date": "time", "timestamp": "time", "timestamp_ntz": "time",
}
_ARITHMETIC, _COMPARISON = frozenset({"+", "-", "*"}), frozenset({"==", "!=", "<", "<=", ">", ">=", "<=>", "in"})
_OF_TWO_NUMBERS = frozenset({"/", "pow", "power"})
_OF_NUMBERS = frozenset({"abs", "ceil", "exp", "floor", "log", "log10", "negative", "round", "sqrt"}) | _OF_TWO_NUMBERS
_OF_TEXTS = frozenset({"lower", "ltrim", "rtrim", "trim", "upper"})


def _kind_named(data_type: Any) -> Kind:
    """Return the kind of a type that is written as JSON."""
    name = data_type if isinstance(data_type, str) else ""
    return _KINDS.get("decimal" if name.startswith("decimal(") else name, "other")


def _kind(data_type: Any) -> Kind:
    return _KINDS.get(str(data_type.WhichOneof("kind")), "other")


def _kind_of(one: Any, columns: Mapping[str, Kind | None], number: int) -> Kind:
    """Return the kind of an expression's type. Raises UnknownColumnsError where Spark might refuse it.

    Args:
        columns, number: of the table that it is over, with its plan id.
    """
    match one.WhichOneof("expr_type"):
        case "unresolved_attribute":
            attribute = one.unresolved_attribute
            kind = columns.get(attribute.unparsed_identifier)
            if kind is not None and (not attribute.HasField("plan_id") or attribute.plan_id == number):
                return kind
        case "literal":
            return _KINDS.get(str(one.literal.WhichOneof("literal_type")), "other")
        case "alias" if len(one.alias.name) == 1:
            return _kind_of(one.alias.expr, columns, number)
        case "cast" if one.cast.WhichOneof("cast_to_type") == "type":
            to = _kind(one.cast.type)
            if {_kind_of(one.cast.expr, columns, number), to} <= {"number", "text"}:
                return to
        case "unresolved_function" if not one.unresolved_function.is_distinct:
            function = one.unresolved_function
            given = [_kind_of(each, columns, number) for each in function.arguments]
            if (found := _called(function.function_name.lower(), given)) is not None:
                return found
    raise UnknownColumnsError("an expression")


def _called(name: str, given: Sequence[Kind]) -> Kind | None:
    """Return the kind of what a function gives; None where Spark might refuse the call."""
    kinds = set(given)
    if name in ("isnull", "isnotnull") and len(given) == 1:
        return "flag"
    if kinds == {"number"} and len(given) == 2 and name in _ARITHMETIC:
        return "number"
    if kinds == {"number"} and name in _OF_NUMBERS and len(given) == 1 + (name in _OF_TWO_NUMBERS):
        return "number"
    if len(kinds) == 1 and kinds <= {"number", "text"} and name in _COMPARISON and len(given) > 1:
        return "flag"
    if kinds == {"flag"} and (name, len(given)) in (("and", 2), ("or", 2), ("not", 1)):
        return "flag"
    if kinds == {"text"} and name in _OF_TEXTS and len(given) == 1:
        return "text"
    if name == "when" and set(given[:-1:2]) == {"flag"} and len(given) > 1:
        values = {*given[1::2], *([given[-1]] if len(given) % 2 else [])}
        if len(values) == 1 and values <= {"number", "text", "flag"}:
            return values.pop()
    return None
