"""What a plan rests on beside its inputs and what it says itself: tables, files, models, functions of a session."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from helix_spark.plans.answer_fields import is_handle
from helix_spark.plans.plan_columns import INPUT, SERVED
from helix_spark.plans.plan_messages import function_of, sort_of, sql_of
from helix_spark.plans.sql_texts import asks_tables, called, called_by_query, read_by_query, spark_functions

if TYPE_CHECKING:
    from google.protobuf.message import Message

_OPERATORS = frozenset({
    "!", "!=", "%", "&", "*", "+", "-", "/", "<", "<<", "<=", "<=>", "<>", "=", "==", ">", ">=", ">>", ">>>", "^",
    "and", "between", "in", "not", "or", "|", "||", "~",
})


def tables_elsewhere(parts: Iterable[Message], views: Collection[str] = ()) -> Iterator[str]:
    """Yield what a plan reads beside its inputs, as what follows "reads". Rows in the plan are part of it.

    Args:
        parts: all messages in it.
        views: names in lower case of those that are known by what they are.
    """
    own: list[tuple[Any, frozenset[str]]] = []
    for message in parts:
        one: Any = message
        match sort_of(message):
            case "Read.NamedTable":
                name = one.unparsed_identifier.replace("`", "").lower()
                if not name.startswith(INPUT) and name not in views:
                    yield f"the table {one.unparsed_identifier}"
            case "RelationChanges":
                yield f"the changes of {one.unparsed_identifier}"
            case "Read.DataSource":
                yield next(iter(one.paths), "a source")
            case "CommonInlineUserDefinedDataSource":
                yield f"the source {one.name}"
            case "WithRelations":
                names = frozenset(each.subquery_alias.alias.lower() for each in one.references)
                own.append((one.root.sql, names))
            case "SQL":
                given = next((names for sql, names in own if sql is one), frozenset())
                yield from read_by_query(one.query, given.union(views))
            case "CachedRemoteRelation" if one.relation_id.startswith(SERVED) or is_handle(one.relation_id):
                continue
            case "CachedLocalRelation" | "ChunkedCachedLocalRelation" | "CachedRemoteRelation" | "Catalog":
                yield "what a session holds"
            case "MlRelation":
                yield from _of_model(one)
            case "Expression.ExpressionString":
                if asks_tables(one.expression):
                    yield "tables that its SQL names"
            case "google.protobuf.Any":
                yield f"an extension of Spark ({one.type_url})"


def functions_elsewhere(parts: Iterable[Message]) -> Iterator[str]:
    """Yield the functions that a plan calls, and that only its session knows."""
    for message in parts:
        if (function := function_of(message)) is not None:
            yield from _of_session([function])
        elif (sql := sql_of(message)) is not None:
            is_query = sort_of(message) == "SQL"
            yield from _of_session(called_by_query(sql) if is_query else (name for name, _ in called(sql)))


def is_of_a_model(message: Message) -> bool:
    """Return whether rows are what a fitted model tells, which the plan names by an id."""
    relation: Any = message
    if sort_of(message) != "MlRelation" or is_handle(relation.transform.obj_ref.id):
        return False
    return not relation.HasField("transform") or bool(relation.transform.HasField("obj_ref"))


def _of_model(relation: Any) -> Iterator[str]:
    if is_of_a_model(relation):
        yield "a model"
    elif (statement := sql_of(relation.transform)) is not None:
        yield from read_by_query(statement, frozenset({"__this__"}))


def _of_session(names: Iterable[str]) -> Iterator[str]:
    return (name for name in names if not (name.lower() in spark_functions() or name in _OPERATORS))
