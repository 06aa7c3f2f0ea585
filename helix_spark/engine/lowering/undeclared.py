"""What a lazy function reads or calls that its node does not declare, as its Catalyst plan tells: files and tables that
none of its inputs reads, and functions that are known to the session by a name alone. No signature covers either.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from helix_spark.capture.connect_session import is_by_connect, relation_messages
from helix_spark.capture.plan_reads import reads_elsewhere
from helix_spark.capture.sql_words import spark_functions
from helix_spark.engine.lowering.plain_plans import members, objects, operators_above
from helix_spark.engine.spark.tree_patterns import holds_any

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_FUNCTIONS = {"PythonUDF": "name", "PythonUDTF": "name", "ScalaUDF": "udfName"}
"""Expressions that stand for somebody's code, and the field that has its name."""

_FILES = "org.apache.spark.sql.execution.datasources.HadoopFsRelation"


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
    if is_by_connect(frame.sparkSession):
        theirs = Counter(what for one in inputs for what in reads_elsewhere(relation_messages(one)))
        return Undeclared(tuple(Counter(reads_elsewhere(relation_messages(frame))) - theirs))
    analysed, given = frame._jdf.queryExecution().analyzed(), [one._jdf.queryExecution().analyzed() for one in inputs]
    # By place, not by plan: where a table is joined with itself, Catalyst gives one of the two other columns.
    reads = dict.fromkeys(_places(analysed))
    for place in (place for plan in given if reads for place in _places(plan)):
        reads.pop(place, None)
    called = dict.fromkeys(_called(analysed, given))
    registered = registered_functions(frame.sparkSession) if called else frozenset()
    return Undeclared(tuple(reads), tuple(name for name in called if name.lower() in registered))


def _places(plan: Any) -> Iterator[str]:
    """Where a plan's rows come from, as far as that is outside this process."""
    for leaf in members(plan.collectLeaves()):
        match leaf.nodeName():
            case "LogicalRelation" if _is_files(leaf.relation()):
                yield from (path.toString() for path in members(leaf.relation().location().rootPaths()))
            case "LogicalRelation":
                yield str(leaf.relation().toString())
            case "DataSourceV2Relation" | "HiveTableRelation" | "StreamingRelation" | "StreamingRelationV2":
                yield str(leaf.simpleString(100))
            case _:  # rows of this process
                continue


def _is_files(relation: Any) -> bool:
    from py4j.java_gateway import is_instance_of
    from pyspark import SparkContext

    return bool(is_instance_of(SparkContext._gateway, relation, _FILES))


def _called(plan: Any, given: Sequence[Any]) -> Iterator[str]:
    """Names of the functions that a plan calls outside what was given, without Spark's own."""
    if not holds_any(plan, ("PYTHON_UDF", "SCALA_UDF", "GENERATOR")):
        return
    for operator in operators_above(plan, given):
        for expression in members(operator.expressions()):
            for found in objects(json.loads(expression.toJSON())):
                field = _FUNCTIONS.get(str(found.get("class", "")).rpartition(".")[2])
                if field is not None and found.get(field):
                    yield str(found[field])


def registered_functions(spark: SparkSession) -> frozenset[str]:
    """Names, in lower case, under which the session knows functions that somebody registered with it."""
    if is_by_connect(spark):
        names = {one.name.lower() for one in spark.catalog.listFunctions() if one.isTemporary}
        return frozenset(names - spark_functions())
    known = spark._jsparkSession.sessionState().catalog().listTemporaryFunctions()
    return frozenset(str(one.funcName()).lower() for one in members(known))
