"""The second chance: a function whose code changed, but whose computation did not.

The function is called on stubs with its inputs' schemas, and the analysed plan that comes out, in Catalyst's canonical
form, is compared with the one on record. A stub names its input in its plan: two inputs may have one schema, and
``new.subtract(old)`` is not ``old.subtract(new)``. It fails when it is executed, and nothing about it can be answered
otherwise: a function that looks at its data while it declares (`count`, `collect`) has Spark run a job, and gets no
second chance, whether it lets the failure out or not, for what it declares depends on more than its code. A function
that does more than to return its table (`effects` in the signature) is never called with one: it would register a view
of the stub in the author's own session, in the place of his or of a node's.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from helix_spark.dag.node import Dag, Node
from helix_spark.engine.lowering.calls import is_lazy
from helix_spark.engine.lowering.column_reads import MarkedStub, columns_read
from helix_spark.engine.lowering.sources import read_source
from helix_spark.engine.results.results import nullable_schema
from helix_spark.signature.environment import package_part, python_part
from helix_spark.signature.parts import Group, Part, digest
from helix_spark.workflow.operators import Form, Function, Read, Result, Select
from helix_spark.workflow.sources import FileSource, MemorySource

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.types import StructType

_OPAQUE = re.compile(r"Python|ScalaUDF|ScalaAggregator|InPandas|InArrow|\.objects\.|ExternalRDD|LogicalRDD")
"""Parts of a plan that hold code of their own: such a plan is only as equal as that code."""

_ROWS = re.compile(r"\b(?!OneRow)\w*Relation(V\d)?\b")
"""Parts of a plan that stand for rows, of this process or of files: which, the plan does not say. The stub is none."""

_SESSION_BOUND = re.compile(r'"jvmId":"[^"]*"')
"""Expression ids name the JVM that made them; their numbers are canonical."""

_INFINITE = 2**31 - 1


class Stubs:
    """Lowers functions on stubs, within one session.

    Args:
        known: schemas by signature, of results that are held or stored.
        acting: names of the nodes whose code does more than to return a result: none of it is called.
    """

    def __init__(
        self, spark: SparkSession, dag: Dag, signatures: Mapping[str, str], known: Mapping[str, StructType],
        acting: Collection[str] = (),
    ) -> None:
        self._spark, self._dag, self._signatures, self._known = spark, dag, signatures, known
        self._acting = frozenset(acting)
        self._schemas: dict[str, StructType | None] = {}
        self._unmarked: dict[str, DataFrame] = {}
        self._marked: dict[str, MarkedStub] = {}

    def lowered(self, node: Node, beside: Sequence[str]) -> str | None:
        """Digest of what a node computes: its canonical plan, its schema, and what counts beside them.

        None where a plan does not tell: Python code inside, data looked at, rows from elsewhere, inputs of unknown
        schema, things that the author says count besides. None where its code must not be called.

        Args:
            beside: see `parts_beside_plan`.
        """
        operator = node.operator
        if not isinstance(operator, Function) or not is_lazy(node) or node.wishes.depends_on:
            return None
        made = self._call(node, operator, self._stub)
        if made is None:
            return None
        canonical = made._jdf.queryExecution().analyzed().canonicalized()
        text = canonical.treeString(True, False, _INFINITE, False, False)
        described = _SESSION_BOUND.sub("", canonical.toJSON())
        if any(opaque.search(told) for opaque in (_OPAQUE, _ROWS) for told in (text, described)):
            return None
        return digest("lowered", node.result, text, described, made.schema.json(), *beside)

    def reads(self, node: Node) -> dict[str, frozenset[str]] | None:
        """By input table's name, the columns that a function's plan reads of it; None where its plan does not tell.

        What passes rows on reads whatever it passes on, whoever reads that.
        """
        operator = node.operator
        if not isinstance(operator, Function) or not is_lazy(node):
            return None
        made = self._call(node, operator, self._marked_stub)
        return None if made is None else columns_read(made, {name: self._marked[name] for name in node.inputs})

    def schema(self, name: str) -> StructType | None:
        """The schema of a table, if it can be told without running anything."""
        if name not in self._schemas:
            found = self._schema(self._dag[name])
            self._schemas[name] = None if found is None else nullable_schema(found)
        return self._schemas[name]

    def _schema(self, node: Node) -> StructType | None:
        known = self._known.get(self._signatures[node.name])
        if known is not None or node.name in self._acting:
            return known
        match node.operator:
            case Read(source=FileSource(schema=None, format="csv" | "json")) | Read(source=MemorySource()):
                return None  # to infer a schema takes a job
            case Read(source=source):
                return read_source(source, self._spark).schema
            case Select(columns=columns) if node.result is Result.TABLE:
                base = self.schema(node.inputs[0])
                return None if base is None else self._stub(node.inputs[0], base).select(*columns).schema
            case Function() as operator if node.result is Result.TABLE and is_lazy(node):
                made = self._call(node, operator, self._stub)
                return None if made is None else made.schema
        return None

    def _call(
        self, node: Node, operator: Function, stub: Callable[[str, StructType], DataFrame]
    ) -> DataFrame | None:
        """What a function returns for stubs of its inputs; None if it cannot be called with them, or has Spark run
        something meanwhile: what it returns may rest on that, or on its failure."""
        if node.name in self._acting:
            return None
        from pyspark.sql import Column, DataFrame

        arguments: dict[str, DataFrame] = {}
        for name, source, form in zip(operator.arguments, node.inputs, operator.forms, strict=True):
            schema = self.schema(source) if form in (Form.SPARK, Form.ANY) else None
            if schema is None:
                return None
            arguments[name] = stub(source, schema)
        try:
            made = without_jobs(self._spark, partial(operator.call, **arguments))
            if isinstance(made, Column) and node.base is not None:
                made = next(iter(arguments.values())).select(made.alias("column"))
        except Exception:  # noqa: BLE001 - the author's code may raise anything; the run itself will tell what is wrong
            return None
        return made if isinstance(made, DataFrame) else None

    def _marked_stub(self, name: str, schema: StructType) -> DataFrame:
        if name not in self._marked:
            self._marked[name] = MarkedStub(self._spark, schema)
        return self._marked[name].frame

    def _stub(self, name: str, schema: StructType) -> DataFrame:
        if name not in self._unmarked:
            from pyspark.sql import functions as F
            from pyspark.sql.types import StructField, StructType

            told = f"the stub of {self._signatures[name]} holds no data"
            poison = F.raise_error(F.lit(told)).cast("boolean")
            # Columns that fail, too: of nulls the optimiser would know that no row has `age > 30`, and answer without a
            # job. `to` gives all of them their types by one call, where a cast for each takes 2 ms.
            places = [f"c{place}" for place in range(len(schema.fields))]
            typed = StructType([
                StructField(place, field.dataType, True, field.metadata)
                for place, field in zip(places, schema.fields, strict=True)
            ])
            failing = (f"raise_error('{told}') AS {place}" for place in places)
            rows = self._spark.range(1).where(poison).selectExpr(*failing)
            self._unmarked[name] = rows.to(typed).toDF(*schema.names)
        return self._unmarked[name]


def without_jobs(spark: SparkSession, call: Callable[[], Any]) -> Any:
    """What a call returns; None if Spark ran a job for it, whatever came of that. The thread's group, tags and
    description of jobs are as they were."""
    context: Any = spark.sparkContext._jsc.sc()
    before = context.getLocalProperties().clone()
    tag = f"helix-stub-{uuid.uuid4().hex}"  # a function may name a group of its own; tags add up
    context.addJobTag(tag)
    try:
        made = call()
    finally:
        context.setLocalProperties(before)
    context.listenerBus().waitUntilEmpty()  # a job is on record a moment after it began
    return None if len(context.statusTracker().getJobIdsForTag(tag)) else made


def parts_beside_plan(parts: Iterable[Part]) -> list[str]:
    """Digests of those parts of a signature that count and are not in a plan: the inputs, the settings of Spark's that
    change results (some are read only when an expression is evaluated), the versions of Python and Spark."""
    around = {python_part(), package_part("pyspark", 2)}
    return [part.digest for part in parts if part.group in (Group.INPUT, Group.SETTING) or part in around]


def schema_from_json(text: str) -> Any:
    """A Spark schema from its JSON."""
    from pyspark.sql.types import StructType

    return StructType.fromJson(json.loads(text))
