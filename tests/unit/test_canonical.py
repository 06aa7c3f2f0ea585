"""Canonical bytes: equal if and only if the values are of the same type and equal."""

from __future__ import annotations

import datetime as dt
import enum
import logging
import math
import operator
import queue
import re
from array import array
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from collections.abc import Callable, Sized
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helix_spark.errors import SignatureError
from helix_spark.identity.code import value_trace
from helix_spark.identity.objects.encoder import canonical
from helix_spark.identity.parts import Group, UnidentifiedError

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.floats(allow_nan=True, width=16)
    | st.complex_numbers(max_magnitude=3)
    | st.text(max_size=2)
    | st.binary(max_size=2)
    | st.sampled_from([Decimal("1"), Decimal("1.0"), Fraction(1), dt.date(2020, 1, 1), dt.datetime(2020, 1, 1)])
)
keys = st.booleans() | st.integers(-2, 2) | st.text(max_size=1)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(keys, inner, max_size=3)
        | st.frozensets(keys, max_size=3)
        | st.sets(keys, max_size=3)
    ),
    max_leaves=6,
)


def same(one: object, other: object) -> bool:
    """Typed equality, as a reader would write it down."""
    if type(one) is not type(other):
        return False
    match one, other:
        case (float(), float()):
            both_nan = math.isnan(one) and math.isnan(other)
            return both_nan or (one == other and math.copysign(1, one) == math.copysign(1, other))
        case (complex(), complex()):
            return same(one.real, other.real) and same(one.imag, other.imag)
        case (Decimal(), Decimal()):
            return one.as_tuple() == other.as_tuple()
        case (list() | tuple(), list() | tuple()):
            return len(one) == len(other) and all(map(same, one, other))
        case (dict(), dict()):
            return same(list(one.items()), list(other.items()))
        case (set() | frozenset(), set() | frozenset()):
            return len(one) == len(other) and all(any(same(a, b) for b in other) for a in one)
    return bool(one == other)


@given(values, values)
def test_equal_bytes_if_and_only_if_equal_values(one: object, other: object) -> None:
    assert (canonical(one) == canonical(other)) == same(one, other)


@given(values)
def test_a_copy_has_the_same_bytes(value: object) -> None:
    names = {"nan": math.nan, "inf": math.inf, "Decimal": Decimal, "Fraction": Fraction, "datetime": dt}
    copied = eval(repr(value), names)
    if same(value, copied):  # a complex number with a negative zero does not survive its repr
        assert canonical(value) == canonical(copied)


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


class Flag(enum.IntFlag):
    A = 1
    B = 2


@dataclass
class Scale:
    factor: float = 1.0
    names: list[str] = field(default_factory=list)


class Slotted:
    __slots__ = ("__private", "x")

    def __init__(self, x: int, private: int) -> None:
        self.x, self.__private = x, private


class Named(dict[str, int]):
    pass


Pair = namedtuple("Pair", "a b")

def noted(frame: pd.DataFrame | pd.Series, **notes: int) -> pd.DataFrame | pd.Series:
    frame.attrs.update(notes)
    return frame


