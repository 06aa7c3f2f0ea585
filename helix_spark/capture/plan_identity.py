"""The identity of a plan: the bytes of what it says, without what says nothing.

Plans are Spark Connect's messages (`spark.connect.Relation`, `spark.connect.Expression`). Two programs that build the
same plan, in whatever words, have the same identity. What is taken away or named anew: ids of plans and the places of
calls in the author's files, uids of stages, names that pyspark draws for variables of lambdas, and whether a column of
the only input is named by itself (``F.col("a")``) or by its table (``rows.a``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from google.protobuf.message import Message

_PREFIX = "spark.connect."
_PASSES_COLUMNS_ON = frozenset({
    "filter", "sort", "limit", "offset", "tail", "repartition", "repartition_by_expression", "hint", "sample",
    "deduplicate", "with_watermark", "drop_na", "collect_metrics",
})
"""Relations with one input that have its columns, each under its name and with its values."""


def identity_of(plan: Message, code: Mapping[bytes, str], own: int | None = None) -> str:
    """The identity of a plan, as hex SHA-256.

    Args:
        plan: a relation or an expression; it is left as it is.
        code: by what stands in the plan for a Python function, the identity of that function.
        own: the id of the only table that an expression is of; a column of it is named by itself.
    """
    copy = type(plan)()
    copy.CopyFrom(plan)
    _Canonical(code, _numbered(plan), own).apply(copy)
    return hashlib.sha256(copy.SerializeToString(deterministic=True)).hexdigest()


def messages(message: Message) -> Iterator[Message]:
    """A message and all that are in it, from the top down, in the order of their fields."""
    waiting = [message]
    while waiting:  # no recursion: a loop of the author's makes plans hundreds of relations deep
        one = waiting.pop()
        yield one
        waiting.extend(reversed(list(_inside(one))))


def sort_of(message: Message) -> str:
    """The name of a message's type, without its package."""
    name: str = message.DESCRIPTOR.full_name
    return name.removeprefix(_PREFIX)


def _inside(message: Message) -> Iterator[Any]:
    for descriptor, value in message.ListFields():
        if descriptor.message_type is None:
            continue
        if descriptor.message_type.GetOptions().map_entry:
            if descriptor.message_type.fields_by_name["value"].message_type is not None:
                yield from (value[key] for key in sorted(value))
        elif descriptor.is_repeated:
            yield from value
        else:
            yield value


def _numbered(plan: Message) -> dict[int, int]:
    """Plan ids by the order in which relations come."""
    numbers: dict[int, int] = {}
    for message in messages(plan):
        if sort_of(message) == "Relation" and message.common.HasField("plan_id"):
            numbers.setdefault(message.common.plan_id, len(numbers))
    return numbers


@dataclass(slots=True)
class _Canonical:
    """Makes one plan canonical, in place.

    Attributes:
        variables: the names of lambdas' variables by the order in which they come.
    """

    code: Mapping[bytes, str]
    numbers: Mapping[int, int]
    own: int | None
    variables: dict[str, str] = field(default_factory=dict)

    def apply(self, plan: Any) -> None:
        """Makes a plan canonical."""
        with_common = []
        waiting: list[tuple[Any, Any]] = [(plan, None)]  # messages, and the relations that they are expressions of
        while waiting:
            message, around = waiting.pop()
            sort = sort_of(message)
            if sort in _CHANGED:
                _CHANGED[sort](self, message, around)
            if sort in ("Relation", "Expression"):
                with_common.append(message)
            inner = message if sort == "Relation" else around
            waiting.extend((one, inner) for one in reversed(list(_inside(message))))
        for message in with_common:  # last, for columns look for the ids of relations
            message.ClearField("common")

    def column(self, attribute: Any, around: Any) -> None:
        """A column that is named by its table: by itself, where that is the same."""
        if not attribute.is_metadata_column:
            attribute.ClearField("is_metadata_column")
        if not attribute.HasField("plan_id"):
            return
        if attribute.plan_id == self.own or self._reaches(around, attribute.plan_id, attribute.unparsed_identifier):
            attribute.ClearField("plan_id")
        else:
            self.numbered(attribute, around)

    def numbered(self, reference: Any, _: Any) -> None:
        """A reference to another relation of the plan."""
        if reference.HasField("plan_id"):
            reference.plan_id = self.numbers.get(reference.plan_id, -1)

    def star(self, star: Any, around: Any) -> None:
        """All columns of a table: of the only input, all that there are."""
        child = _only_input(around)
        if star.HasField("plan_id") and (
            star.plan_id == self.own or (child is not None and child.common.plan_id == star.plan_id)
        ):
            star.ClearField("plan_id")
        self.numbered(star, around)

    def variable(self, variable: Any, _: Any) -> None:
        """A variable of a lambda: pyspark counts its names up through the process."""
        names = [self.variables.setdefault(name, f"v{len(self.variables)}") for name in variable.name_parts]
        del variable.name_parts[:]
        variable.name_parts.extend(names)

    def python(self, function: Any, _: Any) -> None:
        """Python code, by its identity; its pickle is another one each time."""
        function.command = self.code[function.command].encode()

    def stage(self, operator: Any, _: Any) -> None:
        """A stage of Spark ML. Its uid is drawn; a name that rests on it stays, and makes the plan another one."""
        operator.ClearField("uid")

    def _reaches(self, around: Any, plan_id: int, name: str) -> bool:
        """Whether a column by this name of a relation's only input is that of another relation further down."""
        relation = _only_input(around)
        while relation is not None:
            if relation.common.plan_id == plan_id:
                return True
            if not _passes_on(relation, name):
                return False
            relation = _only_input(relation)
        return False


_CHANGED = {
    "Expression.UnresolvedAttribute": _Canonical.column,
    "Expression.UnresolvedStar": _Canonical.star,
    "Expression.UnresolvedRegex": _Canonical.numbered,
    "Expression.UnresolvedNamedLambdaVariable": _Canonical.variable,
    "SubqueryExpression": _Canonical.numbered,
    "PythonUDF": _Canonical.python,
    "PythonUDTF": _Canonical.python,
    "PythonDataSource": _Canonical.python,
    "MlOperator": _Canonical.stage,
}


def _only_input(relation: Any) -> Any:
    """The input of a relation that has one, and no other relation in it; else None."""
    if relation is None:
        return None
    made = getattr(relation, relation.WhichOneof("rel_type") or "unknown")
    if "input" not in made.DESCRIPTOR.fields_by_name or not made.HasField("input"):
        return None
    return made.input


def _passes_on(relation: Any, name: str) -> bool:
    """Whether a relation has a column of its input under the same name, with the same values."""
    sort = relation.WhichOneof("rel_type")
    if sort == "with_columns":  # whoever writes another case, or quotes, may mean the same column
        made = [part.lower() for alias in relation.with_columns.aliases for part in alias.name]
        return not any(one in name.lower() for one in made)
    return sort in _PASSES_COLUMNS_ON
