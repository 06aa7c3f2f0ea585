"""Settles tables when the author's code is given them, which is when a classic session analyses them; and takes plans
apart into their steps, each written once. All of pyspark that is private and needed for that is here."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable, Container, Iterator
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import TYPE_CHECKING, Any

from helix_spark.plans.recorded_call import script, settling
from helix_spark.plans.written_plan import StepWriter

if TYPE_CHECKING:
    from pyspark.sql.connect.proto import Relation

_HELIX = str(Path(__file__).parents[1])

PASSING_ON: set[CodeType] = set()
"""Code in place of methods of pyspark's that only watches a call and passes it on."""


def settle_frames() -> None:
    """Settle each table that pyspark's methods return to other code than pyspark's. A program does it, or the client of
    a session in this process's own JVM."""
    import pyspark
    from pyspark.ml.base import Transformer
    from pyspark.sql.connect import dataframe, group, readwriter, session, tvf, udtf

    inner = (str(Path(pyspark.__file__).parent), _HELIX)
    for kind in (
        dataframe.DataFrame, dataframe.DataFrameNaFunctions, dataframe.DataFrameStatFunctions, group.GroupedData,
        group.PandasCogroupedOps, readwriter.DataFrameReader, session.SparkSession, tvf.TableValuedFunction,
    ):
        for name, call in list(vars(kind).items()):
            if isinstance(call, FunctionType) and not name.startswith("_") and name not in _GIVE_NONE:
                setattr(kind, name, _settling(call, inner))
    others: tuple[tuple[Any, str], ...] = (Transformer, "transform"), (udtf.UserDefinedTableFunction, "__call__")
    for other, name in others:
        setattr(other, name, _settling(vars(other)[name], inner))
    _check_columns(inner)


_GIVE_NONE = frozenset({"stop", "show", "collect", "explain", "printSchema"})


def _settling(call: Callable[..., Any], inner: tuple[str, ...]) -> Callable[..., Any]:
    @functools.wraps(call)
    def settle(*given: Any, **named: Any) -> Any:
        made = call(*given, **named)
        settles = settling()
        if settles is None or _caller_file().startswith(inner):
            return made
        for one in made if isinstance(made, list) else (made,):
            if type(one).__module__ == "pyspark.sql.connect.dataframe" and hasattr(one, "_plan"):
                settles.settle(one)
        return made

    return settle


def _caller_file() -> str:
    """Return the file of the code that calls the function which asks this."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and frame.f_code in PASSING_ON:
        frame = frame.f_back
    return "" if frame is None else frame.f_code.co_filename


def _check_columns(inner: tuple[str, ...]) -> None:
    """Refuse ``rows["a"]`` where there is no such column, as a classic session does."""
    from pyspark.sql.connect.dataframe import DataFrame

    item = DataFrame.__getitem__

    def get_item(self: Any, key: Any) -> Any:
        program = script() if isinstance(key, str) and key != "*" else None
        if program is not None and not _caller_file().startswith(inner):
            columns = program.columns(self)
            if columns is not None and key not in columns:
                program.settle(self.select(key))  # Spark knows what else names a column
        return item(self, key)

    DataFrame.__getitem__ = get_item  # type: ignore[method-assign]  # replaced on purpose


def steps_of(frame: Any, known: Container[int]) -> Iterator[tuple[Any, Relation]]:
    """Yield the steps of a table's plan, inputs first: each step of pyspark's, with its relation, in which those that
    it reads have nothing but their plan ids. Known ones are left out by their ids, with all that they read."""
    writer = StepWriter(frame._session.client, frame._plan)
    waiting, done = [frame._plan._plan_id], set[int]()
    while waiting:
        number = waiting[-1]
        below = [one for one in writer.read_by(number) if one not in known and one not in done]
        if below:
            waiting.extend(below)
            continue
        waiting.pop()
        if number not in known and number not in done:
            done.add(number)
            yield writer.step(number), writer.written(number)


def schema_request(frame: Any) -> Any:
    client = frame._session.client
    request = client._analyze_plan_request_with_metadata()
    request.schema.plan.root.CopyFrom(frame._plan.plan(client))
    return request


def note_schema(frame: Any, schema: Any) -> None:
    """Give a table its schema (`spark.connect.DataType`), so that no server is asked for it."""
    from pyspark.sql.connect.types import proto_schema_to_pyspark_data_type

    frame._cached_schema, frame._cached_schema_serialized = proto_schema_to_pyspark_data_type(schema), None


def raise_refusal(frame: Any, error: Exception) -> None:
    """Raise what pyspark's client makes of a server's error."""
    frame._session.client._handle_error(error)


def refusal_text(details: Any) -> str:
    """Write down as JSON what a server says of an error (`spark.connect.FetchErrorDetailsResponse`)."""
    root = details.errors[details.root_error_idx]
    thrown = root.spark_throwable
    return json.dumps({
        "classes": list(root.error_type_hierarchy), "message": root.message, "condition": thrown.error_class,
        "state": thrown.sql_state, "parameters": dict(thrown.message_parameters),
    })


def error_of(text: str) -> Exception:
    """Return the error that pyspark raises for a refusal. Raises ValueError for a text that is none."""
    import pyspark.sql.connect.proto as pb
    from google.rpc.error_details_pb2 import ErrorInfo  # type: ignore[import-untyped]  # it has no types
    from pyspark.errors.exceptions.connect import convert_exception

    said = json.loads(text)
    thrown = pb.FetchErrorDetailsResponse.SparkThrowable(
        error_class=said["condition"], sql_state=said["state"], message_parameters=said["parameters"]
    )
    root = pb.FetchErrorDetailsResponse.Error(
        error_type_hierarchy=said["classes"], message=said["message"], spark_throwable=thrown
    )
    info = ErrorInfo(reason=said["classes"][0], metadata={
        "classes": json.dumps(said["classes"]), "errorClass": said["condition"], "sqlState": said["state"],
    })
    return convert_exception(info, said["message"], pb.FetchErrorDetailsResponse(root_error_idx=0, errors=[root]))


def is_refusal(error: BaseException) -> bool:
    """True if Spark refused a plan when it analysed it, which it does each time."""
    from pyspark.errors import AnalysisException

    return isinstance(error, AnalysisException)  # errors of the parser are, too
