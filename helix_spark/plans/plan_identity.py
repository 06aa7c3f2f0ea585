"""The identity of a plan: the bytes of what it says, without what says nothing.

Plans are Spark Connect's messages (`spark.connect.Relation`, `spark.connect.Expression`). Two programs that build the
same plan, in whatever words, have the same identity. What is taken away or named anew: the places of calls in the
author's files, uids of stages, names of observations, names that pyspark counts up for variables of lambdas, ids of
relations that nothing refers to, and whether a column is named by itself (``F.col("a")``) or by its table (``rows.a``)
where Spark finds the same column, or none, by both.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from helix_spark.plans.own_columns import OwnColumns, called
from helix_spark.plans.plan_messages import parts_of, sort_of
from helix_spark.plans.sql_statements import is_generated

if TYPE_CHECKING:
    from google.protobuf.message import Message

_NOWHERE = -1
"""Stands for a relation that is not in the plan: Spark refuses such a plan."""


def identity_of(plan: Message, code: Mapping[bytes, str], own: int | None = None) -> str:
    """Return the identity of a plan, a relation or an expression, as hex SHA-256.

    Args:
        code: by what stands in the plan for a Python function, the identity of that function.
        own: the id of the only table that an expression is of; a column of it is named by itself.
    """
    made = canonical(plan, code, own)
    return hashlib.sha256(sort_of(made).encode() + b":" + made.SerializeToString(deterministic=True)).hexdigest()


def canonical(plan: Message, code: Mapping[bytes, str], own: int | None = None) -> Message:
    """Return a copy of a plan that is the same for all programs with its identity. See `identity_of`."""
    copy = type(plan)()
    copy.CopyFrom(plan)
    _Canonical(code, own).apply(copy)
    return copy


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a message is.

    Attributes:
        relation: that it is an expression of.
        beside: the columns that the relation makes, in their order, each with its names.
        position: of the column that it is in, among them.
        variables: of the lambdas around it, each with its new name.
        in_subquery: whether it is in a query that another one asks.
    """

    relation: Any = None
    beside: Sequence[Sequence[str]] = ()
    position: int = 0
    variables: Mapping[str, str] = field(default_factory=dict)
    in_subquery: bool = False


