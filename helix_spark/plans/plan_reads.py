"""External reads of a plan, apart from its inputs: tables, files, models, functions of a session."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

from helix_spark.plans.answer_fields import is_handle
from helix_spark.plans.plan_columns import INPUT, SERVED
from helix_spark.plans.plan_messages import Message, function_of, sql_of, type_of
from helix_spark.plans.sql_texts import asks_tables, called, is_generated, read_statement, spark_functions


def tables_named(message: Any) -> Sequence[str] | None:
    """Return tables and views that a message names, without arguments; None if it is no query or cannot be parsed."""
    kind = type_of(message)
    if kind in ("Read.NamedTable", "RelationChanges"):
        return (message.unparsed_identifier,)
    if kind == "Expression.ExpressionString" or (sql := sql_of(message)) is None:
        return ()
    statement = read_statement(sql)
    if not statement.asks:
        return None
    return sorted(name for name in statement.tables if not is_generated(name) and name.upper() != "__THIS__")


def view_name(name: str, *, is_global: bool = False) -> str:
    """Return the name of a table or a view by which it is looked up."""
    plain = name.replace("`", "").lower()
    return f"global_temp.{plain}" if is_global else plain


def functions_called(message: Message) -> Iterator[str]:
    """Yield functions that a message calls by name, in lower case, no operators; with a schema, also without it."""
    if (function := function_of(message)) is not None:
        if function.replace("_", "a").replace(".", "a").isalnum():
            yield from dict.fromkeys((function.lower(), function.lower().rpartition(".")[2]))
    elif (sql := sql_of(message)) is not None:
        yield from (name for name, _ in called(sql))


def tables_elsewhere(parts: Iterable[Message], views: Collection[str] = ()) -> Iterator[str]:
    """Yield the external reads of a plan's messages, as phrases that follow "reads". Rows in the plan are part of its
    identity, and so are `views`, by their names in lower case."""
    for part in parts:
        match type_of(part):
            case "Read.DataSource":
                yield next(iter(part.paths), "a source")
            case "CommonInlineUserDefinedDataSource":
                yield f"the source {part.name}"
            case "CachedRemoteRelation" if part.relation_id.startswith(SERVED) or is_handle(part.relation_id):
                continue
            case "CachedLocalRelation" | "ChunkedCachedLocalRelation" | "CachedRemoteRelation" | "Catalog":
                yield "an object of a session"
            case "MlRelation" if is_of_a_model(part):
                yield "a model"
            case "Expression.ExpressionString" if asks_tables(part.expression):
                yield "tables that its SQL names"
            case "google.protobuf.Any":
                yield f"an extension of Spark ({part.type_url})"
        if (names := tables_named(part)) is None:
            yield "tables that its SQL names"
        external = (name for name in names or () if not name.startswith(INPUT) and view_name(name) not in views)
        yield from (f"the table {name}" for name in external)


def functions_elsewhere(parts: Iterable[Message]) -> Iterator[str]:
    """Yield the functions in a plan that only its session knows, in lower case."""
    return (name for part in parts for name in functions_called(part) if name not in spark_functions())


def is_of_a_model(relation: Message) -> bool:
    """Return whether a relation reads from a fitted model, which the plan names by an id."""
    if type_of(relation) != "MlRelation" or is_handle(relation.transform.obj_ref.id):
        return False
    return not relation.HasField("transform") or bool(relation.transform.HasField("obj_ref"))
