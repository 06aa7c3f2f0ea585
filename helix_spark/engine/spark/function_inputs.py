"""Serves calls of functions by the engine's session: tables and pickled functions replace placeholders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from helix_spark.answers.function_calls import FunctionCall
from helix_spark.answers.served_session import Server
from helix_spark.engine.spark.driver_client import driver_client
from helix_spark.hermetic.task import Purpose, purpose, written_for
from helix_spark.plans.connect_session import frame_of, kept_by_server
from helix_spark.plans.plan_columns import INPUT
from helix_spark.plans.plan_messages import messages, sort_of
from helix_spark.plans.program_client import service_behind
from helix_spark.plans.recorded_call import UDF
from helix_spark.plans.replaced_in_pyspark import pickled

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


@dataclass(slots=True)
class ServingSession(Server):
    """A session of the engine's as the server of a call. What stays in memory of a workflow are its nodes' rows.

    Attributes:
        inputs: relations of `frames` by placeholder: the server knows a table as long as this process refers to it.
        values: what stands in plans for Python functions, by place: a function and what it returns, or the class of a
            table function. They are written for what is `meant`.
    """

    spark: Any
    inputs: Mapping[str, Any]
    frames: Mapping[int, Any] = field(default_factory=dict)
    values: list[Any] = field(default_factory=list)
    meant: Purpose = field(default_factory=purpose)

    @property
    def session_id(self) -> str:
        """By which pyspark tells whether two tables are of one session."""
        return str(self.spark.session_id)

    def stub(self) -> ServingSession:
        return self

    def drop(self) -> None:
        """No-op: it never ends by itself."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        call = getattr(service_behind(self.spark), name)
        return lambda request, metadata=None: call(self._as_of_session(request))

    def _as_of_session(self, request: Any) -> Any:
        """Return a request as one of the session's, with all that takes the places of names."""
        like = self.spark.client._execute_plan_request_with_metadata()
        copy = type(request)()
        copy.CopyFrom(request)
        copy.session_id = like.session_id
        copy.user_context.CopyFrom(like.user_context)
        if hasattr(copy, "plan"):
            copy.tags.extend(like.tags)
            self.fill(copy.plan)
        elif type(copy).__name__ == "AnalyzePlanRequest":
            self.fill(copy)
        return copy

    def fill(self, what: Any, columns: Mapping[str, str] | None = None) -> None:
        """Put tables and pickles into the places of their names, in a message. `columns` are, by placeholder as it is
        written in an expression, those that take its place."""
        for one in messages(what):
            match sort_of(one):
                case "Relation" if one.read.named_table.unparsed_identifier.startswith(INPUT):
                    number = one.common.plan_id
                    one.CopyFrom(self.inputs[one.read.named_table.unparsed_identifier])
                    one.common.plan_id = number
                case "PythonUDF" | "PythonUDTF" if one.command.startswith(UDF.encode()):
                    with written_for(self.meant):
                        one.command = pickled(self.values[int(one.command.removeprefix(UDF.encode()))])
                case "Expression.UnresolvedAttribute" if columns and one.unparsed_identifier in columns:
                    one.unparsed_identifier = columns[one.unparsed_identifier]

    def table(self, call: FunctionCall, relation: Any) -> DataFrame:
        """Return the table of a relation that a call built. Its names may mean something else later: a server elsewhere
        keeps what they mean now, and in this process's JVM it is to be settled."""
        relation = call.as_sent(relation)
        self.fill(relation)
        found: Any = frame_of(self.spark, relation)
        is_kept = call.registers and driver_client(self.spark) is None
        return kept_by_server(found) if is_kept else found


def serving(spark: Any, frames: Mapping[int, Any]) -> ServingSession:
    """Return a session as the server of the call of a function with these input tables, by position."""
    if driver_client(spark) is not None:
        # They are relations that the service knows, where it notes by which id columns name one: one may be two inputs.
        frames = {place: frame.where("true") for place, frame in frames.items()}
    relations = {f"{INPUT}{at}": frame._plan.plan(spark.client) for at, frame in frames.items()}
    return ServingSession(spark, relations, frames)
