"""The joint program against brute force over every state and every set that may be kept."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import pytest

from helix_spark.errors import SetupError
from helix_spark.planner import solver
from helix_spark.planner.candidates import TIE, afterlife, candidates, lifetime
from helix_spark.planner.demands import outlook, presolved
from helix_spark.planner.joint import ALWAYS, Joint
from helix_spark.planner.joint_program import build
from helix_spark.planner.problem import State
from helix_spark.planner.storage import NodeCosts, OtherArtifact, PlanningProblem, Scenario


def random_nodes(rng: random.Random, count: int, version: str = "") -> tuple[NodeCosts, ...]:
    nodes: list[NodeCosts] = []
    for index in range(count):
        inputs = tuple(node.name for node in rng.sample(nodes, rng.randint(0, min(index, 3))))
        nodes.append(NodeCosts(
            f"n{index}", rng.choice(["scanner", "extractor", "learner", "reducer"]), f"s{index}{version}", inputs,
            compute_seconds=rng.uniform(0, 10), load_seconds=rng.uniform(0, 4), write_seconds=rng.uniform(0, 2),
            bytes=rng.randint(0, 40), stored=not version and rng.random() < 0.3, storable=rng.random() < 0.85,
            keep=rng.choice(["auto"] * 10 + ["never", "always"]), recompute=rng.random() < 0.05,
            compute_needs_spark=rng.random() < 0.5,
        ))
    return tuple(
        replace(
            node, stored=node.stored and node.storable,
            load_needs_spark=node.compute_needs_spark and rng.random() < 0.5,
        )
        for node in nodes
    )


def random_problem(seed: int) -> PlanningProblem:
    rng = random.Random(seed)
    nodes = random_nodes(rng, rng.randint(1, 6))
    names = [node.name for node in nodes]
    outputs = frozenset(rng.sample(names, rng.randint(1, min(2, len(names)))))
    weights = [rng.random() for _ in range(len(names) + 2)]
    scenarios = [
        Scenario(weight / sum(weights), frozenset({name}), name) for name, weight in zip(names, weights, strict=False)
    ]
    scenarios.append(Scenario(weights[-2] / sum(weights), frozenset(), "nothing is edited"))
    # An earlier version: the last nodes have other signatures, some of which are stored.
    split = rng.randrange(len(nodes))
    older = tuple(
        replace(node, signature=node.signature + "old", stored=False) if index >= split else node
        for index, node in enumerate(nodes)
    )
    scenarios.append(Scenario(weights[-1] / sum(weights), frozenset(), "back", version=older, outputs=outputs))
    others = tuple(
        OtherArtifact(node.signature, "w", node.name, node.bytes, node.load_seconds, 5.0, 1)
        for node in older[split:] if node.storable and rng.random() < 0.5
    )
    foreign = (OtherArtifact("f", "elsewhere", "rows", rng.randint(1, 40), 1.0, rng.uniform(0, 9), rng.randint(0, 2)),)
    budget = rng.choice([None, 0, rng.randint(1, 30), rng.randint(30, 120)])
    return PlanningProblem(
        nodes, outputs, budget, 0, others + foreign, tuple(scenarios), rng.uniform(1, 9),
        session_seconds=rng.choice([0.0, rng.uniform(0, 9)]), start_price=rng.choice([0.0, rng.uniform(0, 9)]),
        fresh_process=rng.choice([0.0, rng.random(), 1.0]),
    )


@cache
def ways(
    nodes: tuple[NodeCosts, ...], outputs: frozenset[str], session_seconds: float
) -> list[tuple[frozenset[str], float]]:
    """For each set of computed nodes: what is to be loaded beside it, and the seconds of it all."""
    found = []
    for computed in itertools.product([False, True], repeat=len(nodes)):
        picked = {node.name for node, pick in zip(nodes, computed, strict=True) if pick}
        needed = set(outputs) | {name for node in nodes if node.name in picked for name in node.inputs}
        loaded = needed - picked
        steps = [
            (node.compute_seconds, node.compute_needs_spark) if node.name in picked
            else (node.load_seconds, node.load_needs_spark)
            for node in nodes if node.name in picked | loaded
        ]
        seconds = sum(took for took, _ in steps)
        if any(with_spark for _, with_spark in steps):
            seconds += session_seconds
        found.append((frozenset(loaded), seconds))
    return found


def next_seconds(problem: PlanningProblem, kept: frozenset[str]) -> float:
    total = 0.0
    for scenario in problem.scenarios:
        nodes = scenario.version or problem.nodes
        lost: set[str] = set()
        for node in nodes:
            if node.name in scenario.hit or lost & set(node.inputs):
                lost.add(node.name)
        loadable = {node.name for node in nodes
                    if node.signature in kept and node.name not in lost and not node.recompute}
        outputs = scenario.outputs if scenario.version else problem.outputs
        found = ways(nodes, outputs, problem.later_session_seconds)
        total += scenario.probability * min(seconds for loaded, seconds in found if loaded <= loadable)
    return total


def kept_cost(problem: PlanningProblem, kept: frozenset[str]) -> tuple[float, float]:
    """Seconds of the writes' shares, and what results of no scenario are worth that are not kept; and the ties."""
    seconds = 0.0
    ties = sum(candidate.tie for name, candidate in candidates(problem, {}).items() if name in kept)
    for node in problem.nodes:
        if node.signature in kept:
            lost = [s.probability for s in problem.scenarios if not s.version and node.name in below(problem, s.hit)]
            seconds += 0.0 if node.stored else node.write_seconds / lifetime(sum(lost), problem.horizon)
    in_scenarios = {node.signature for scenario in problem.scenarios for node in scenario.version}
    for other in problem.others:
        room = math.inf if problem.budget is None else problem.budget
        if other.signature not in kept and other.signature not in in_scenarios and other.bytes <= room:
            chance = afterlife(other.age)
            seconds += chance * max(0.0, other.seconds_again - other.load_seconds)
    return seconds, ties


