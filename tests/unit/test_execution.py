"""The execution program against brute force, and its relaxation against itself."""

from __future__ import annotations

import itertools
import random

import pytest

from helix_spark.errors import HelixError
from helix_spark.planner.problem import Derivation, ExecutionProblem, State, add_execution, plan_execution
from helix_spark.planner.solver import LinearProgram, solve


def random_problem(rng: random.Random) -> ExecutionProblem:
    count = rng.randint(1, 10)
    names = tuple(f"n{index}" for index in range(count))
    ways = []
    for index, name in enumerate(names):
        needs = tuple(rng.sample(names[:index], rng.randint(0, min(index, 3))))
        ways.append(Derivation(name, State.COMPUTE, needs, rng.uniform(0, 10)))
        if rng.random() < 0.6:
            ways.append(Derivation(name, State.LOAD, (), rng.uniform(0, 12)))
    outputs = frozenset(rng.sample(names, rng.randint(1, min(count, 3))))
    return ExecutionProblem(names, tuple(ways), outputs)


def brute_force(problem: ExecutionProblem) -> float:
    """Over every combination of states of every node."""
    ways = [[None, *(way for way in problem.derivations if way.node == name)] for name in problem.nodes]
    best = float("inf")
    for choice in itertools.product(*ways):
        chosen = {way.node: way for way in choice if way is not None}
        if problem.outputs <= chosen.keys() and all(way.needs is not None and set(way.needs) <= chosen.keys()
                                                    for way in chosen.values()):
            best = min(best, sum(way.seconds for way in chosen.values()))
    return best


def feasible(problem: ExecutionProblem, chosen: dict[str, Derivation]) -> bool:
    return problem.outputs <= chosen.keys() and all(set(way.needs) <= chosen.keys() for way in chosen.values())


@pytest.mark.parametrize("seed", range(10))
def test_the_plan_costs_what_brute_force_finds(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(50):
        problem = random_problem(rng)
        solution = plan_execution(problem)
        assert feasible(problem, dict(solution.chosen))
        assert solution.certificate.objective == pytest.approx(brute_force(problem), abs=1e-5)


@pytest.mark.parametrize("seed", range(10, 20))
def test_the_relaxation_is_integral(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(50):
        problem = random_problem(rng)
        program = LinearProgram()
        add_execution(problem, program)
        whole = solve(program)
        for variable in program.variables:
            variable.cat = "Continuous"
        relaxed = solve(program)
        assert relaxed.values is not None
        assert whole.values is not None
        assert relaxed.objective == pytest.approx(whole.objective, abs=1e-5)


def test_equal_costs_prefer_a_load_and_fewer_nodes() -> None:
    ways = (
        Derivation("a", State.COMPUTE, (), 0.0),
        Derivation("b", State.COMPUTE, ("a",), 1.0),
        Derivation("b", State.LOAD, (), 1.0),
    )
    solution = plan_execution(ExecutionProblem(("a", "b"), ways, frozenset({"b"})))
    assert (solution.state("a"), solution.state("b")) == (State.PRUNE, State.LOAD)


def test_an_output_that_cannot_be_had_is_an_error() -> None:
    ways = (Derivation("b", State.COMPUTE, ("a",), 1.0),)
    with pytest.raises(HelixError, match="output 'a' can be neither loaded nor computed"):
        plan_execution(ExecutionProblem(("a", "b"), ways, frozenset({"a"})))


def test_what_costs_less_than_a_start_needs_no_solver() -> None:
    ways = (
        Derivation("spark", State.COMPUTE, (), 8.0), Derivation("rows", State.LOAD, (), 0.3),
        Derivation("rows", State.COMPUTE, ("spark",), 0.1), Derivation("auc", State.COMPUTE, ("rows",), 0.2),
    )
    found = plan_execution(ExecutionProblem(("spark", "rows", "auc"), ways, frozenset({"auc"})))
    assert found.certificate.solver == "none needed"
    assert {name: way.state for name, way in found.chosen.items()} == {"rows": State.LOAD, "auc": State.COMPUTE}


def test_a_start_that_costs_less_than_doing_without_it_is_weighed() -> None:
    ways = (
        Derivation("spark", State.COMPUTE, (), 0.1), Derivation("rows", State.LOAD, (), 0.3),
        Derivation("rows", State.COMPUTE, ("spark",), 0.1), Derivation("auc", State.COMPUTE, ("rows",), 0.2),
    )
    found = plan_execution(ExecutionProblem(("spark", "rows", "auc"), ways, frozenset({"auc"})))
    assert found.chosen["rows"].state is State.COMPUTE


def test_what_can_be_had_in_another_way_is_no_start() -> None:
    ways = (
        Derivation("data", State.COMPUTE, (), 8.0), Derivation("data", State.LOAD, (), 0.1),
        Derivation("rows", State.LOAD, (), 5.0), Derivation("rows", State.COMPUTE, ("data",), 0.1),
    )
    found = plan_execution(ExecutionProblem(("data", "rows"), ways, frozenset({"rows"})))
    assert found.certificate.objective == pytest.approx(0.2)
