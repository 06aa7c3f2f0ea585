"""Spark ML vectors as they lie in parquet, unwrapped into lists of doubles. Pure.

A vector is stored as struct<type: tinyint, size: int, indices: array<int>, values: array<double>>, where type 0 is
sparse and 1 is dense (org.apache.spark.ml.linalg.VectorUDT).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from helix_spark.catalog.tables.spark_types import NeedsSparkError

if TYPE_CHECKING:
    import pyarrow as pa

MOST_VALUES = 2**31 - 1
"""Arrow's list offsets have 32 bits; and 16 GiB of mostly zeros are no use to anyone."""


def to_lists(vectors: pa.Array, *, most: int = MOST_VALUES) -> pa.Array:
    """Vectors (struct array of n) as list<double> of n; a null vector stays null.

    Raises:
        NeedsSparkError: the dense form would have more than `most` values.
        ValueError: a vector has values outside of it.

    >>> import pyarrow as pa
    >>> fields = [("type", pa.int8()), ("size", pa.int32()), ("indices", pa.list_(pa.int32())),
    ...           ("values", pa.list_(pa.float64()))]
    >>> to_lists(pa.array([{"type": 0, "size": 3, "indices": [1], "values": [5.0]}, None,
    ...                    {"type": 1, "size": None, "indices": None, "values": [1.0, 2.0]}],
    ...                   pa.struct(fields))).to_pylist()
    [[0.0, 5.0, 0.0], None, [1.0, 2.0]]
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    kind, size, indices, values = (pc.struct_field(vectors, each) for each in range(4))
    is_null = np.asarray(pc.is_null(vectors).to_numpy(zero_copy_only=False), dtype=bool)
    is_sparse = np.asarray(pc.fill_null(kind, 1).to_numpy(zero_copy_only=False)) == 0
    stored = np.asarray(pc.fill_null(pc.list_value_length(values), 0).to_numpy(zero_copy_only=False), dtype=np.int64)
    width = np.where(is_sparse, np.asarray(pc.fill_null(size, 0).to_numpy(zero_copy_only=False)), stored)
    offsets = np.concatenate(([0], np.cumsum(width, dtype=np.int64)))
    if (width < 0).any():
        raise ValueError("a vector has less than no values")
    if offsets[-1] > most:
        raise NeedsSparkError(f"its vectors have {offsets[-1]:,} values when written out, too many for a list column")
    # Position of each stored value: the start of its row, plus its index (sparse) or its rank in the row (dense).
    rank = np.arange(stored.sum()) - np.repeat(np.cumsum(stored) - stored, stored)
    within = np.where(np.repeat(is_sparse, stored), 0, rank)
    within[np.repeat(is_sparse, stored)] = np.asarray(pc.list_flatten(indices.filter(pa.array(is_sparse))))
    if ((within < 0) | (within >= np.repeat(width, stored))).any():
        raise ValueError("a vector has a value outside of it")
    dense = np.zeros(int(offsets[-1]))
    dense[np.repeat(offsets[:-1], stored) + within] = np.asarray(pc.list_flatten(values))
    return pa.ListArray.from_arrays(
        pa.array(offsets.astype(np.int32)),
        pa.array(dense),
        type=pa.list_(pa.field("element", pa.float64())),
        mask=pa.array(is_null),
    )