def below(problem: PlanningProblem, hit: frozenset[str]) -> set[str]:
    lost: set[str] = set()
    for node in problem.nodes:
        if node.name in hit or lost & set(node.inputs):
            lost.add(node.name)
    return lost


def states_now(problem: PlanningProblem) -> list[tuple[float, frozenset[str]]]:
    """Seconds, and which signatures are computed, of every valid combination of states."""
    found = []
    stored = {node.name for node in problem.nodes if node.stored and not node.recompute}
    for choice in itertools.product("cl-", repeat=len(problem.nodes)):
        state = {node.name: pick for node, pick in zip(problem.nodes, choice, strict=True)}
        had = {name for name, pick in state.items() if pick != "-"}
        if not problem.outputs <= had or not {name for name in had if state[name] == "l"} <= stored:
            continue
        if any(state[node.name] == "c" and not set(node.inputs) <= had for node in problem.nodes):
            continue
        steps = [
            (node.compute_seconds, node.compute_needs_spark) if state[node.name] == "c"
            else (node.load_seconds, node.load_needs_spark)
            for node in problem.nodes if node.name in had
        ]
        seconds = sum(took for took, _ in steps)
        if any(with_spark for _, with_spark in steps):
            seconds += problem.session_seconds
        found.append((seconds, frozenset(node.signature for node in problem.nodes if state[node.name] == "c")))
    cheapest_by_set: dict[frozenset[str], float] = {}
    for seconds, computed in found:
        cheapest_by_set[computed] = min(seconds, cheapest_by_set.get(computed, math.inf))
    return [(seconds, computed) for computed, seconds in cheapest_by_set.items()]


