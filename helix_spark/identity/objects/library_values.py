"""Canonical fields of values of numpy, pandas and pyarrow, by content; and of Spark's types, rows and parameters of
stages, without a session. Each returns None for any other object of its library.

Only called for values that exist, so the library is imported already; classes of pyspark are known by name. Objects
that live in a session (a DataFrame, a Column) say nothing that would still be true in another process; they are errors
with a remedy.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from helix_spark.identity.objects.attributes import attributes
from helix_spark.identity.parts import UnidentifiedError, encode

if TYPE_CHECKING:
    from helix_spark.identity.objects.encoder import Encoder


def numpy_fields(encoder: Encoder, value: Any) -> Iterable[bytes | str] | None:
    """Return the fields of a scalar, array, dtype or calendar. Raises UnidentifiedError of a random generator."""
    import numpy as np

    if isinstance(value, np.dtype):
        return "numpy.dtype", _dtype(value)
    if isinstance(value, np.generic):
        return None if value.dtype.hasobject else ("numpy.scalar", _dtype(value.dtype), value.tobytes())
    if type(value) is np.ndarray:
        content = encoder(value.ravel().tolist()) if value.dtype.hasobject else value.tobytes()
        return "numpy.array", _dtype(value.dtype), str(value.shape), content
    if isinstance(value, np.busdaycalendar):
        return "numpy.busdaycalendar", encoder(value.weekmask), encoder(value.holidays)
    if isinstance(value, np.random.Generator | np.random.RandomState | np.random.BitGenerator):
        what = f"it is a {type(value).__name__}, whose state changes as it is used"
        raise UnidentifiedError(what, "pass a seed and make the generator inside the function")
    return None


def _dtype(dtype: Any) -> str:
    # `descr` says all there is of a structured type, `str` of the others, byte order and unit included.
    return repr(dtype.descr) if dtype.names else str(dtype.str)


def pandas_fields(encoder: Encoder, value: Any) -> Iterable[bytes | str] | None:
    """Return the fields of a frame, series, index, array, scalar or dtype."""
    import pandas as pd
    from pandas.api.extensions import ExtensionArray, ExtensionDtype

    if isinstance(value, pd.DataFrame):
        columns = [encoder(value.iloc[:, position]) for position in range(value.shape[1])]
        return "pandas.DataFrame", encoder(value.columns), encoder(value.index), *columns, *_noted(encoder, value)
    if isinstance(value, pd.Series):
        own = encoder(value.name), encoder(value.index), encoder(value.array)
        return "pandas.Series", *own, *_noted(encoder, value)
    if isinstance(value, pd.Index):
        if isinstance(value, pd.RangeIndex):
            held: object = (value.start, value.stop, value.step)
        elif isinstance(value, pd.MultiIndex):
            held = value.tolist(), [level.dtype for level in value.levels]
        else:
            held = value.array
        freq = encoder(getattr(value, "freq", None), ".freq")
        return "pandas.Index", type(value).__name__, encoder(list(value.names)), encoder(held), freq
    if isinstance(value, pd.Categorical):
        return "pandas.Categorical", encoder(value.categories), encoder(value.codes), str(value.ordered)
    if isinstance(value, ExtensionArray):
        plain = getattr(value, "asi8", None)  # of times, whose dtype has their unit and zone
        plain = value.to_numpy() if plain is None else plain
        return "pandas.array", encoder(value.dtype), encoder(plain if plain.dtype != object else plain.tolist())
    if isinstance(value, ExtensionDtype):
        return "pandas.dtype", type(value).__qualname__, str(value), *_own_state(encoder, value)
    if value is pd.NaT or value is pd.NA:
        return "pandas.missing", type(value).__name__
    if isinstance(value, pd.Timestamp | pd.Timedelta | pd.Interval | pd.Period):
        return encoder.reduced(value)
    if isinstance(value, pd.offsets.BaseOffset):
        return "pandas.offset", value.freqstr, str(value.normalize), encoder(value.kwds)  # type: ignore[attr-defined]  # the stubs lack it
    return None


def executor_fields(encoder: Encoder, value: Any) -> Iterable[bytes | str] | None:
    """Return the fields of a pool of `concurrent.futures`: how many workers it has at the most."""
    from concurrent.futures import Executor

    return ("executor", str(getattr(value, "_max_workers", ""))) if isinstance(value, Executor) else None


def _own_state(encoder: Encoder, value: Any) -> Iterator[bytes]:
    """Yield what tells a dtype from others of its class, as the class itself says: its name leaves out the categories
    and their order, how texts are stored, what stands for a missing one."""
    for name in value._metadata:
        held = getattr(value, name, None)
        # A time zone of pytz is an object of a class that was made for it; the name of the dtype has the zone's.
        if not type(held).__module__.startswith("pytz"):
            yield encoder(held, f".{name}")


def _noted(encoder: Encoder, value: Any) -> Iterator[bytes | str]:
    """Yield what the author noted on a frame or series, if anything: `attrs`, and what a class of the author's
    carries."""
    if value.attrs:
        yield encoder(value.attrs)
    for name in value._metadata:
        if name != "_name":  # a series' own, which is told already
            yield name
            yield encoder(getattr(value, name, None), f".{name}")


def pyarrow_fields(encoder: Encoder, value: Any) -> Iterable[bytes | str] | None:
    """Return the fields of a table, batch, array, scalar, schema, field or type."""
    import pyarrow as pa

    if isinstance(value, pa.Table | pa.RecordBatch):
        table = pa.Table.from_batches([value]) if isinstance(value, pa.RecordBatch) else value
        return "pyarrow.table", _stream(table)
    if isinstance(value, pa.Array | pa.ChunkedArray):
        return "pyarrow.array", _stream(pa.table({"": value}))
    if isinstance(value, pa.Scalar):
        return "pyarrow.scalar", _stream(pa.table({"": pa.array([value.as_py()], value.type)}))
    if isinstance(value, pa.Schema):
        return "pyarrow.schema", value.remove_metadata().serialize().to_pybytes()
    if isinstance(value, pa.Field):
        return "pyarrow.field", pa.schema([value]).serialize().to_pybytes()
    if isinstance(value, pa.DataType):
        return "pyarrow.type", pa.schema([pa.field("", value)]).serialize().to_pybytes()
    return None


def _stream(table: Any) -> bytes:
    import pyarrow as pa

    table = table.replace_schema_metadata(None).combine_chunks()  # metadata hold versions of libraries and the like
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return encode(str(table.num_rows), sink.getvalue().to_pybytes())


_REMEDIES = {
    **dict.fromkeys(("WindowSpec", "Window", "JavaObject", "JVMView", "JavaGateway"), "build it inside the function"),
    "Column": "build it inside the function, or pass SQL text",
    "DataFrame": "declare it as a source of the workflow and read that node",
    "RDD": "declare a source of the workflow and read that node",
    "GroupedData": "group inside the function",
    "Broadcast": "pass the plain value; broadcast it inside the function",
    "Accumulator": "count inside the result, not beside it",
    **dict.fromkeys(
        ("SparkSession", "SparkContext", "SQLContext"), "take it from the rows inside the function: rows.sparkSession"
    ),
    "Model": "declare it as a learner of the workflow and read that node",
}
"""What to do instead of keeping an object of a session, by class of pyspark or py4j."""

_OF_A_CLASS = "undefined"
"""The stage of a parameter that belongs to a class, before there is a stage."""

_STAGE_INTERNALS = frozenset({"uid", "_paramMap", "_defaultParamMap", "_params", "_java_obj", "_input_kwargs"})


def spark_classes(value: object) -> list[str]:
    """Return the names of Spark's classes that a value belongs to, its own first."""
    return [kind.__name__ for kind in type(value).__mro__ if kind.__module__.partition(".")[0] in ("pyspark", "py4j")]


