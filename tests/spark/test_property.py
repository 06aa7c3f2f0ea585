"""Random workflows, random edits, random policies and budgets: always the answer from scratch, never over budget.

`HELIX_EXAMPLES=200 pytest tests/spark/test_property.py` looks longer.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.sql import DataFrame, SparkSession

import helix_spark as hx
from helix_spark.planner.joint import POLICIES
from tests.spark.workflows import physical_bytes

pytestmark = pytest.mark.slow
EXAMPLES = int(os.environ.get("HELIX_EXAMPLES", "2"))
TABLE = pd.DataFrame({"a": [1, 2, 3, 4], "b": [10, 20, 30, 40]})


@dataclass(frozen=True)
class NodeSpec:
    """One table node: which tables it reads (0 is the source), and its constant."""

    reads: tuple[int, ...]
    constant: int
    in_pandas: bool


@dataclass(frozen=True)
class Spec:
    """One version: tables in order, and which of them are summed up by a reducer with a constant."""

    nodes: tuple[NodeSpec, ...]
    sums: tuple[tuple[int, int], ...]

    def workflow(self) -> hx.Workflow:
        wf = hx.Workflow("random")
        wf.source("t0", hx.table(TABLE))
        for index, node in enumerate(self.nodes, start=1):
            names = [f"t{source}" for source in node.reads]
            form = "pd.DataFrame" if node.in_pandas else "DataFrame"
            wf.scanner(name=f"t{index}")(_function(names, form, form, _table(node)))
        for table, constant in self.sums:
            wf.reducer(name=f"sum{table}", output=True)(
                _function([f"t{table}"], "pd.DataFrame", "int", _sum(constant))
            )
        return wf


def _table(node: NodeSpec) -> str:
    first, *others = (f"t{source}" for source in node.reads)
    if node.in_pandas:
        more = "".join(f" + {other}.a.sum()" for other in others)
        return f"{first}.assign(a={first}.a * {node.constant}{more})"
    frame = f"{first}.selectExpr('a * {node.constant} as a', 'b')"
    return frame + "".join(f".unionByName({other}.select('a', 'b').where('a > {node.constant}'))" for other in others)


def _sum(constant: int) -> str:
    return f"int({{table}}.a.sum()) * {constant} + int({{table}}.b.sum())"


def _function(names: list[str], takes: str, returns: str, body: str) -> Callable[..., Any]:
    """A function of the text that an author would have written; found by its text, as `inspect` does."""
    import linecache

    body = body.format(table=names[0])
    arguments = ", ".join(f"{name}: {takes}" for name in names)
    text = f"def node({arguments}) -> {returns}:\n    return {body}\n"
    file = f"/random/{abs(hash(text))}.py"
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    namespace: dict[str, Any] = {"pd": pd, "DataFrame": DataFrame, "__name__": "random_job"}
    exec(compile(text, file, "exec", dont_inherit=True), namespace)
    made: Callable[..., Any] = namespace["node"]
    return made


def node_specs(index: int) -> st.SearchStrategy[NodeSpec]:
    reads = st.lists(st.integers(0, index - 1), min_size=1, max_size=2, unique=True).map(tuple)
    return st.builds(NodeSpec, reads, st.integers(1, 3), st.booleans())


@st.composite
def specs(draw: st.DrawFn) -> Spec:
    count = draw(st.integers(1, 4))
    nodes = tuple(draw(node_specs(index)) for index in range(1, count + 1))
    summed = draw(st.lists(st.integers(1, count), min_size=1, max_size=2, unique=True))
    return Spec(nodes, tuple((table, draw(st.integers(1, 3))) for table in summed))


@st.composite
def histories(draw: st.DrawFn) -> list[Spec]:
    """A first version and what it is edited into, one edit a step."""
    versions = [draw(specs())]
    for _ in range(draw(st.integers(1, 3))):
        versions.append(draw(edited(versions)))
    return versions


@st.composite
def edited(draw: st.DrawFn, versions: list[Spec]) -> Spec:
    now = versions[-1]
    kind = draw(st.sampled_from(["constant", "sum", "rewire", "add", "remove", "back", "none"]))
    index = draw(st.integers(0, len(now.nodes) - 1))
    if kind == "back":
        return draw(st.sampled_from(versions))
    if kind == "constant":
        return _with(now, index, replace(now.nodes[index], constant=draw(st.integers(1, 3))))
    if kind == "rewire":
        return _with(now, index, draw(node_specs(index + 1)))
    if kind == "sum":
        return replace(now, sums=((now.sums[0][0], draw(st.integers(1, 3))), *now.sums[1:]))
    if kind == "add":
        table = len(now.nodes) + 1
        return Spec((*now.nodes, draw(node_specs(table))), (*now.sums, (table, 1)))
    if kind == "remove" and len(now.sums) > 1:
        return replace(now, sums=now.sums[1:])
    return now


def _with(spec: Spec, index: int, node: NodeSpec) -> Spec:
    return replace(spec, nodes=(*spec.nodes[:index], node, *spec.nodes[index + 1:]))


LONG = settings(
    max_examples=EXAMPLES, deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
ANY = given(
    versions=histories(), policies=st.lists(st.sampled_from(sorted(POLICIES)), min_size=4, max_size=4),
    budget=st.sampled_from([None, 0, 6_000, 20_000, 60_000]), one_session=st.booleans(),
)


@pytest.mark.spark
@LONG
@ANY
def test_any_history_gives_the_answers_from_scratch_within_the_budget(
    spark: SparkSession, versions: list[Spec], policies: list[str], budget: int | None, one_session: bool
) -> None:
    run_all(versions, policies, budget, one_session, spark)


@LONG
@ANY
def test_so_does_any_history_that_takes_no_spark(
    versions: list[Spec], policies: list[str], budget: int | None, one_session: bool
) -> None:
    run_all([in_pandas(version) for version in versions], policies, budget, one_session, None)


def in_pandas(spec: Spec) -> Spec:
    return replace(spec, nodes=tuple(replace(node, in_pandas=True) for node in spec.nodes))


def run_all(
    versions: list[Spec], policies: list[str], budget: int | None, one_session: bool, spark: SparkSession | None
) -> None:
    """Runs one version after the other and compares each with its answers."""
    with tempfile.TemporaryDirectory() as folder:
        catalog = Path(folder) / "catalog"
        helix = hx.Helix(catalog, policy=policies[0], budget=budget, spark=spark)
        for version, policy in zip(versions, policies, strict=False):
            if not one_session:
                helix.close()
                helix = hx.Helix(catalog, policy=policy, budget=budget, spark=spark)
            iteration = helix.run(version.workflow())
            iteration.wait()
            assert dict(iteration.outputs) == expected(version)
            assert budget is None or physical_bytes(catalog) <= budget
        helix.close()


def expected(spec: Spec) -> dict[str, int]:
    """The answers, by pandas alone."""
    tables = [TABLE]
    for node in spec.nodes:
        first, *others = (tables[source] for source in node.reads)
        if node.in_pandas:
            made = first.assign(a=first.a * node.constant + sum(int(other.a.sum()) for other in others))
        else:
            parts = [first.assign(a=first.a * node.constant), *(o[o.a > node.constant] for o in others)]
            made = pd.concat(parts)
        tables.append(made)
    return {f"sum{t}": int(tables[t].a.sum()) * constant + int(tables[t].b.sum()) for t, constant in spec.sums}