def brute_force(
    problem: PlanningProblem, insisted: frozenset[str] | None = None
) -> tuple[float, frozenset[str]]:
    """The best objective, and the best set to keep by objective and ties.

    Args:
        insisted: signatures of what is kept where it is there; None for what the author wishes.
    """
    sizes = {node.signature: node.bytes for node in problem.nodes}
    sizes |= {other.signature: other.bytes for other in problem.others}
    stored = {node.signature for node in problem.nodes if node.stored} | {other.signature for other in problem.others}
    wishes = {node.signature: node.keep for node in problem.nodes}
    if insisted is None:
        insisted = granted([node for node in problem.nodes if node.keep == "always"], problem.budget)
    states = states_now(problem)
    names = [name for name in sizes if wishes.get(name) != "never"
             and (name in stored or next(n for n in problem.nodes if n.signature == name).storable)]
    best = (math.inf, math.inf, frozenset[str]())
    for picks in itertools.product([False, True], repeat=len(names)):
        kept = frozenset(name for name, pick in zip(names, picks, strict=True) if pick)
        if problem.budget is not None and sum(sizes[name] for name in kept) > problem.budget:
            continue
        future = next_seconds(problem, kept)
        cost, ties = kept_cost(problem, kept)
        for seconds, computed in states:
            must = insisted & (stored | computed)
            if kept - stored <= computed and must <= kept:
                best = min(best, (future + cost + seconds + ties, future + cost + seconds, kept),
                           key=lambda option: option[0])
    return best[1], best[2]


@pytest.mark.parametrize("block", range(15))
def test_kept_set_and_objective_equal_brute_force(block: int) -> None:
    for seed in range(20 * block, 20 * block + 20):
        problem = random_problem(seed)
        objective, kept = brute_force(problem)
        decision = Joint().decide(problem)
        proof = decision.certificate
        assert proof.status == "optimal", (seed, proof)
        assert proof.objective == pytest.approx(objective, abs=5 * TIE), seed
        others = {other.signature for other in problem.others}
        assert decision.keep | (others - decision.evict) == kept, seed


def granted(wanted: Sequence[NodeCosts | OtherArtifact], budget: int | None) -> frozenset[str]:
    """Signatures of those that fit into the budget, one after the other."""
    found = dict[str, int]()
    for one in wanted:
        fits = budget is None or sum(found.values()) + one.bytes <= budget
        if fits and getattr(one, "storable", True):
            found.setdefault(one.signature, one.bytes)
    return frozenset(found)


@pytest.mark.parametrize("block", range(4))
def test_what_is_shown_is_kept_while_there_is_room_at_the_least_cost(block: int) -> None:
    for seed in range(2_000 + 20 * block, 2_020 + 20 * block):
        rng = random.Random(seed)
        problem = random_problem(seed)
        problem = replace(
            problem, nodes=tuple(replace(node, shown=rng.random() < 0.4) for node in problem.nodes),
            others=tuple(replace(one, shown="it is shown" if rng.random() < 0.4 else "") for one in problem.others),
        )
        nodes, others = problem.nodes, problem.others
        objective, _ = brute_force(problem, granted([
            *(node for node in nodes if node.keep == "always"),
            *(node for node in nodes if node.shown and node.keep != "never"),
            *(other for other in others if other.shown),
        ], problem.budget))
        proof = Joint().decide(problem).certificate
        assert proof.status == "optimal", (seed, proof)
        assert proof.objective == pytest.approx(objective, abs=5 * TIE), seed


def test_small_results_are_kept_from_the_smallest_on_where_writing_them_is_quick() -> None:
    problem = with_node(chain(), "features", write_seconds=0.4)
    decision = Joint(small=30_000).decide(problem)
    assert decision.reasons["s-model"] == "kept: it is small; costs 0.20 s and 9.0 kB"
    assert "s-model" not in Joint().decide(problem).keep
    assert "s-model" not in Joint(small=8_999).decide(problem).keep
    assert "s-model" not in Joint(small=30_000).decide(with_node(problem, "model", write_seconds=0.6)).keep
    assert "s-model" not in Joint(small=30_000).decide(with_node(problem, "model", keep="never")).keep


def test_what_is_pinned_is_kept_beyond_the_budget() -> None:
    pinned = OtherArtifact("pinned", "w", "rows", 90, 0.6, 9.0, 9, kept_for="iteration 1 of `w` is pinned", pinned=True)
    plain = replace(pinned, signature="plain", kept_for="", pinned=False)
    decision = Joint().decide(chain(others=(plain, pinned), budget=50))
    assert decision.evict == {"plain"}
    assert decision.certificate.status == "optimal"
    assert decision.reasons["pinned"] == "kept: iteration 1 of `w` is pinned (`rows` of w); takes 90 B"
    assert ALWAYS.decide(chain(others=(plain, pinned), budget=50)).evict == {"plain"}