def spark_fields(encoder: Encoder, value: Any) -> Iterable[bytes | str] | None:
    """Return the fields of a type, parameter or stage, or of one whose class extends such. Raises UnidentifiedError of
    what lives in a session."""
    classes = spark_classes(value)
    if remedy := next(filter(None, map(_REMEDIES.get, classes)), None):
        raise UnidentifiedError(f"it is a Spark {classes[0]}, which lives in one session", remedy)
    if "DataType" in classes:
        # One of an author's own is code, and its JSON has a pickle of it: such types are told by their attributes.
        return None if _has_own_type(value) else ("spark.type", value.json())
    if "Param" in classes:
        # Of which sort of stage, and of which one: its identifier ends in random letters.
        sort = str(value.parent).rpartition("_")[0]
        own = () if value.parent == _OF_A_CLASS else (encoder.stage(value.parent),)
        return "spark.param", sort, value.name, encoder(value.typeConverter, ".typeConverter"), *own
    return _stage(encoder, value) if "Params" in classes else None


def _has_own_type(value: Any) -> bool:
    """Return whether a type is or holds one whose class is not Spark's: a user-defined type."""
    if not type(value).__module__.startswith("pyspark."):
        return True
    inner = [getattr(value, name, None) for name in ("dataType", "elementType", "keyType", "valueType")]
    return any(one is not None and _has_own_type(one) for one in (*inner, *getattr(value, "fields", ())))


def _stage(encoder: Encoder, value: Any) -> Iterable[bytes | str]:
    """Return the fields of a stage: its class and the parameters set; the defaults come with the version of Spark or
    with its code."""
    settings = {param.name: setting for param, setting in value._paramMap.items()}
    if "SQLTransformer" in spark_classes(value) and isinstance(statement := settings.get("statement"), str):
        encoder.statements.append(statement)
    result: list[bytes | str] = ["spark.stage", encoder(type(value)), encoder.stage(value.uid)]
    for name, setting in sorted(settings.items()):
        result += [name, encoder(setting, f".{name}")]
    if not type(value).__module__.startswith("pyspark."):
        # Only those that are asked for: Spark names the default of an output column after the stage's identifier.
        defaults = {param.name: default for param, default in value._defaultParamMap.items()}
        result.append(encoder(sorted(item for item in defaults.items() if item[0] not in settings), " default"))
        for name, attribute in attributes(value):
            if name not in _STAGE_INTERNALS:
                result += [name, encoder(attribute, f".{name}")]
    return result
