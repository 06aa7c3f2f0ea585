"""Policies against an oracle, on simulated work: `python -m benchmarks.policies [--works 200]`.

Each work is a workflow (one of eight shapes, with costs drawn at random) and a script of 12 edits. Cumulative time is
what its 13 iterations take, loads, computations and writes; regret is that over the time of an oracle that knows the
script beforehand. Every policy is replayed through the same scripts, by true costs, under a hard budget, which is a
share of one version's bytes.

No policy can know a script beforehand, so part of that regret is luck. A second figure shows how much: a lower bound on
the mean time of any policy that knows how often each node is edited, but not which edit comes next (see
`tests.simulation.limit`). The time of `joint` is then also a mean over the edits that might have come, so that the
ratio of the two depends on its decisions alone.
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


def regrets(results: Sequence[Outcome]) -> Iterator[Row]:
    """Give per policy the geometric mean of its regret by budget, with the 95th percentile and the worst in brackets,
    and its speed-up over `never`."""
    for name in ENTRANTS:
        def regret(share: float | None, name: str = name) -> str:
            values = sorted(outcome.regret for outcome in select(results, share, name))
            return f"{geometric_mean(values):.2f} ({values[int(0.95 * (len(values) - 1))]:.2f}, {values[-1]:.2f})"

        def times(share: float | None, name: str = name) -> float:
            return faster(results, share, name, "never")

        yield Row(name, _by_budget(regret), {"times faster than never": _by_budget(times)})


def limits(results: Sequence[Standing]) -> Iterator[Row]:
    """Give by budget the ratios of `joint`, the bound for policies that do not know the script, and the oracle."""
    def ratios(share: float | None) -> Mapping[str, float]:
        own = [standing for standing in results if standing.budget == share]
        above = [standing.expected_seconds / standing.limit_seconds for standing in own]
        # Ratios of means, since one work's bound over its oracle depends on luck.
        oracle = sum(standing.oracle_seconds / standing.scale for standing in own)
        return {
            "joint over the bound": geometric_mean(above),
            "joint over the bound, worst work": max(above),
            "the bound over the oracle": sum(standing.limit_seconds / standing.scale for standing in own) / oracle,
            "joint on average edits over the oracle": sum(
                standing.expected_seconds / standing.scale for standing in own
            ) / oracle,
            "joint on the edits that came over the oracle": sum(
                standing.seconds / standing.scale for standing in own
            ) / oracle,
            "joint over the oracle, worst work": max(standing.seconds / standing.oracle_seconds for standing in own),
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
    options = parser.parse_args()
    seeds = range(options.first_seed, options.first_seed + options.works)
    with multiprocessing.Pool(options.jobs) as pool:
        results = [outcome for part in pool.imap(outcomes, seeds) for outcome in part]
        bounds = [standing for part in pool.imap(standings, seeds) for standing in part]
    ahead = {name: faster(results, 0.3, name, "rule_purge") for name in ("joint", "joint_learned")}
    gap = max(1 - outcome.oracle_bound / outcome.oracle_seconds for outcome in results)
    finish(options, "policies", [*regrets(results), *limits(bounds)],
           f"At 0.3, joint is {ahead['joint']:.2f} times as fast as rule_purge, with the learned forecast "
           f"{ahead['joint_learned']:.2f} times. The oracle's own gap is at most {gap:.2%}.")


if __name__ == "__main__":
    main()