def chain(**changes: object) -> PlanningProblem:
    """rows -> features -> model, nothing stored; the model is edited next."""
    costs = {
        "rows": (40.0, 0.6, 1.2, 14_000_000), "features": (8.0, 0.5, 1.0, 12_000_000), "model": (5.0, 0.1, 0.2, 9_000),
    }
    nodes: list[NodeCosts] = []
    for name, (compute, load, write, size) in costs.items():
        nodes.append(NodeCosts(name, "scanner", f"s-{name}", tuple(node.name for node in nodes[-1:]), compute, load,
                               write, size))
    edits = (Scenario(0.9, frozenset({"model"}), "model"), Scenario(0.1, frozenset({"features"}), "features"))
    return replace(PlanningProblem(tuple(nodes), frozenset({"model"}), None, 0, (), edits, 8.0), **changes)


def with_node(problem: PlanningProblem, name: str, **changes: object) -> PlanningProblem:
    nodes = tuple(replace(node, **changes) if node.name == name else node for node in problem.nodes)
    return replace(problem, nodes=nodes)


def test_keeps_what_the_next_edit_reads() -> None:
    decision = Joint().decide(chain())
    assert decision.keep == {"s-rows", "s-features"}
    assert decision.certificate.status == "optimal"
    assert decision.certificate.scenarios == 2


def test_a_budget_for_one_goes_to_the_likelier_edit() -> None:
    decision = Joint().decide(chain(budget=14_000_000))
    assert decision.keep == {"s-features"}
    assert decision.reasons["s-rows"] == "not kept: the budget is better spent on `features`"


def test_says_in_words_what_keeping_costs_and_saves() -> None:
    said = Joint().decide(chain()).reasons
    assert said["s-features"] == (
        "kept: 8.6 s to recompute, 0.50 s to load, 90% likely to be reused; costs 1.0 s and 12 MB"
    )
    assert said["s-model"] == "not kept: with the other kept results, the next edit hardly ever needs it"


def test_a_smaller_budget_evicts_at_the_next_run() -> None:
    problem = with_node(with_node(chain(budget=14_000_000), "rows", stored=True), "features", stored=True)
    decision = Joint().decide(problem)
    assert decision.evict == {"s-rows"}
    assert decision.reasons["s-rows"] == "evicted: the budget is better spent on `features`"


def test_overhead_counts_against_the_budget() -> None:
    assert Joint().decide(chain(budget=14_000_000, overhead=13_000_000)).keep == set()


@pytest.mark.parametrize(("wish", "kept"), [("always", True), ("never", False)])
def test_the_authors_wish_goes_before_the_program(wish: str, kept: bool) -> None:
    name = "model" if wish == "always" else "features"
    decision = Joint().decide(with_node(chain(), name, keep=wish))
    assert (f"s-{name}" in decision.keep) is kept
    assert "you asked" in decision.reasons[f"s-{name}"]


def test_what_the_author_no_longer_wants_kept_is_evicted() -> None:
    decision = Joint().decide(with_node(chain(), "features", stored=True, keep="never"))
    assert decision.evict == {"s-features"}


def test_a_wish_larger_than_the_budget_is_not_granted() -> None:
    decision = Joint().decide(with_node(chain(budget=13_000_000), "rows", keep="always"))
    assert "s-rows" not in decision.keep
    assert decision.reasons["s-rows"] == "not kept: its 14 MB are more than the whole budget"


def test_recompute_computes_what_is_stored() -> None:
    problem = with_node(with_node(chain(), "rows", stored=True), "rows", recompute=True)
    assert Joint().decide(problem).solution.state("rows") is State.COMPUTE


def test_what_is_held_loads_now_and_may_be_written_but_does_not_last() -> None:
    problem = with_node(chain(), "rows", held=True)
    decision = Joint().decide(problem)
    assert decision.solution.state("rows") is State.LOAD
    assert "s-rows" in decision.keep


def test_storage_alone_is_decided_where_the_states_are_given() -> None:
    problem = chain()
    done = Joint().decide(problem).solution
    decision = Joint().decide(replace(problem, done=done))
    assert decision.solution is done
    assert decision.keep == {"s-rows", "s-features"}


