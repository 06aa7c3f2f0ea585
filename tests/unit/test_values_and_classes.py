"""What tells values and classes of a project apart: members of enums, attributes, classes that extend a library's."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest

import helix_spark as hx
from helix_spark.dag.compilation import compile_workflow
from helix_spark.identity.signing import describe
from tests.unit.edit_matrix import edits
from tests.unit.project import Project

DIFFERENT = edits(
    r"""
=== attribute that is no part of the member's value
from enum import IntEnum
class Level(IntEnum):
    HIGH = 2, 0.9
    def __new__(cls, value, threshold):
        made = int.__new__(cls, value)
        made._value_, made.threshold = value, threshold
        return made
LEVEL = Level.HIGH
def f(x): return LEVEL.threshold
--- becomes
from enum import IntEnum
class Level(IntEnum):
    HIGH = 2, 0.8
    def __new__(cls, value, threshold):
        made = int.__new__(cls, value)
        made._value_, made.threshold = value, threshold
        return made
LEVEL = Level.HIGH
def f(x): return LEVEL.threshold

=== number that is not the member's value
from enum import Enum
class Level(int, Enum):
    HIGH = "high", 2
    def __new__(cls, text, number):
        made = int.__new__(cls, number)
        made._value_ = text
        return made
def f(x): return Level.HIGH + 1
--- becomes
from enum import Enum
class Level(int, Enum):
    HIGH = "high", 3
    def __new__(cls, text, number):
        made = int.__new__(cls, number)
        made._value_ = text
        return made
def f(x): return Level.HIGH + 1

=== attribute of a member that is set later
from enum import Enum
class Colour(Enum):
    RED = 1
Colour.RED.weight = 3
def f(x): return Colour.RED.weight
--- becomes
from enum import Enum
class Colour(Enum):
    RED = 1
Colour.RED.weight = 4
def f(x): return Colour.RED.weight

=== attribute of a member that leads back to it
from enum import Enum
from functools import partial
class Colour(Enum):
    RED = 1
def times(colour, factor): return colour.value * factor
Colour.RED.scaled = partial(times, Colour.RED, 3)
def f(x): return Colour.RED.scaled()
--- becomes
from enum import Enum
from functools import partial
class Colour(Enum):
    RED = 1
def times(colour, factor): return colour.value * factor
Colour.RED.scaled = partial(times, Colour.RED, 4)
def f(x): return Colour.RED.scaled()

=== dunder constant of an enum
from enum import Enum
class Colour(Enum):
    RED = 1
    __weights__ = {1: 2}
def f(x): return Colour.__weights__
--- becomes
from enum import Enum
class Colour(Enum):
    RED = 1
    __weights__ = {1: 3}
def f(x): return Colour.__weights__

=== boundary of flags
from enum import Flag, KEEP
class Right(Flag, boundary=KEEP):
    READ = 1
def f(x): return Right(8)
--- becomes
from enum import Flag, EJECT
class Right(Flag, boundary=EJECT):
    READ = 1
def f(x): return Right(8)

=== method of a builtin class as a class attribute
class Text:
    clean = str.upper
def f(x): return Text.clean(x)
--- becomes
class Text:
    clean = str.lower
def f(x): return Text.clean(x)

=== match args of one's own
class Point:
    __match_args__ = ("a", "b")
    a, b = 1, 2
def f(x):
    match Point():
        case Point(v): return v
--- becomes
class Point:
    __match_args__ = ("b", "a")
    a, b = 1, 2
def f(x):
    match Point():
        case Point(v): return v

=== total of a typed dict
from typing import TypedDict
class Row(TypedDict, total=True):
    a: int
def f(x): return sorted(Row.__required_keys__)
--- becomes
from typing import TypedDict
class Row(TypedDict, total=False):
    a: int
def f(x): return sorted(Row.__required_keys__)

=== bound of a type variable
from typing import TypeVar
T = TypeVar("T", bound=int)
def f(x): return T.__bound__
--- becomes
from typing import TypeVar
T = TypeVar("T", bound=float)
def f(x): return T.__bound__

=== constraints of a type variable
from typing import TypeVar
T = TypeVar("T", int, str)
def f(x): return T.__constraints__
--- becomes
from typing import TypeVar
T = TypeVar("T", int, float)
def f(x): return T.__constraints__

=== what a generic base is told, where code reads it
from typing import Generic, TypeVar, get_args
T = TypeVar("T")
class Reader(Generic[T]):
    def cast(self, value): return get_args(type(self).__orig_bases__[0])[0](value)
class Ages(Reader[int]): pass
def f(x): return Ages().cast(x)
--- becomes
from typing import Generic, TypeVar, get_args
T = TypeVar("T")
class Reader(Generic[T]):
    def cast(self, value): return get_args(type(self).__orig_bases__[0])[0](value)
class Ages(Reader[float]): pass
def f(x): return Ages().cast(x)

=== function of the standard library in a named tuple
import statistics
from typing import NamedTuple
class Summary(NamedTuple):
    k: int = 1
    of = staticmethod(statistics.mean)
def f(x): return Summary.of(x)
--- becomes
import statistics
from typing import NamedTuple
class Summary(NamedTuple):
    k: int = 1
    of = staticmethod(statistics.median)
def f(x): return Summary.of(x)

=== method of a class that extends DataFrame
import pandas as pd
class Prices(pd.DataFrame):
    def total(self): return self.x.sum() * 2
PRICES = Prices({"x": [1, 2]})
def f(x): return PRICES.total()
--- becomes
import pandas as pd
class Prices(pd.DataFrame):
    def total(self): return self.x.sum() * 3
PRICES = Prices({"x": [1, 2]})
def f(x): return PRICES.total()