DIFFERENT: list[list[object]] = [
    [[[]] * 2, [[], []]],
    [[[], []] * 2, [[], [], [], []], [inner := [], [], [], inner]],
    [[Scale(2.0, [])] * 2, [Scale(2.0, []), Scale(2.0, [])]],
    [np.array([[1, 2], [3, 4]]), np.asfortranarray(np.array([[1, 2], [3, 4]]))],
    [True, 1, 1.0, 1 + 0j, "1", b"1", bytearray(b"1"), Decimal(1), Fraction(1), None, ..., NotImplemented],
    [0.0, -0.0, math.nan, math.inf, -math.inf],
    [[1], (1,), {1}, frozenset({1}), {1: None}, deque([1]), range(1, 2), [1, 1], [[1]]],
    ["ab", "a" + "b" + "c", "", "\ud800"],
    [["ab", "c"], ["a", "bc"], ["abc"]],
    [{"a": 1, "b": 2}, {"b": 2, "a": 1}, OrderedDict(a=1, b=2)],
    [deque([1]), deque([1], 3), deque([2])],
    [defaultdict(list, a=1), defaultdict(int, a=1), {"a": 1}, Counter(a=1)],
    [ValueError("a"), ValueError("b"), KeyError("a")],
    [range(3), range(0, 3, 2), slice(3), slice(0, 3)],
    [dt.date(2020, 1, 1), dt.datetime(2020, 1, 1), dt.datetime(2020, 1, 1, fold=1)],
    [
        dt.datetime(2020, 1, 1, tzinfo=dt.timezone.utc),
        dt.datetime(2020, 1, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=1))),
        dt.datetime(2020, 1, 1, tzinfo=ZoneInfo("Europe/Berlin")),
        dt.datetime(2020, 1, 1),
    ],
    [dt.time(1), dt.time(1, tzinfo=dt.timezone.utc), dt.timedelta(hours=1), dt.timedelta(hours=2)],
    [UUID(int=1), UUID(int=2), "00000000-0000-0000-0000-000000000001"],
    [Path("a"), Path("b"), "a"],
    [re.compile("a"), re.compile("a", re.I), re.compile(b"a"), "a"],
    [Colour.RED, Colour.BLUE, 1],
    [Flag.A, Flag.B, Flag.A | Flag.B, 1],
    [Scale(), Scale(2.0), Scale(names=["a"])],
    [Slotted(1, 2), Slotted(2, 2), Slotted(1, 3)],
    [Named(a=1), Named(a=2), {"a": 1}],
    [Pair(1, 2), Pair(1, 3), (1, 2)],
    [operator.itemgetter(1), operator.itemgetter(2), operator.attrgetter("a"), operator.methodcaller("a", 1)],
    [operator.methodcaller(name, k=k) for name, k in (("a", 1), ("a", 2), ("b", 1))],
    [list[int], list[str], dict[str, int], int | str, Literal[1], Literal[True], Callable[[int], str], Any, Sized],
    [np.int64(1), np.int32(1), np.float32(1), np.bool_(True), np.str_("1"), np.datetime64("2020-01-01"), 1],
    [np.array([1, 2]), np.array([1, 3]), np.array([[1, 2]]), np.array([1.0, 2.0]), np.array([1, 2], dtype=object)],
    [np.dtype("i4"), np.dtype("i8"), np.dtype(">i4"), np.dtype([("a", "i4")]), np.dtype([("b", "i4")])],
    [np.array([]), np.array([], dtype="i4"), np.zeros((0, 2))],
    [array("d", [1.0]), array("f", [1.0]), array("d", [2.0]), array("d")],
    [["a"] * 2000, ["a"] * 2001, [b"a"] * 2000, ["a", ""] * 1000, ["a", None] * 1000, ["a", "None"] * 1000],
    [["ab", "c"] * 1000, ["a", "bc"] * 1000, [["ab", "c"]] * 1000, [1] * 1000, [1.0] * 1000, [True] * 1000],
    [
        pd.DataFrame({"a": [1, 2]}),
        pd.DataFrame({"a": [1, 3]}),
        pd.DataFrame({"b": [1, 2]}),
        pd.DataFrame({"a": [1, 2]}, index=[1, 2]),
        pd.DataFrame({"a": [1.0, 2.0]}),
        pd.DataFrame({"a": ["1", "2"]}),
        pd.DataFrame({"a": pd.Categorical([1, 2])}),
        pd.DataFrame({"a": pd.array([1, None], dtype="Int64")}),
    ],
    [pd.Series([1]), pd.Series([1], name="x"), pd.Series([1, None]), pd.Index([1])],
    [pd.Series([1]), noted(pd.Series([1]), k=1), noted(pd.Series([1]), k=2)],
    [pd.DataFrame({"a": [1]}), noted(pd.DataFrame({"a": [1]}), k=1), noted(pd.DataFrame({"a": [1]}), k=2)],
    [pd.Series(["a", "b"], dtype="category"), pd.Series(["b", "a"], dtype="category")],
    [
        pd.CategoricalDtype(), pd.CategoricalDtype(["a", "b"]), pd.CategoricalDtype(["b", "a"]),
        pd.CategoricalDtype(["a", "b"], ordered=True), pd.CategoricalDtype(["a", "b", "c"]),
        pd.CategoricalDtype([1, 2]),
    ],
    [
        pd.DatetimeTZDtype("ns", "UTC"), pd.DatetimeTZDtype("s", "UTC"), pd.DatetimeTZDtype("ns", "Europe/Berlin"),
        pd.DatetimeTZDtype("ns", dt.timezone(dt.timedelta(hours=1), "X")),
        pd.DatetimeTZDtype("ns", dt.timezone(dt.timedelta(hours=2), "X")),
    ],
    [pd.StringDtype("python"), pd.StringDtype("pyarrow"), pd.ArrowDtype(pa.string()), pd.ArrowDtype(pa.int64())],
    [pd.IntervalDtype("int64", "left"), pd.IntervalDtype("int64", "right"), pd.IntervalDtype("float64", "right")],
    [pd.SparseDtype("int64", 0), pd.SparseDtype("int64", 1), pd.SparseDtype("float64"), pd.Int64Dtype()],
    [pd.PeriodDtype("D"), pd.PeriodDtype("M"), pd.PeriodDtype("2D")],
    [
        pd.MultiIndex.from_arrays([np.array([1], dtype=one), ["a"]]) for one in ("int64", "int8", "float64")
    ],
    [
        pd.DatetimeIndex(["2020-01-01"]), pd.date_range("2020-01-01", periods=1, freq="D"),
        pd.date_range("2020-01-01", periods=1, freq="h"), pd.DatetimeIndex(["2020-01-02"]),
    ],
    [pd.timedelta_range("1D", periods=1, freq="D"), pd.timedelta_range("1D", periods=1, freq="h")],
    [
        pd.DateOffset(months=1), pd.DateOffset(months=2), pd.DateOffset(months=1, normalize=True),
        pd.DateOffset(n=2, months=1), pd.offsets.MonthEnd(1), pd.offsets.MonthEnd(1, normalize=True),
    ],
    [
        pd.offsets.CustomBusinessDay(), pd.offsets.CustomBusinessDay(holidays=["2020-01-02"]),
        pd.offsets.CustomBusinessDay(holidays=["2020-01-03"]),
        pd.offsets.CustomBusinessDay(calendar=np.busdaycalendar("1110000")),
    ],
    [np.busdaycalendar(), np.busdaycalendar("1110000"), np.busdaycalendar(holidays=["2020-01-02"])],
    [pd.Timestamp("2020"), pd.Timestamp("2020", tz="UTC"), pd.Timestamp("2021"), pd.NaT, pd.NA, pd.Timedelta(1)],
    [pa.table({"a": [1, 2]}), pa.table({"a": [1, 3]}), pa.table({"b": [1, 2]}), pa.table({"a": [1.0, 2.0]})],
    [pa.array([1, None]), pa.array([1, 2]), pa.array(["1"]), pa.scalar(1), pa.int64(), pa.int32()],
    [pa.schema([("a", pa.int64())]), pa.schema([("a", pa.int32())]), pa.schema([("b", pa.int64())])],
]


