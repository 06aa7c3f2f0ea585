"""Values in the form in which they are stored: what is handed on is what will be read back, or is refused."""

from __future__ import annotations

import enum
import json
import math
from typing import Any

import numpy as np
import pytest

from helix_spark.engine.results.node_results import plain
from helix_spark.errors import ResultTypeError


class Sort(str, enum.Enum):
    GOOD = "good"


@pytest.mark.parametrize(("value", "kept"), [
    (np.float32(0.5), 0.5), (np.uint64(2**64 - 1), 2**64 - 1), (np.array([[1, 2]]), [[1, 2]]), (np.bool_(True), True),
    ({1: 1.5, None: 2, "a": (1,)}, {"1": 1.5, "None": 2, "a": [1]}), (10**4000, 10**4000), (-math.inf, -math.inf),
    (np.str_("x"), "x"), (Sort.GOOD, "good"),
], ids=["float", "int", "array", "bool", "keys", "long", "infinite", "numpy's text", "an enum's text"])
def test_a_value_is_handed_on_as_it_is_read_back(value: object, kept: Any) -> None:
    made = plain(value, "n")
    assert made == kept == json.loads(json.dumps(made))
    assert type(made) is type(kept)


@pytest.mark.parametrize(("value", "said"), [
    (10**5000, "more than 4,000 digits"), ({10**5000: 1}, "more than 4,000 digits"), ({1: "a", "1": "b"}, "two keys"),
    (np.longdouble(1), "numpy.longdouble"), ([np.array([1], np.longdouble)], "numpy.longdouble"),
    ({1, 2}, "builtins.set"),
], ids=["too long", "too long a key", "keys that are one", "long double", "long doubles", "a set"])
def test_what_would_not_be_read_back_is_refused(value: object, said: str) -> None:
    with pytest.raises(ResultTypeError, match=said):
        plain(value, "n")
