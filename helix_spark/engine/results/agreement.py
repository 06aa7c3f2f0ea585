"""Comparison of results: by digests; or with a tolerance for sums in another order, and tables in any order."""

from __future__ import annotations

import hashlib
import io
import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from helix_spark.engine.results.fitted_cards import learned, parts_of
from helix_spark.engine.results.node_results import ModelResult, NodeResult, TableResult, ValueResult
from helix_spark.identity.parts import digest
from helix_spark.plans.nondeterminism import DRAW_BY_PARTITION
from helix_spark.visible_text import named

if TYPE_CHECKING:
    import pyarrow as pa

CLOSE = 1e-9
"""Relative difference of sums of the same numbers in other orders."""

LEARNED = 1e-6
"""Relative difference of models that were fitted with such sums."""

_FACTS = (
    "coefficientMatrix", "interceptVector", "coefficients", "intercept", "scale", "labelsArray", "vocabulary", "idf",
    "docFreq", "mean", "std", "maxAbs", "originalMin", "originalMax", "surrogateDF", "categorySizes", "pi", "theta",
    "sigma", "pc", "clusterCenters", "featureImportances", "numFeatures", "treeWeights", "selectedFeatures",
    "boundaries", "predictions", "weights", "userFactors", "itemFactors", "getVectors", "toDebugString",
)
"""Properties and methods by which Spark ML models report what they have learnt."""


class NotComparedError(Exception):
    """Two results cannot be compared; the message has the reason."""


def difference(one: NodeResult, other: NodeResult, *, exact: bool = False) -> str | None:
    """Return how two results differ, in words; None if they are the same, if `exact` to the last bit of their floats.
    Raises NotComparedError if they cannot be compared.

    >>> difference(ValueResult({"a": 0.1 + 0.2}), ValueResult({"a": 0.3}))
    >>> difference(ValueResult({"a": 0.1 + 0.2}), ValueResult({"a": 0.3}), exact=True)
    'a: 0.30000000000000004 and 0.3'
    """
    match one, other:
        case ValueResult(value=first), ValueResult(value=second):
            return _values_differ(first, second, 0.0 if exact else CLOSE)
        case TableResult(), TableResult():
            return _tables_differ(one.arrow(), other.arrow(), 0.0 if exact else CLOSE)
        case ModelResult(model=first), ModelResult(model=second):
            return _models_differ(first, second, 0.0 if exact else LEARNED)
    return "they are of two kinds"


def content_here(result: NodeResult) -> str | None:
    """Return the digest of a value, or of a table whose rows were computed in this process; None for other results.

    Early cut-off rests on it: two results with one digest are the same to all their readers. The order of rows, of
    columns and of keys counts, and floats count bit by bit.

    >>> content_here(ValueResult([1, 2])) == content_here(ValueResult([1, 2]))
    True
    >>> len({content_here(ValueResult(value)) for value in (0.0, -0.0, 0, False, "0", None, [0], {"0": 0})})
    8
    """
    match result:
        case ValueResult(value=value):
            return digest("value", json.dumps(value))
        case TableResult(collected=True, loaded=False, through_frame=False):
            rows_hash = _hash_of_rows(result.arrow())
            return None if rows_hash is None else digest("rows", rows_hash)
    return None


def _hash_of_rows(table: pa.Table) -> bytes | None:
    """Hash the schema, its metadata and all buffers, as one chunk; None for a type that Arrow does not write."""
    import pyarrow as pa

    hashed = _Hashed()
    try:
        with pa.PythonFile(hashed, mode="w") as sink, pa.ipc.new_stream(sink, table.schema) as stream:
            stream.write_table(table.combine_chunks())
    except pa.ArrowException:
        return None
    return hashed.sum.digest()


class _Hashed(io.RawIOBase):
    """A file that only hashes the written bytes."""

    def __init__(self) -> None:
        self.sum, self._at = hashlib.sha256(), 0

    def writable(self) -> bool:
        return True

    def write(self, data: bytes | pa.Buffer) -> int:
        self.sum.update(data)
        self._at += len(data)
        return len(data)

    def tell(self) -> int:
        return self._at


def _values_differ(one: Any, other: Any, close: float) -> str | None:
    if isinstance(one, float) and isinstance(other, float):
        same = math.isclose(one, other, rel_tol=close, abs_tol=close**2) or (one != one and other != other)
        return None if same else f"{one!r} and {other!r}"
    if type(one) is not type(other):
        return f"{one!r} and {other!r}"
    if isinstance(one, Mapping):
        if list(one) != list(other):
            return "their keys"
        return _first((key, _values_differ(one[key], other[key], close)) for key in one)
    if isinstance(one, list):
        if len(one) != len(other):
            return f"{len(one)} and {len(other)} elements"
        return _first(((n, _values_differ(*pair, close)) for n, pair in enumerate(zip(one, other, strict=True))))
    return None if one == other else f"{one!r} and {other!r}"


