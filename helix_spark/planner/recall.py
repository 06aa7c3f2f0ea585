"""The cheapest way to have some results again, given what is kept: exact, and without a solver.

Most of it is forced: what is not kept is computed, what is kept and loads no slower than its last step computes is
loaded. Only a kept result whose last step is quicker than its load leaves a choice (its inputs may be needed anyway).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from helix_spark.planner.demands import Outlook
from helix_spark.planner.execution import plan_execution
from helix_spark.planner.frontiers import upstream
from helix_spark.planner.lineage import Lineage
from helix_spark.planner.problem import Derivation, ExecutionProblem, State

_BRANCHED = 8
"""Open choices that are enumerated (2^8 at most); with more of them, a linear program decides."""


@dataclass(frozen=True, slots=True)
class Recall:
    """What it takes to have some results: seconds, and which are loaded and which are computed."""

    seconds: float
    loaded: frozenset[str]
    computed: frozenset[str]


_Fixed = dict[str, bool | None]
"""The choices made so far: signature -> whether it is loaded, or None where it is there anyway."""


def recall(
    results: Lineage, required: Iterable[str], kept: Collection[str], given: Collection[str] = ()
) -> Recall:
    """Return the cheapest way to have the required results when those in `kept` may be loaded and those in `given` are
    there.

    >>> from helix_spark.planner.lineage import ResultCosts
    >>> rows = ResultCosts((), 5.0, 1.0, True)
    >>> model = ResultCosts(("r",), 2.0, 4.0, True)
    >>> recall({"r": rows, "m": model}, ["m"], {"r", "m"}).seconds    # load rows, compute the model
    3.0
    """
    return _search(results, list(required), kept, dict.fromkeys(given))


def recalls(view: Outlook, kept: Collection[str]) -> list[Recall]:
    """Return the cheapest way to meet each demand."""
    return [recall(view.results, demand.results, kept, demand.given) for demand in view.demands]


def _search(results: Lineage, waiting: list[str], kept: Collection[str], fixed: _Fixed) -> Recall:
    choice = _propagate(results, waiting, kept, fixed)
    if not choice:
        loaded = frozenset(name for name, load in fixed.items() if load)
        computed = frozenset(name for name, load in fixed.items() if load is False)
        seconds = sum(results[name].load_seconds for name in sorted(loaded))
        return Recall(seconds + sum(results[name].compute_seconds for name in sorted(computed)), loaded, computed)
    if len(choice) > _BRANCHED:
        given = [name for name, load in fixed.items() if load is None]
        return _solved(results, [*(name for name, load in fixed.items() if load is not None), *choice], kept, given)
    first, *rest = choice
    options = [_search(results, [first, *rest], kept, {**fixed, first: load}) for load in (True, False)]
    return min(options, key=lambda option: option.seconds)


def _propagate(results: Lineage, waiting: list[str], kept: Collection[str], fixed: _Fixed) -> list[str]:
    """Fix what is forced, and return the results that leave a choice."""
    undecided: set[str] = set()
    waiting = [*waiting, *(source for name, load in fixed.items() for source in _needs(results, name, load))]
    while waiting:
        signature = waiting.pop()
        if signature in fixed:
            continue
        result = results[signature]
        if result.loadable and signature in kept:
            if result.load_seconds > result.compute_seconds:
                undecided.add(signature)
                continue
            fixed[signature] = True
        else:
            fixed[signature] = False
        waiting.extend(_needs(results, signature, fixed[signature]))
    return sorted(_worth_a_choice(results, undecided - fixed.keys(), fixed))


def _needs(results: Lineage, signature: str, load: bool | None) -> tuple[str, ...]:
    """Return the inputs that loading or computing a result needs."""
    if load is None:
        return ()
    return results[signature].load_inputs if load else results[signature].inputs


def _worth_a_choice(results: Lineage, undecided: set[str], fixed: _Fixed) -> set[str]:
    """Return the results whose inputs are not all there already; else the last step is the quicker way."""
    left = set(undecided)
    changed = True
    while changed:
        changed = False
        for signature in sorted(left):
            if all(name in fixed for name in results[signature].inputs):
                fixed[signature] = False
                left.discard(signature)
                changed = True
    return left


def _solved(results: Lineage, required: list[str], kept: Collection[str], given: Collection[str]) -> Recall:
    relevant = upstream(results, required, given)
    ways: list[Derivation] = []
    for name in relevant:
        result = results[name]
        if result.loadable and name in kept:
            ways.append(Derivation(name, State.LOAD, _names_without(result.load_inputs, given), result.load_seconds))
        ways.append(Derivation(name, State.COMPUTE, _names_without(result.inputs, given), result.compute_seconds))
    solution = plan_execution(ExecutionProblem(tuple(relevant), tuple(ways), frozenset(required)))
    loaded = frozenset(name for name, way in solution.chosen.items() if way.state is State.LOAD)
    seconds = solution.certificate.objective
    return Recall(seconds, loaded, frozenset(solution.chosen) - loaded)


def _names_without(names: tuple[str, ...], given: Collection[str]) -> tuple[str, ...]:
    return tuple(name for name in names if name not in given)
