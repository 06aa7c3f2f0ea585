"""The columns of a plan's step and the kinds of their types, told from those of its inputs where Spark can refuse
nothing: what a classic session would analyse at its line then needs no question."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

from helix_spark.plans.plan_columns import UnknownColumnsError

Kind = Literal["number", "text", "flag", "time", "other"]
"""What Spark accepts in place of each other: numbers of any width, texts, booleans, dates and times; or anything."""

Kinds = Mapping[str, Kind]
"""By the names of columns, which differ by more than their case, in their order."""

_OF_TYPES: Mapping[str, Kind] = {
    **dict.fromkeys(("byte", "short", "integer", "long", "float", "double", "decimal"), "number"),
    "string": "text", "boolean": "flag", "date": "time", "timestamp": "time", "timestamp_ntz": "time",
}
_ARITHMETIC, _COMPARISON = frozenset({"+", "-", "*"}), frozenset({"==", "!=", "<", "<=", ">", ">=", "<=>", "in"})
_OF_TWO_NUMBERS = frozenset({"/", "pow", "power"})
_OF_NUMBERS = frozenset({"abs", "ceil", "exp", "floor", "log", "log10", "negative", "round", "sqrt"}) | _OF_TWO_NUMBERS
_OF_TEXTS = frozenset({"lower", "ltrim", "rtrim", "trim", "upper"})
_SAME_INPUT = frozenset({"limit", "offset", "sample", "repartition"})


def kinds_of_schema(schema: Any) -> Kinds | None:
    """The columns of a table by its schema (`spark.connect.DataType`); None where two names differ by their case."""
    fields = schema.struct.fields
    kinds = {one.name: _kind(one.data_type) for one in fields}
    return kinds if len({name.lower() for name in kinds}) == len(fields) else None


def kinds_of_step(relation: Any, inputs: Mapping[int, Kinds | None]) -> Kinds | None:
    """The columns of a step; None where only Spark knows them, or whether it refuses the step.

    Args:
        relation: in which those that it reads have nothing but their plan ids.
        inputs: their columns, by plan id.
    """
    try:
        kinds = dict(_of_relation(relation, inputs))
    except UnknownColumnsError:
        return None
    return kinds if len({name.lower() for name in kinds}) == len(kinds) else None


def _of_relation(relation: Any, inputs: Mapping[int, Kinds | None]) -> Iterator[tuple[str, Kind]]:
    sort = relation.WhichOneof("rel_type")
    made = getattr(relation, sort or "common")
    if sort == "range":
        yield "id", "number"
        return
    if sort == "local_relation" and made.schema.startswith("{"):
        for one in json.loads(made.schema)["fields"]:
            yield one["name"], _kind_named(one["type"])
        return
    if sort not in (*_SAME_INPUT, *_STEPS) or (sort in ("limit", "offset") and getattr(made, sort) < 0):
        raise UnknownColumnsError(str(sort))
    number = made.input.common.plan_id
    before = inputs.get(number)
    if before is None or made.input.WhichOneof("rel_type") is not None:
        raise UnknownColumnsError(sort)
    if sort in _SAME_INPUT:
        yield from before.items()
    else:
        yield from _STEPS[sort](made, _Expressions(before, number))


class _Expressions:
    """Expressions over the columns of one table, by its plan id."""

    def __init__(self, columns: Kinds, number: int) -> None:
        self.columns, self._number = columns, number

    def kind(self, one: Any) -> Kind:
        """The kind of an expression's type. Raises UnknownColumnsError where Spark might refuse it."""
        match one.WhichOneof("expr_type"):
            case "unresolved_attribute":
                return self.columns[self.named(one.unresolved_attribute)]
            case "literal":
                return _OF_TYPES.get(str(one.literal.WhichOneof("literal_type")), "other")
            case "alias" if len(one.alias.name) == 1:
                return self.kind(one.alias.expr)
            case "sort_order":
                return self.kind(one.sort_order.child)
            case "cast" if one.cast.WhichOneof("cast_to_type") == "type":
                to = _kind(one.cast.type)
                if {self.kind(one.cast.expr), to} <= {"number", "text"}:
                    return to
            case "unresolved_function" if not one.unresolved_function.is_distinct:
                function = one.unresolved_function
                return _called(function.function_name.lower(), [self.kind(each) for each in function.arguments])
        raise UnknownColumnsError("an expression")

    def named(self, attribute: Any) -> str:
        """The column that an attribute names."""
        name = attribute.unparsed_identifier
        if name not in self.columns or (attribute.HasField("plan_id") and attribute.plan_id != self._number):
            raise UnknownColumnsError(name)
        return str(name)


def _called(name: str, given: Sequence[Kind]) -> Kind:
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
    raise UnknownColumnsError(name)


def _project(made: Any, of: _Expressions) -> Iterator[tuple[str, Kind]]:
    seen: set[str] = set()
    for one in made.expressions:
        kind = one.WhichOneof("expr_type")
        if kind == "unresolved_star" and not one.unresolved_star.unparsed_target:
            columns: Iterable[tuple[str, Kind]] = of.columns.items()
        elif kind == "unresolved_attribute":
            columns = [(of.named(one.unresolved_attribute), of.kind(one))]
        elif kind == "alias" and len(one.alias.name) == 1:
            columns = [(one.alias.name[0], of.kind(one))]
        else:
            raise UnknownColumnsError("a column without a name")
        for name, its_kind in columns:
            if name in seen:
                raise UnknownColumnsError(name)
            seen.add(name)
            yield name, its_kind


def _with_columns(made: Any, of: _Expressions) -> Iterator[tuple[str, Kind]]:
    new = {one.name[0]: of.kind(one.expr) for one in made.aliases if len(one.name) == 1}
    if len(new) != len(made.aliases):
        raise UnknownColumnsError("with_columns")
    return iter({**of.columns, **new}.items())


def _filter(made: Any, of: _Expressions) -> Iterator[tuple[str, Kind]]:
    if of.kind(made.condition) != "flag":
        raise UnknownColumnsError("filter")
    return iter(of.columns.items())


def _sort(made: Any, of: _Expressions) -> Iterator[tuple[str, Kind]]:
    if "other" in {of.kind(one.child) for one in made.order}:
        raise UnknownColumnsError("sort")
    return iter(of.columns.items())


def _drop(made: Any, of: _Expressions) -> Iterator[tuple[str, Kind]]:
    gone = {name.lower() for name in made.column_names}
    gone |= {of.named(one.unresolved_attribute).lower() for one in made.columns if one.HasField("unresolved_attribute")}
    if any(not one.HasField("unresolved_attribute") for one in made.columns):
        raise UnknownColumnsError("drop")
    return ((name, kind) for name, kind in of.columns.items() if name.lower() not in gone)


_STEPS: Mapping[str, Any] = {
    "project": _project, "with_columns": _with_columns, "filter": _filter, "sort": _sort, "drop": _drop,
}


def _kind_named(data_type: Any) -> Kind:
    """The kind of a type that is written as JSON."""
    name = data_type if isinstance(data_type, str) else ""
    return _OF_TYPES.get("decimal" if name.startswith("decimal(") else name, "other")


def _kind(data_type: Any) -> Kind:
    return _OF_TYPES.get(str(data_type.WhichOneof("kind")), "other")