def _first(differences: Iterable[tuple[Any, str | None]]) -> str | None:
    return next((f"{at}: {how}" for at, how in differences if how is not None), None)


def _tables_differ(one: pa.Table, other: pa.Table, close: float) -> str | None:
    if (names := one.column_names) != other.column_names:
        extra = sorted({*names} ^ {*other.column_names})
        return f"only one of them has {named(extra, 3)}" if extra else "the order of their columns"
    if len(one) != len(other):
        return f"{len(one):,} and {len(other):,} rows"
    hashes = {_hash_of_rows(table.replace_schema_metadata(None)) for table in (one, other)}
    if len(hashes) == 1 and None not in hashes:
        return None
    if len(one) * len(names) > 2_000_000:  # these would take too much of the driver's memory
        raise NotComparedError(f"it has {len(one):,} rows of {len(names)} columns, more than are compared")
    left, right = (
        sorted(map(list, zip(*(column.to_pylist() for column in table.columns), strict=True)), key=_rounded)
        for table in (one, other)
    )
    apart = [pair for pair in zip(left, right, strict=True) if _values_differ(*pair, close) is not None]
    return f"{len(apart):,} of {len(one):,} rows, such as {apart[0][0]} and {apart[0][1]}" if apart else None


def _rounded(value: Any) -> str:
    """Return a sort key of rows, with seven digits of a float. Close floats that differ in them sort apart."""
    if isinstance(value, float):
        return f"{value + 0.0:.6e}"
    if isinstance(value, list | tuple):
        return ",".join(map(_rounded, value))
    if isinstance(value, Mapping):
        return ",".join(f"{key}:{_rounded(item)}" for key, item in value.items())
    return repr(value)


def _models_differ(one: Any, other: Any, close: float) -> str | None:
    """Compare models by their parameters and by what they report."""
    from pyspark.ml import Model

    if type(one) is not type(other):
        return f"a {type(one).__name__} and a {type(other).__name__}"
    mine, theirs = parts_of(one), parts_of(other)
    if len(mine) != len(theirs):
        return f"they have {len(mine)} and {len(theirs)} parts"
    for first, second in zip(mine, theirs, strict=True):
        if (how := _models_differ(first, second, close)) is not None:
            return how
    first, second = (learned(model, _FACTS) for model in (one, other))
    if not first and isinstance(one, Model) and not mine:
        raise NotComparedError(f"a {type(one).__name__} does not report what it has learnt")
    if (how := _values_differ(_parameters(one), _parameters(other), 0.0)) is not None:
        return how
    how = _values_differ(first, second, close)
    if how is None or not close or not any(word in type(one).__name__ for word in DRAW_BY_PARTITION):
        return how
    if apart := _words(first) ^ _words(second):
        return f"only one of them has {named(sorted(apart), 3)}"
    raise NotComparedError(f"a {type(one).__name__} samples its rows by partition, and {how}")


def drawn_by_partition(model: Any) -> str:
    """Return the class of a model, or of a part of it, that samples rows by partition; empty if there is none."""
    kind = type(model).__name__
    if any(word in kind for word in DRAW_BY_PARTITION):
        return kind
    return next(filter(None, map(drawn_by_partition, parts_of(model))), "")


def _words(value: Any) -> set[str]:
    """Return all texts and whole numbers in what a model has learnt, and the lengths of its vectors, not their number.

    >>> sorted(_words({"vectors": [["a", [1.0, 2.0]], ["b", [3.0, 4.0]]], "numFeatures": 3}))
    ['3', 'a', 'b', 'vectors of 2']
    """
    if isinstance(value, Mapping):
        parts = [item for name, item in value.items() if name != "toDebugString"]
    elif not isinstance(value, list):
        return set() if isinstance(value, float) else {str(value)}
    elif value and all(isinstance(item, float) for item in value):
        return {f"vectors of {len(value)}"}
    else:
        parts = value
    return set[str]().union(*map(_words, parts))


def _parameters(model: Any) -> dict[str, str]:
    """Return a model's parameters by name, as text, without random names of stages and without its parts' parameters.
    A seed that is not set follows from a class's name: that of the estimator, or of the loaded model."""
    texts = {}
    for param, value in model.extractParamMap().items():
        is_set = model.isSet(param)
        of_parts = ("stages", "estimator", "evaluator", "estimatorParamMaps", "classifier")
        if param.name not in of_parts and (is_set or param.name != "seed"):
            # A default may contain the random name of its estimator.
            texts[param.name] = str(value).replace(model.uid, "") if is_set else _RANDOM_NAME.sub("", str(value))
    return dict(sorted(texts.items()))


_RANDOM_NAME = re.compile(r"\b[A-Za-z]\w*_[0-9a-f]{12}")
