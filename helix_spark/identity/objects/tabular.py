"""Canonical fields of numpy, pandas and pyarrow values, by content.

Only called for values that exist, so the library is imported already.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from helix_spark.identity.objects.unidentified import UnidentifiedError
from helix_spark.identity.parts import encode

if TYPE_CHECKING:
    from helix_spark.identity.objects.encoder import Encoder

_SEED = "pass a seed and make the generator inside the function"


def numpy_fields(encoder: Encoder, value: Any) -> Iterable[bytes | str] | None:
    """Return the fields of a numpy scalar, array, dtype or calendar; None for any other object of numpy.

    Raises:
        UnidentifiedError: a random generator.
    """
    import numpy as np

    if isinstance(value, np.dtype):
        return "numpy.dtype", _dtype(value)
    if isinstance(value, np.generic):
        if value.dtype.hasobject:
            return None
        return "numpy.scalar", _dtype(value.dtype), value.tobytes()
    if type(value) is np.ndarray:
        content = encoder(value.ravel().tolist()) if value.dtype.hasobject else value.tobytes()
        return "numpy.array", _dtype(value.dtype), str(value.shape), content
    if type(value) is np.ma.MaskedArray:
        filled = encoder(value.fill_value), str(value.hardmask)
        return "numpy.masked", encoder(value.data), encoder(np.ma.getmask(value)), *filled
    if isinstance(value, np.busdaycalendar):
        return "numpy.busdaycalendar", encoder(value.weekmask), encoder(value.holidays)
    if isinstance(value, np.random.Generator | np.random.RandomState | np.random.BitGenerator):
        raise UnidentifiedError(f"it is a {type(value).__name__}, whose state changes as it is used", _SEED)
    return None


def _dtype(dtype: Any) -> str:
    # `descr` says all there is of a structured type, `str` of the others, byte order and unit included.
    return repr(dtype.descr) if dtype.names else str(dtype.str)


def pandas_fields(encoder: Encoder, value: Any) -> Iterable[bytes | str] | None:
    """Return the fields of a pandas frame, series, index, array, scalar or dtype; None for any other object of
    pandas."""
    import pandas as pd
    from pandas.api.extensions import ExtensionArray, ExtensionDtype

    if isinstance(value, pd.DataFrame):
        columns = [encoder(value.iloc[:, position]) for position in range(value.shape[1])]
        return "pandas.DataFrame", encoder(value.columns), encoder(value.index), *columns, *_noted(encoder, value)
    if isinstance(value, pd.Series):
        own = encoder(value.name), encoder(value.index), encoder(value.array)
        return "pandas.Series", *own, *_noted(encoder, value)
    if isinstance(value, pd.RangeIndex):
        return "pandas.RangeIndex", encoder(value.name), f"{value.start} {value.stop} {value.step}"
    if isinstance(value, pd.MultiIndex):
        dtypes = (encoder(level.dtype) for level in value.levels)
        return "pandas.MultiIndex", encoder(list(value.names)), encoder(value.tolist()), *dtypes
    if isinstance(value, pd.DatetimeIndex | pd.TimedeltaIndex) and value.freq is not None:
        return "pandas.Index", encoder(value.name), encoder(value.array), encoder(value.freq, ".freq")
    if isinstance(value, pd.Index):
        return "pandas.Index", encoder(value.name), encoder(value.array)
    if isinstance(value, pd.Categorical):
        return "pandas.Categorical", encoder(value.categories), encoder(value.codes), str(value.ordered)
    if isinstance(value, ExtensionArray):
        plain = value.to_numpy()
        return "pandas.array", encoder(value.dtype), encoder(plain if plain.dtype != object else plain.tolist())
    if isinstance(value, ExtensionDtype):
        return "pandas.dtype", type(value).__qualname__, str(value), *_own_state(encoder, value)
    return _pandas_scalar(encoder, value)


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


def _pandas_scalar(encoder: Encoder, value: Any) -> Iterable[bytes | str] | None:
    import pandas as pd

    if value is pd.NaT or value is pd.NA:
        return "pandas.missing", type(value).__name__
    if isinstance(value, pd.Timestamp):
        return "pandas.Timestamp", f"{value.value} {value.unit} {value.fold}", encoder(value.tzinfo, ".tzinfo")
    if isinstance(value, pd.Timedelta):
        return "pandas.Timedelta", f"{value.value} {value.unit}"
    if isinstance(value, pd.Interval):
        return "pandas.Interval", value.closed, encoder(value.left), encoder(value.right)
    if isinstance(value, pd.Period):
        return "pandas.Period", value.freqstr, str(value.ordinal)
    if isinstance(value, pd.offsets.BaseOffset):
        return "pandas.offset", value.freqstr, str(value.normalize), encoder(value.kwds)  # type: ignore[attr-defined]  # the stubs lack it
    return None


def pyarrow_fields(encoder: Encoder, value: Any) -> Iterable[bytes | str] | None:
    """Return the fields of a pyarrow table, batch, array, scalar, schema, field or type; None for any other object of
    pyarrow."""
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
    """Return the table as one Arrow stream; the schema's metadata holds library versions and the like, and is left
    out."""
    import pyarrow as pa

    table = table.replace_schema_metadata(None).combine_chunks()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return encode(str(table.num_rows), sink.getvalue().to_pybytes())