@pytest.mark.parametrize("group", DIFFERENT, ids=lambda group: type(group[0]).__name__)
def test_what_differs_has_other_bytes(group: list[object]) -> None:
    parts = [value_trace(Group.VALUE, "v", value, node="n").parts[0].digest for value in group]
    assert len(set(parts)) == len(group)


SAME: list[tuple[object, object]] = [
    (math.nan, -math.nan),
    ({1, 2, 3, "a"}, {"a", 3, 2, 1}),
    ({Colour.RED, Colour.BLUE}, {Colour.BLUE, Colour.RED}),
    (Scale(2.0, ["a"]), Scale(2.0, ["a"])),
    (np.arange(12).reshape(3, 4)[:, ::2], np.array([[0, 2], [4, 6], [8, 10]])),
    (np.arange(6)[::2], np.array([0, 2, 4])),
    (array("d", [1.0]), array("d", [1])),
    (
        pd.offsets.CustomBusinessDay(holidays=["2020-01-02"]), pd.offsets.CustomBusinessDay(holidays=["2020-01-02"]),
    ),
    (pd.DataFrame({"a": [1, 2, 3]}).iloc[:2], pd.DataFrame({"a": [1, 2]})),
    (pd.CategoricalDtype(["a", "b"]), pd.Series(["b", "a"], dtype="category").dtype),
    (pd.DatetimeTZDtype("ns", "Europe/Berlin"), pd.DatetimeTZDtype("ns", "Europe/Berlin")),
    (pa.table({"a": [0, 1, 2]}).slice(1), pa.table({"a": [1, 2]})),
    (pa.chunked_array([[1], [2]]), pa.chunked_array([[1, 2]])),
    (logging.getLogger("a"), logging.getLogger("b")),
    ([(1, "a")] * 2, [(1, "a"), (1, "a")]),
    (defaultdict(list, a=[1]), defaultdict(list, a=[1])),
]