=== what a class that extends Series carries
import pandas as pd
class Lengths(pd.Series):
    _metadata = ["unit"]
LENGTHS = Lengths([1, 2])
LENGTHS.unit = "m"
def f(x): return LENGTHS.unit
--- becomes
import pandas as pd
class Lengths(pd.Series):
    _metadata = ["unit"]
LENGTHS = Lengths([1, 2])
LENGTHS.unit = "km"
def f(x): return LENGTHS.unit

=== method of a type of one's own in a schema
from pyspark.sql.types import ArrayType, DoubleType, StructField, StructType, UserDefinedType
class Point(UserDefinedType):
    @classmethod
    def sqlType(cls): return ArrayType(DoubleType(), False)
    def deserialize(self, found): return found[0] * 1
SCHEMA = StructType([StructField("points", ArrayType(Point()))])
def f(x): return SCHEMA
--- becomes
from pyspark.sql.types import ArrayType, DoubleType, StructField, StructType, UserDefinedType
class Point(UserDefinedType):
    @classmethod
    def sqlType(cls): return ArrayType(DoubleType(), False)
    def deserialize(self, found): return found[0] * 2
SCHEMA = StructType([StructField("points", ArrayType(Point()))])
def f(x): return SCHEMA

=== method of the type that a udf returns
from pyspark.sql import functions as F
from pyspark.sql.types import DoubleType, UserDefinedType
class Point(UserDefinedType):
    @classmethod
    def sqlType(cls): return DoubleType()
    def serialize(self, point): return point * 1
@F.udf(Point())
def point(v): return v
def f(x): return point(x)
--- becomes
from pyspark.sql import functions as F
from pyspark.sql.types import DoubleType, UserDefinedType
class Point(UserDefinedType):
    @classmethod
    def sqlType(cls): return DoubleType()
    def serialize(self, point): return point * 2
@F.udf(Point())
def point(v): return v
def f(x): return point(x)
"""
)


if sys.version_info < (3, 11):
    del DIFFERENT["boundary of flags"]  # which they have since


@pytest.mark.parametrize("edit", DIFFERENT)
def test_what_values_and_classes_hold_counts(project: Project, edit: str) -> None:
    project.check_differs(*DIFFERENT[edit])


SHARED = {
    "an object in two variables": ("A = object.__new__(K)\nB = {'a': A}", "{'a': A}", "{'a': object.__new__(K)}"),
    "a section that has a name": ("A = {'a': {'b': 1}}\nB = A['a']", "A['a']", "dict(A['a'])"),
    "a list in two variables": ("A = []\nB = A", "B = A", "B = []"),
    "a row of an array": ("import numpy as np\nA = np.zeros((2, 2))\nB = A[0]", "A[0]", "A[0].copy()"),
}


@pytest.mark.parametrize("kind", SHARED)
def test_which_names_lead_to_one_object_counts(project: Project, kind: str) -> None:
    text, old, new = SHARED[kind]
    before = f"class K: pass\n{text}\ndef f(x): return A, B\n"
    project.check_differs(before, before.replace(old, new))


def test_which_functions_share_a_variable_counts(project: Project) -> None:
    before = """
        def make():
            n = 0
            def add():
                nonlocal n
                n += 1
            return add, lambda: n
        add, total = make()
        def f(x): return add(), total()
    """
    project.check_differs(before, before.replace("make()\n        def", "make()[0], make()[1]\n        def"))


def test_the_order_of_a_set_of_numbers_counts_where_it_can_be_seen(project: Project) -> None:
    project.check_differs("A = {0, 8}\ndef f(x): return list(A)", "A = {8, 0}\ndef f(x): return list(A)")
    assert project.digest(job="A = {1, 2}\ndef f(x): return A") == project.digest(job="A = {2, 1}\ndef f(x): return A")


def test_where_a_class_is_counts_for_what_pickles(project: Project) -> None:
    job = "import pickle\nfrom {} import K\nA = K()\ndef f(x): return pickle.dumps(A)"
    project.write(old="class K: pass", new="class K: pass")
    project.check_differs(job.format("old"), job.format("new"))


SAME = edits(
    r"""
=== a flag that was inverted
from enum import Flag
class Right(Flag):
    READ = 1
    WRITE = 2
def f(x): return Right.READ
--- becomes
from enum import Flag
class Right(Flag):
    READ = 1
    WRITE = 2
~Right.READ
def f(x): return Right.READ

=== a type of one's own that Spark has used, in a file with a note
from pyspark.sql.types import DoubleType, UserDefinedType
class Point(UserDefinedType):
    @classmethod
    def sqlType(cls): return DoubleType()
POINT = Point()
def f(x): return POINT
--- becomes
# a note
from pyspark.sql.types import DoubleType, UserDefinedType
class Point(UserDefinedType):
    @classmethod
    def sqlType(cls): return DoubleType()
POINT = Point()
Point._cachedSqlType()
def f(x): return POINT
"""
)


@pytest.mark.parametrize("edit", SAME)
def test_what_says_nothing_of_results_does_not_count(project: Project, edit: str) -> None:
    before, after = SAME[edit]
    assert project.digest(job=before) == project.digest(job=after)


def test_a_table_with_columns_of_another_library_is_a_source() -> None:
    class Theirs(pd.arrays.IntegerArray):
        pass

    def signature(*values: int) -> str:
        frame = pd.DataFrame({"a": Theirs(np.array(values), np.zeros(len(values), dtype=bool))})
        wf = hx.Workflow("w")
        wf.source("data", hx.table(frame), output=True)
        return describe(compile_workflow(wf), {})["data"].parts[-1].digest

    assert signature(1, 2) == signature(1, 2)
    assert signature(1, 2) != signature(1, 3)