def test_nothing_is_kept_that_was_not_had() -> None:
    problem = with_node(chain(), "model", stored=True)
    done = Joint().decide(problem).solution
    assert done.state("features") is State.PRUNE
    assert Joint().decide(replace(problem, done=done)).keep == {"s-model"}


def test_an_earlier_iterations_result_competes_with_the_current_ones() -> None:
    problem = chain(budget=14_000_000)
    older = tuple(replace(node, signature=f"{node.signature}-old") for node in problem.nodes)
    back = Scenario(0.9, frozenset(), "back", version=older, outputs=problem.outputs)
    edits = (back, *(replace(scenario, probability=scenario.probability / 10) for scenario in problem.scenarios))
    stored = OtherArtifact("s-features-old", "w", "features", 12_000_000, 0.5, 48.0, 1)
    decision = Joint().decide(replace(problem, scenarios=edits, others=(stored,)))
    assert decision.keep == set()
    assert decision.evict == set()
    assert decision.reasons["s-features-old"].startswith("kept: 90% likely to be reused")


def test_a_result_counts_for_less_the_longer_it_is_out_of_date() -> None:
    newest = OtherArtifact("newest", "w", "rows", 14_000_000, 0.6, 400.0, 1)
    past = OtherArtifact("past", "w", "rows", 14_000_000, 0.6, 400.0, 5)
    found = candidates(chain(others=(newest, past)), {})
    assert found["newest"].worth > found["past"].worth > 0


def test_an_old_result_that_is_made_quickly_from_what_is_stored_is_worth_little() -> None:
    derived = OtherArtifact("derived", "ours", "sums", 14_000_000, 0.6, 3.0, 1)
    parse = OtherArtifact("parse", "ours", "parse", 14_000_000, 0.6, 600.0, 1)
    decision = Joint().decide(chain(budget=40_000_000, others=(derived, parse)))
    assert decision.evict == {"derived"}


def looked_at(fresh: float, **changes: object) -> PlanningProblem:
    """predictions -> auc, which is stored, and edited next or not; in a new process Spark has to be paid for."""
    predictions = NodeCosts("predictions", "predict", "s-predictions", (), 1.0, 0.1, 0.1, 100, compute_needs_spark=True)
    auc = NodeCosts("auc", "reducer", "s-auc", ("predictions",), 0.2, 0.0, 0.0, 0, stored=True)
    next_ones = (
        Scenario(0.5, frozenset({"auc"}), "`auc` is edited"), Scenario(0.5, frozenset(), "nothing is edited"),
    )
    problem = PlanningProblem((predictions, auc), frozenset({"auc"}), None, 0, (), next_ones, start_price=9.0,
                              fresh_process=fresh)
    return replace(problem, **changes)


def test_what_the_next_process_would_pay_more_for_is_computed_while_a_session_runs() -> None:
    decision = Joint().decide(looked_at(1.0))
    assert decision.solution.state("predictions") is State.COMPUTE
    assert decision.keep == {"s-predictions", "s-auc"}


def test_what_the_next_iteration_would_pay_no_more_for_is_left_to_it() -> None:
    for problem in (looked_at(0.0), looked_at(1.0, session_seconds=9.0)):
        decision = Joint().decide(problem)
        assert decision.solution.state("predictions") is State.PRUNE
        assert decision.certificate.solver == "none needed"


def test_a_session_is_paid_for_by_what_only_spark_can_load() -> None:
    def ahead(load_needs_spark: bool) -> float:
        model = NodeCosts("model", "learner", "m", (), 5.0, 0.3, 0.1, 10, stored=True, compute_needs_spark=True,
                          load_needs_spark=load_needs_spark)
        again = Scenario(1.0, frozenset(), "nothing is edited")
        problem = PlanningProblem((model,), frozenset({"model"}), None, 0, (), (again,), start_price=9.0,
                                  fresh_process=1.0)
        decision = Joint().decide(problem)
        assert "s-model" not in decision.evict
        return decision.certificate.objective - 0.3

    assert ahead(False) == pytest.approx(0.3), "a load without Spark is as quick in a young process"
    assert ahead(True) == pytest.approx(9.0 + 0.3)