@dataclass(slots=True)
class _Canonical:
    """Makes one plan canonical, in place. Methods by message change it, and return what in it comes next; None for all.
    """

    code: Mapping[bytes, str]
    own: int | None
    relations: list[Any] = field(default_factory=list)
    expressions: list[Any] = field(default_factory=list)
    references: list[Any] = field(default_factory=list)
    columns_by_name: OwnColumns = field(default_factory=OwnColumns)

    def apply(self, plan: Any) -> None:
        waiting: list[tuple[Any, _Place]] = [(plan, _Place())]
        while waiting:
            message, place = waiting.pop()
            change = _CHANGED.get(sort_of(message))
            inside = None if change is None else change(self, message, place)
            waiting.extend(reversed([(one, place) for one in parts_of(message)] if inside is None else inside))
        self._number()
        for one in self.expressions:
            one.ClearField("common")

    def _number(self) -> None:
        """Number the relations that something refers to, in their order. One that occurs twice is one: in which of the
        two places Spark finds a column rests on how deep they are."""
        wanted = {one.plan_id for one in self.references}
        numbers: dict[int, int] = {}
        for relation in self.relations:
            if relation.common.plan_id in wanted:
                numbers.setdefault(relation.common.plan_id, len(numbers))
        for relation in self.relations:
            number = numbers.get(relation.common.plan_id)
            relation.ClearField("common")
            if number is not None:
                relation.common.plan_id = number
        for reference in self.references:
            reference.plan_id = numbers.get(reference.plan_id, _NOWHERE)

    def relation(self, relation: Any, place: _Place) -> list[tuple[Any, _Place]]:
        self.relations.append(relation)
        within = _Place(relation, in_subquery=place.in_subquery)
        return [(one, within) for one in parts_of(relation)]

    def with_relations(self, made: Any, place: _Place) -> list[tuple[Any, _Place]]:
        """Rename tables that SQL names by generated names. Other queries find columns of the relation around them."""
        for place_of_it, one in enumerate(made.references):
            if (alias := one.subquery_alias.alias) and is_generated(alias):
                one.subquery_alias.alias = f"table {place_of_it}"
                made.root.sql.query = re.sub(rf"\b{alias}\b", f"`table {place_of_it}`", made.root.sql.query)
        asked = replace(place, in_subquery=True)
        return [(made.root, place), *((one, asked) for one in made.references)]

    def columns(self, made: Any, place: _Place) -> list[tuple[Any, _Place]]:
        """Note the place of each column that a relation makes: it may name those before it."""
        columns, rest = _columns_of(made)
        beside = [called(one) for one in columns]
        placed = [(one, replace(place, beside=beside, position=at)) for at, one in enumerate(columns)]
        return [*((one, place) for one in rest), *placed]

    def expression(self, expression: Any, _: _Place) -> None:
        self.expressions.append(expression)

    def column(self, attribute: Any, place: _Place) -> None:
        """Name a column by itself where that is the same as by its table."""
        if not attribute.is_metadata_column:
            attribute.ClearField("is_metadata_column")
        if attribute.HasField("plan_id"):
            if attribute.plan_id == self.own or self._is_known_by_name(attribute, place):
                attribute.ClearField("plan_id")
            else:
                self.references.append(attribute)

    def _is_known_by_name(self, attribute: Any, place: _Place) -> bool:
        if place.in_subquery or place.relation is None or attribute.is_metadata_column:
            return False
        before = place.beside[:place.position]
        return self.columns_by_name.are_found_by_name(
            place.relation, attribute.plan_id, attribute.unparsed_identifier, before
        )

    def reference(self, reference: Any, _: _Place) -> None:
        if reference.HasField("plan_id"):
            self.references.append(reference)

    def query(self, query: Any, _: _Place) -> None:
        self.references.append(query)

    def function_of_variables(self, function: Any, place: _Place) -> list[tuple[Any, _Place]]:
        """Rename the variables of a lambda: pyspark counts them up through the process."""
        names = dict(place.variables)
        for argument in function.arguments:
            for name in argument.name_parts:
                names[name] = f"v{len(names)}"
        within = replace(place, variables=names)
        return [(one, within) for one in parts_of(function)]

    def variable(self, variable: Any, place: _Place) -> None:
        names = [place.variables.get(name, name) for name in variable.name_parts]
        del variable.name_parts[:]
        variable.name_parts.extend(names)

    def python(self, function: Any, _: _Place) -> None:
        """Replace Python code by its identity: its pickle is another one each time."""
        function.command = self.code[function.command].encode()

    def stage(self, transform: Any, _: _Place) -> None:
        """Remove the uid of a stage, which is drawn, unless it names the stage's column."""
        # What was fitted is a reference: to touch its uid, which it has not, would put an empty stage in its place.
        if transform.HasField("transformer") and not rests_on_uid(transform):
            transform.transformer.ClearField("uid")

    def observation(self, made: Any, _: _Place) -> None:
        """Remove the name of an observation: it changes no rows, and pyspark draws a name where there is none."""
        made.ClearField("name")


def _columns_of(made: Any) -> tuple[list[Any], list[Any]]:
    """Return the columns that a relation makes, and what else is in it."""
    match made.DESCRIPTOR.name:
        case "Project":
            return list(made.expressions), [made.input]
        case "WithColumns":
            return list(made.aliases), [made.input]
    pivot = [made.pivot] if made.HasField("pivot") else []
    return [*made.grouping_expressions, *made.aggregate_expressions], [made.input, *pivot, *made.grouping_sets]


def rests_on_uid(transform: Any) -> bool:
    """Return whether a stage (`spark.connect.MlRelation.Transform`) names its column by its uid, which is drawn."""
    if not transform.HasField("transformer") or {"outputCol", "outputCols"} & set(transform.params.params):
        return False
    return transform.transformer.name.rpartition(".")[2] not in _ADD_NO_COLUMN


_ADD_NO_COLUMN = frozenset({"SQLTransformer", "VectorSizeHint"})


_CHANGED = {
    "Relation": _Canonical.relation,
    "WithRelations": _Canonical.with_relations,
    "Project": _Canonical.columns,
    "WithColumns": _Canonical.columns,
    "Aggregate": _Canonical.columns,
    "CollectMetrics": _Canonical.observation,
    "Expression": _Canonical.expression,
    "Expression.UnresolvedAttribute": _Canonical.column,
    "Expression.UnresolvedStar": _Canonical.reference,
    "Expression.UnresolvedRegex": _Canonical.reference,
    "Expression.LambdaFunction": _Canonical.function_of_variables,
    "Expression.UnresolvedNamedLambdaVariable": _Canonical.variable,
    "SubqueryExpression": _Canonical.query,
    "PythonUDF": _Canonical.python,
    "PythonUDTF": _Canonical.python,
    "PythonDataSource": _Canonical.python,
    "MlRelation.Transform": _Canonical.stage,
}