@pytest.mark.parametrize(("one", "other"), SAME, ids=lambda value: type(value).__name__)
def test_what_is_equal_has_the_same_bytes(one: object, other: object) -> None:
    a, b = (value_trace(Group.VALUE, "v", value, node="n").parts[0].digest for value in (one, other))
    assert a == b


def test_cycles_end() -> None:
    def ring(length: int) -> list[object]:
        outer: list[object] = []
        inner = outer
        for _ in range(length - 1):
            inner.append([])
            inner = inner[0]  # type: ignore[assignment]
        inner.append(outer)
        return outer

    assert canonical(ring(1)) == canonical(ring(1))
    assert canonical(ring(1)) != canonical(ring(2))


def test_shared_values_do_not_multiply() -> None:
    value: list[object] = []
    for _ in range(100):
        value = [value, value]
    canonical(value)


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({"a": [1, queue.SimpleQueue()]}, "['a'][1]"),
        (Scale(names=[iter([])]), ".names[0]"),  # type: ignore[list-item]
        ([np.random.default_rng(1)], "[0]"),
        ([object(), (x for x in "")], "[1]"),
    ],
)
def test_what_cannot_be_seen_is_an_error_that_says_where(value: object, path: str) -> None:
    with pytest.raises(SignatureError) as caught:
        value_trace(Group.PARAMETER, "regParam", value, node="model")
    assert f"parameter `regParam{path}`" in caught.value.what
    assert "model" in caught.value.what
    assert caught.value.remedy


def test_deep_nesting_is_an_error_not_a_crash() -> None:
    value: list[object] = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(UnidentifiedError, match="too deeply"):
        canonical(value)


def test_canonical_of_code_alone_is_refused() -> None:
    with pytest.raises(UnidentifiedError, match="code"):
        canonical([len])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.1, "0.1"), ("a", "'a'"), ([1, 2], "[1, 2]"), ({"b", "a"}, "{'a', 'b'}"), (len, "len"), (Scale, "Scale"),
        (Scale(), "Scale"), (list(range(100)), "list"), ("x" * 100, "'" + "x" * 56 + "..."), (None, "None"),
    ],
)  # fmt: skip
def test_shown_text(value: object, text: str) -> None:
    assert value_trace(Group.PARAMETER, "p", value, node="n").parts[0].shown == text


def test_an_object_may_say_itself_what_it_stands_for() -> None:
    class Handle:
        def __init__(self, name: str) -> None:
            self.name, self.lock = name, queue.SimpleQueue()

        def __helix_signature__(self) -> object:
            return ("handle", self.name)

    one, other, third = Handle("a"), Handle("a"), Handle("b")
    assert canonical([one]) == canonical([other])
    assert canonical([one]) != canonical([third])