def test_what_nobody_asks_for_is_no_variable_where_there_is_room() -> None:
    past = tuple(OtherArtifact(f"past-{number}", "w", "rows", 1_000, 1.0, 5.0, 3) for number in range(500))
    for budget in (None, 100_000_000):
        problem = chain(others=past, budget=budget)
        ahead = outlook(problem)
        chosen = candidates(problem, ahead.hazard)
        program = build(problem, presolved(ahead, chosen.keys()), chosen, frozenset())
        assert program.settled == {other.signature for other in past}
        assert not program.settled & program.keep.keys()
        assert Joint().decide(problem).evict == set()


def test_where_there_is_no_room_what_is_certain_takes_its_own_without_a_variable() -> None:
    values = tuple(OtherArtifact(f"value-{number}", "w", "auc", 0, 0.0, 5.0, 3) for number in range(50))
    tables = tuple(OtherArtifact(f"table-{number}", "w", "rows", 9_000_000, 1.0, 5.0, 3) for number in range(2))
    problem = chain(others=values + tables, budget=14_000_000)
    decision = Joint().decide(problem)
    assert decision.evict == {"table-0", "table-1"}
    assert decision.keep == {"s-features"}
    assert decision.certificate.status == "optimal"


def small_ones(count: int, size: int) -> tuple[OtherArtifact, ...]:
    """Stored results of long ago that nobody would miss."""
    return tuple(OtherArtifact(f"small-{number}", "w", "sums", size, 1.0, 1.05, 9) for number in range(count))


def test_many_small_results_do_not_take_the_room_of_what_is_worth_more() -> None:
    problem = chain(others=small_ones(600, 1_250), budget=12_500_000)
    decision = Joint().decide(problem)
    proof = decision.certificate
    assert decision.keep == {"s-features"}
    assert 12_000_000 + 1_250 * (600 - len(decision.evict)) <= 12_500_000
    assert proof.bound <= proof.objective
    assert proof.gap < 0.01


def test_a_small_result_is_kept_without_a_choice_where_it_has_room_beside_the_best_of_the_rest() -> None:
    one = small_ones(1, 1_000)
    tight, roomy = (Joint().decide(chain(others=one, budget=size)) for size in (12_000_500, 12_001_000))
    assert tight.keep == roomy.keep == {"s-features"}
    assert (tight.evict, roomy.evict) == ({"small-0"}, set())
    assert tight.certificate.status == roomy.certificate.status == "optimal"


