"""Policies against an oracle, on simulated work: `python -m benchmarks.policies [--works 200]`.

Each work is a workflow (one of eight shapes, with costs drawn at random) and a script of 12 edits. Cumulative time is
what its 13 iterations take, loads, computations and writes; regret is that over the time of an oracle that knows the
script beforehand. Every policy is replayed through the same scripts, by true costs, under a hard budget, which is a
share of one version's bytes.

No policy can know a script beforehand, so part of that regret is luck. How much, a second figure says: a lower bound on
what any policy must take in the mean that knows how often each node is edited, but not which edit comes next (see
`tests.simulation.limit`). `joint`'s own time is taken in the mean over the edits that might have come, too, so that the
ratio of the two is about its decisions alone.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from benchmarks.harness import Row, command_line, finish
from tests.simulation.standings import (
    BUDGETS,
    ENTRANTS,
    Outcome,
    Standing,
    faster,
    geometric_mean,
    outcomes,
    select,
    standings,
)


def _by_budget(figure: Callable[[float | None], Any]) -> Mapping[str, Any]:
    return {"unlimited" if share is None else f"{share:g}": figure(share) for share in BUDGETS}


def regrets(found: Sequence[Outcome]) -> Iterator[Row]:
    """Give per policy the geometric mean of its regret by budget, with the 95th percentile and the worst in brackets,
    and how many times faster it is than `never`."""
    for name in ENTRANTS:
        def regret(share: float | None, name: str = name) -> str:
            each = sorted(outcome.regret for outcome in select(found, share, name))
            return f"{geometric_mean(each):.2f} ({each[int(0.95 * (len(each) - 1))]:.2f}, {each[-1]:.2f})"

        def times(share: float | None, name: str = name) -> float:
            return faster(found, share, name, "never")

        yield Row(name, _by_budget(regret), {"times faster than never": _by_budget(times)})


def limits(found: Sequence[Standing]) -> Iterator[Row]:
    """Give by budget how near `joint` comes to what no policy can beat that does not know the script."""
    def ratios(share: float | None) -> Mapping[str, float]:
        own = [standing for standing in found if standing.budget == share]
        above = [standing.expected_seconds / standing.limit_seconds for standing in own]
        # Ratios of means: one work's bound over its oracle says nothing, for the oracle's luck is in both.
        oracle = sum(standing.oracle_seconds / standing.scale for standing in own)
        return {
            "joint over the bound": geometric_mean(above),
            "joint over the bound, worst work": max(above),
            "the bound over the oracle": sum(one.limit_seconds / one.scale for one in own) / oracle,
            "joint on average edits over the oracle": sum(one.expected_seconds / one.scale for one in own) / oracle,
            "joint on the edits that came over the oracle": sum(one.seconds / one.scale for one in own) / oracle,
            "joint over the oracle, worst work": max(one.seconds / one.oracle_seconds for one in own),
        }

    by_budget = _by_budget(ratios)
    for name in ratios(None):
        yield Row(name, {budget: f"{figures[name]:.3f}" for budget, figures in by_budget.items()})


def main() -> None:
    """Simulate and print."""
    parser = command_line(__doc__)
    parser.add_argument("--works", type=int, default=200, help="how many works (%(default)s)")
    parser.add_argument("--first-seed", type=int, default=1000, help="seed of the first (%(default)s)")
    parser.add_argument("--jobs", type=int, default=2, help="processes (%(default)s)")
    given = parser.parse_args()
    seeds = range(given.first_seed, given.first_seed + given.works)
    with multiprocessing.Pool(given.jobs) as pool:
        found = [outcome for part in pool.imap(outcomes, seeds) for outcome in part]
        bounds = [standing for part in pool.imap(standings, seeds) for standing in part]
    ahead = {name: faster(found, 0.3, name, "rule_purge") for name in ("joint", "joint_learned")}
    gap = max(1 - outcome.oracle_bound / outcome.oracle_seconds for outcome in found)
    finish(given, "policies", [*regrets(found), *limits(bounds)],
           f"At 0.3, joint is {ahead['joint']:.2f} times as fast as rule_purge, with the learned forecast "
           f"{ahead['joint_learned']:.2f} times. The oracle's own gap is at most {gap:.2%}.")


if __name__ == "__main__":
    main()
