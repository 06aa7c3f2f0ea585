"""What a lazy function reads or calls that its node does not declare, as its Catalyst plan tells: files and tables that
none of its inputs reads, and functions that are known to the session by a name alone. No signature covers either.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from helix_spark.plans.connect_session import relation_messages
from helix_spark.plans.plan_messages import sort_of
from helix_spark.plans.plan_reads import functions_elsewhere, is_of_a_model, tables_elsewhere
from helix_spark.plans.sql_words import spark_functions

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_SEEN = ("SQL", "Read.NamedTable")


@dataclass(frozen=True, slots=True)
class Undeclared:
    """What was noticed.

    Attributes:
        reads: files and tables.
        calls: names under which the session knows functions that the plan calls.
    """

    reads: tuple[str, ...] = ()
    calls: tuple[str, ...] = ()

    def why(self, reached: Collection[str]) -> str | None:
        """What is wrong with it, in words; None if nothing is.

        Args:
            reached: names of the functions that signatures cover.

        >>> Undeclared(calls=("clean",)).why({"helpers.clean"}), Undeclared().why({})
        (None, None)
        """
        if self.reads:
            return f"reads {self.reads[0]} by itself (make it a source of the workflow, or name it in depends_on=)"
        known = {name.rpartition(".")[2].lower() for name in reached}  # as SQL has it
        unseen = [name for name in self.calls if name.lower() not in known]
        return f"calls {unseen[0]}, registered with the session (name its function in depends_on=)" if unseen else None


def undeclared(frame: DataFrame, inputs: Sequence[DataFrame]) -> Undeclared:
    """What a function's result reads and calls beyond its inputs.

    Args:
        frame: the result.
        inputs: what the function was given.
    """
    parts, given = relation_messages(frame), [part for one in inputs for part in relation_messages(one)]
    # What a function reads by a name or a statement is seen where it asks (`asked_of_spark`), which knows its views, as
    # is a model that it loads. One that it is given, fits or holds is part of its inputs or its code.
    unseen, theirs = (
        [one for one in some if sort_of(one) not in _SEEN and not is_of_a_model(one)] for some in (parts, given)
    )
    reads = Counter(tables_elsewhere(unseen)) - Counter(tables_elsewhere(theirs))
    calls = Counter(functions_elsewhere(parts)) - Counter(functions_elsewhere(given))
    return Undeclared(tuple(reads), tuple(calls))


def registered_functions(spark: SparkSession) -> frozenset[str]:
    """Names, in lower case, under which the session knows functions that somebody registered with it."""
    names = {one.name.lower() for one in spark.catalog.listFunctions() if one.isTemporary}
    return frozenset(names - spark_functions())