def with_small_ones(problem: PlanningProblem, seed: int) -> PlanningProblem:
    """The same with sizes of which about half are small beside the budget."""
    rng = random.Random(seed)
    budget = None if problem.budget is None else 100_000 * problem.budget

    def size(taken: int) -> int:
        return rng.randint(0, (budget or 0) // 10_000) if rng.random() < 0.5 else 100_000 * taken

    return replace(
        problem, budget=budget, nodes=tuple(replace(node, bytes=size(node.bytes)) for node in problem.nodes),
        others=tuple(replace(other, bytes=size(other.bytes)) for other in problem.others),
    )


@pytest.mark.parametrize("block", range(4))
def test_with_small_results_the_objective_equals_brute_force(block: int) -> None:
    for seed in range(1_000 + 20 * block, 1_020 + 20 * block):
        problem = with_small_ones(random_problem(seed), seed)
        objective, _ = brute_force(problem)
        proof = Joint().decide(problem).certificate
        assert proof.status == "optimal", (seed, proof)
        assert proof.objective == pytest.approx(objective, abs=5 * TIE), seed


ASKED = "workflow `theirs` asked for it"


def test_what_another_workflow_insists_on_comes_first_then_own_wishes_then_draws_of_the_past() -> None:
    theirs = OtherArtifact("theirs", "theirs", "rows", 8_000_000, 0.6, 9.0, 1, kept_for=ASKED)
    draws = tuple(OtherArtifact(f"draw-{age}", "w", "rows", 4_000_000, 0.6, 9.0, age, fixed=True) for age in (3, 1))
    problem = with_node(chain(others=(theirs, *draws)), "features", keep="always")
    granted = {
        room: {name for name, one in candidates(replace(problem, budget=room), {}).items() if one.claim}
        for room in (19_999_999, 20_000_000, 24_000_000, 30_000_000)
    }
    assert granted == {
        19_999_999: {"theirs", "draw-1", "draw-3"}, 20_000_000: {"theirs", "s-features"},
        24_000_000: {"theirs", "s-features", "draw-1"}, 30_000_000: {"theirs", "s-features", "draw-1", "draw-3"},
    }


def test_a_draw_of_the_current_version_that_is_stored_comes_before_all_other_wishes() -> None:
    theirs = OtherArtifact("theirs", "theirs", "rows", 8_000_000, 0.6, 9.0, 1, kept_for=ASKED)
    problem = with_node(chain(others=(theirs,), budget=14_000_000), "features", keep="always", fixed=True, stored=True)
    decision = Joint().decide(problem)
    assert "s-features" in decision.keep
    assert decision.evict == {"theirs"}


def test_who_insists_on_another_result_is_said() -> None:
    theirs = OtherArtifact("theirs", "theirs", "rows", 8_000_000, 0.6, 9.0, 1, kept_for=ASKED)
    draw = OtherArtifact("draw", "w", "rows", 8_000_000, 0.6, 9.0, 1, fixed=True)
    shared = OtherArtifact("shared", "w", "rows", 8_000_000, 0.6, 9.0, 1, kept_for=ASKED)
    said = Joint().decide(chain(others=(theirs, draw, shared))).reasons
    assert said["theirs"] == "kept: workflow `theirs` asked for it (`rows` of theirs); takes 8.0 MB"
    assert said["shared"] == "kept: workflow `theirs` asked for it (`rows` of w); takes 8.0 MB"
    assert said["draw"] == "kept: it is random and cannot be computed again (`rows` of w); takes 8.0 MB"


def test_equal_problems_get_equal_plans() -> None:
    for seed in range(5):
        first, second = (Joint().decide(random_problem(seed)) for _ in range(2))
        assert (first.keep, first.evict, first.reasons) == (second.keep, second.evict, second.reasons)
        assert first.solution.chosen == second.solution.chosen


@pytest.mark.parametrize("budget", [0, 1, 8_999])
def test_a_budget_too_small_for_anything_keeps_nothing(budget: int) -> None:
    problem = with_node(chain(budget=budget), "rows", stored=True)
    decision = Joint().decide(problem)
    assert (decision.keep, decision.evict) == (set(), {"s-rows"})


def test_without_a_solver_there_is_no_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(solver, "is_available", bool)
    with pytest.raises(SetupError, match="no solver is installed"):
        Joint().decide(with_node(chain(), "rows", stored=True))


def test_without_time_every_result_is_kept_and_the_plan_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = solver.Answer(None, "No Solution Found", "HiGHS")
    monkeypatch.setattr("helix_spark.planner.joint.solve", lambda program, **limits: nothing)
    decision = Joint(time_limit=0.0).decide(with_node(chain(), "rows", stored=True))
    assert decision.solution.state("rows") is State.LOAD
    assert decision.certificate.status == "fallback"
    assert "the solver found no plan in 0 s (No Solution Found)" in decision.certificate.notice
    assert "every result is kept instead" in decision.certificate.notice


def test_a_large_program_stops_at_a_stated_gap_and_keeps_to_the_budget() -> None:
    rng = random.Random(1)
    nodes = tuple(replace(node, keep="auto", recompute=False, bytes=node.bytes + 1) for node in random_nodes(rng, 60))
    read = {name for node in nodes for name in node.inputs}
    edits = tuple(Scenario(1 / 60, frozenset({node.name}), node.name) for node in nodes)
    outputs = frozenset(node.name for node in nodes if node.name not in read)
    decision = Joint().decide(PlanningProblem(nodes, outputs, 250, 0, (), edits, 8.0))
    proof = decision.certificate
    assert proof.bound <= proof.objective
    assert proof.gap < 0.02
    assert sum(node.bytes for node in nodes if node.signature in decision.keep) <= 250
