"""Which columns of its input tables a lazy function reads, told by Spark's own optimiser.

The function is called on stubs whose columns are expressions that fail, each with a text of its own, as the columns of
a table that was stored without them are (`narrow_tables`). Whatever the optimised plan still has of them would be
evaluated; what it has not, no job of this plan ever asks for.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING

from helix_spark.capture.connect_session import is_by_connect
from helix_spark.engine.results.narrow_tables import failing

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.types import StructType

_HIDING = re.compile(
    r"LogicalRDD|ExternalRDD|InMemoryRelation|\.\.\. \d+ more (?:characters|fields)|Truncated plan of"
)
"""Leaves behind which a plan does not show what they were made of, and the ends of texts that settings cut short."""

_ROWS = 2**40
"""A stub seems to have so many rows that no rule for small tables removes a sort, a limit or a distinct."""

_INFINITE = 2**31 - 1


class MarkedStub:
    """A table of a schema, without data, each column of which can be told in a plan that is made of it.

    Attributes:
        frame: fails when it is executed, and so would a function that looks at its data while it declares.
    """

    def __init__(self, spark: SparkSession, schema: StructType) -> None:
        from pyspark.sql import functions as F

        self._mark = f"helix-stub-{uuid.uuid4().hex}"
        self._names: list[str] = schema.names
        columns = [failing(field, self._text(place)) for place, field in enumerate(schema.fields)]
        poison = F.raise_error(F.lit(self._text("rows"))).cast("boolean")
        self.frame: DataFrame = spark.range(_ROWS).where(poison).select(*columns)

    def _text(self, place: object) -> str:
        return f"{self._mark}-{place}."

    def found_in(self, plan: str) -> frozenset[str] | None:
        """The columns that are left in a plan; None if the table itself is not, so that nothing can be told of it."""
        if self._text("rows") not in plan:
            return None
        return frozenset(name for place, name in enumerate(self._names) if self._text(place) in plan)


def columns_read(made: DataFrame, stubs: Mapping[str, MarkedStub]) -> dict[str, frozenset[str]] | None:
    """By name of stub, the columns that a table made of them reads; None if its plan does not tell."""
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    if is_by_connect(made.sparkSession):
        return None  # a server shows its plans as texts for people, which leave things out
    try:
        plan = made._jdf.queryExecution().optimizedPlan()
        # The text has the plans of subqueries, the JSON has what an operator does not print of itself.
        text = plan.treeString(True, False, _INFINITE, False, False) + plan.toJSON()
    except (PySparkException, Py4JError):
        return None  # a constant that fails when it is folded; the run itself will tell
    if _HIDING.search(text):
        return None
    found = {name: stub.found_in(text) for name, stub in stubs.items()}
    told = {name: columns for name, columns in found.items() if columns is not None}
    return told if len(told) == len(found) else None
