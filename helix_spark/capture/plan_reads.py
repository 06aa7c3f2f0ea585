"""What a plan rests on beside its inputs and what it says itself: tables, files, models, functions of a session."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from helix_spark.capture.captured_sql import read_by_query
from helix_spark.capture.named_functions import is_key
from helix_spark.capture.plan_columns import INPUT
from helix_spark.capture.plan_messages import sort_of
from helix_spark.capture.sql_words import asks_tables, called, spark_functions, tables_beside, tokens

if TYPE_CHECKING:
    from google.protobuf.message import Message

_OPERATORS = frozenset({
    "!", "!=", "%", "&", "*", "+", "-", "/", "<", "<<", "<=", "<=>", "<>", "=", "==", ">", ">=", ">>", ">>>", "^",
    "and", "between", "in", "not", "or", "|", "||", "~",
})


def reads_elsewhere(parts: Iterable[Message]) -> Iterator[str]:
    """What a plan reads beside its inputs, as what follows "reads". Rows that are in the plan are part of it.

    Args:
        parts: all messages in it.
    """
    own: list[tuple[Any, frozenset[str]]] = []
    for message in parts:
        one: Any = message
        match sort_of(message):
            case "Read.NamedTable":
                if not one.unparsed_identifier.startswith(INPUT):
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
                yield from read_by_query(one.query, next((names for sql, names in own if sql is one), frozenset()))
            case "CachedLocalRelation" | "ChunkedCachedLocalRelation" | "CachedRemoteRelation" | "Catalog":
                yield "what a session holds"
            case "MlRelation":
                yield from _of_model(one)
            case "Expression.UnresolvedFunction" | "CallFunction" | "UnresolvedTableValuedFunction":
                yield from _of_session([one.function_name])
            case "Expression.ExpressionString":
                yield from _of_text(one.expression)
            case "google.protobuf.Any":
                yield f"an extension of Spark ({one.type_url})"


def _of_model(relation: Any) -> Iterator[str]:
    if not relation.HasField("transform") or relation.transform.HasField("obj_ref"):
        yield "a model"
    elif "statement" in relation.transform.params.params:
        statement = tokens(relation.transform.params.params["statement"].string)
        yield from (f"the table {name}" for name in tables_beside(statement, "__this__"))
        yield from _of_session(name for name, _ in called(statement))


def _of_text(text: str) -> Iterator[str]:
    given = tokens(text)
    if asks_tables(given):
        yield "tables that its SQL names"
    yield from _of_session(name for name, _ in called(given))


def _of_session(names: Iterable[str]) -> Iterator[str]:
    for name in names:
        if name.lower() not in spark_functions() and name not in _OPERATORS and not is_key(name):
            yield f"the function {name} of its session"
