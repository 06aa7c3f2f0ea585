"""Policies against an oracle, on simulated work: `python -m benchmarks.policies [--json] [--works N]`.

Each work is a workflow (one of eight shapes, with costs drawn at random) and a script of 12 edits. Cumulative time is
what its 13 iterations take, loads, computations and writes; regret is that over the time of an oracle that knows the
script beforehand. Every policy is replayed through the same scripts, by true costs, under a hard budget.

Nobody can know a script beforehand, so part of that regret is luck. How much, a second figure tells: a lower bound on
what any policy must take in the mean that knows frequencies only (see `tests.simulation.limit`).
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

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

COMMAND = "python -m benchmarks.policies"
Report = dict[str, Any]
RESULTS = Path(__file__).parent / "results"


def budget_name(share: float | None) -> str:
    """
    >>> budget_name(0.3), budget_name(None)
    ('0.3', 'unlimited')
    """
    return "unlimited" if share is None else f"{share:g}"


def summary(found: Sequence[Outcome]) -> Report:
    """Per budget and policy: regret, times against never and against the rule that purges."""
    budgets = {
        budget_name(share): {name: _figures(found, share, name) for name in ENTRANTS} for share in BUDGETS
    }
    gaps = [1 - outcome.oracle_bound / outcome.oracle_seconds for outcome in found]
    return {
        "works": len({outcome.seed for outcome in found}),
        "shapes": sorted({outcome.shape for outcome in found}),
        "first_seed": min(outcome.seed for outcome in found),
        "oracle_gap_max": round(max(gaps), 5),
        "budgets": budgets,
    }


def _figures(found: Sequence[Outcome], share: float | None, name: str) -> dict[str, float]:
    own = select(found, share, name)
    regrets = sorted(outcome.regret for outcome in own)
    return {
        "regret_geomean": round(geometric_mean(regrets), 4),
        "regret_p95": round(regrets[int(0.95 * (len(regrets) - 1))], 4),
        "regret_max": round(regrets[-1], 4),
        "times_faster_than_never": round(faster(found, share, name, "never"), 4),
        "times_faster_than_rule_purge": round(faster(found, share, name, "rule_purge"), 4),
        "planning_seconds_per_iteration": round(sum(o.planning_seconds for o in own) / len(own) / 13, 4),
    }


def limits(found: Sequence[Standing]) -> Report:
    """Per budget, how near `joint` comes to what no policy can beat that does not know the script."""
    figures: dict[str, dict[str, float]] = {}
    for share in BUDGETS:
        own = [standing for standing in found if standing.budget == share]
        oracle = sum(standing.oracle_seconds / standing.scale for standing in own)
        above = [standing.expected_seconds / standing.limit_seconds for standing in own]
        figures[budget_name(share)] = {
            "joint_expected_over_limit_geomean": round(geometric_mean(above), 4),
            "joint_expected_over_limit_max": round(max(above), 4),
            # Ratios of means: one work's bound over its oracle says nothing, for the oracle's luck is in both.
            "limit_over_oracle": round(sum(s.limit_seconds / s.scale for s in own) / oracle, 4),
            "joint_expected_over_oracle": round(sum(s.expected_seconds / s.scale for s in own) / oracle, 4),
            "joint_over_oracle": round(sum(s.seconds / s.scale for s in own) / oracle, 4),
            "joint_regret_max": round(max(standing.seconds / standing.oracle_seconds for standing in own), 4),
        }
    seeds = {standing.seed for standing in found}
    return {"works": len(seeds), "first_seed": min(seeds), "budgets": figures}


def limits_text(report: Report) -> list[str]:
    """What the limits say, as Markdown."""
    names = [budget_name(share) for share in BUDGETS]
    found = report["limits"]
    rows = {
        "joint, over the bound": "joint_expected_over_limit_geomean",
        "joint, over the bound, worst work": "joint_expected_over_limit_max",
        "the bound, over the oracle, means of all works": "limit_over_oracle",
        "joint on average edits, over the oracle, means of all works": "joint_expected_over_oracle",
        "joint on the edits that came, over the oracle, means of all works": "joint_over_oracle",
        "joint, over the oracle, worst work": "joint_regret_max",
    }
    return [
        "", f"Of `joint`'s regret, this much is luck ({found['works']} works from seed {found['first_seed']}). The "
        "bound is what every policy must take in the mean that knows how often each node is edited, but not which edit "
        "comes next. `joint`'s own time is taken in the mean over the edits that might have come, too, so that the "
        "ratio of the two is about its decisions alone. A worst case over the oracle that is not one over the bound "
        "was an unlikely edit.", "",
        "| | " + " | ".join(names) + " |", "|---" * (1 + len(names)) + "|",
        *(
            f"| {label} | " + " | ".join(f"{found['budgets'][name][figure]:.3f}" for name in names) + " |"
            for label, figure in rows.items()
        ),
    ]


def table(report: Report) -> str:
    """The summary as Markdown."""
    lines = [
        f"{report['works']} works ({', '.join(report['shapes'])}), 12 edits each; budgets as shares of one version's "
        "bytes. Geometric mean of cumulative time over the oracle's; 95th percentile and worst in brackets.", "",
        "| policy | " + " | ".join(budget_name(share) for share in BUDGETS) + " |",
        "|---" * (1 + len(BUDGETS)) + "|",
    ]
    for name in ENTRANTS:
        cells = []
        for share in BUDGETS:
            figures = report["budgets"][budget_name(share)][name]
            cells.append("{regret_geomean:.2f} ({regret_p95:.2f}, {regret_max:.2f})".format(**figures))
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    lines += ["", "Times faster than never:", "", *lines[2:4]]
    for name in ENTRANTS:
        row = [report["budgets"][budget_name(share)][name]["times_faster_than_never"] for share in BUDGETS]
        lines.append(f"| {name} | " + " | ".join(f"{value:.2f}" for value in row) + " |")
    ahead = report["budgets"]["0.3"]["joint"]["times_faster_than_rule_purge"]
    learned = report["budgets"]["0.3"]["joint_learned"]["times_faster_than_rule_purge"]
    lines += [
        "", f"At 0.3, joint is {ahead:.2f} times as fast as rule_purge, with the learned forecast {learned:.2f} times. "
        f"The oracle's own gap is at most {report['oracle_gap_max']:.2%}.",
    ]
    lines += limits_text(report) if "limits" in report else []
    return "\n".join(lines)


def _limits_added(seeds: range, jobs: int) -> Report:
    """The saved report, with the limits of these works."""
    report: Report = json.loads((RESULTS / "policies.json").read_text())
    return report | {"limits": _limits(seeds, jobs)}


def _limits(seeds: range, jobs: int) -> Report:
    with multiprocessing.Pool(jobs) as pool:
        return limits([standing for part in pool.imap(standings, seeds) for standing in part])


def main() -> int:
    """Runs the simulation, prints it, and with --save writes it to `benchmarks/results`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON and nothing else")
    parser.add_argument("--works", type=int, default=200, help="how many works (default 200)")
    parser.add_argument("--first-seed", type=int, default=1000, help="seed of the first (default 1000)")
    parser.add_argument("--jobs", type=int, default=2, help="processes (default 2)")
    parser.add_argument("--save", action="store_true", help="also write results/policies.json and policies.md")
    parser.add_argument("--limits-only", action="store_true", help="take the policies' figures from the saved report")
    arguments = parser.parse_args()
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.works)
    if arguments.limits_only:
        report = _limits_added(seeds, arguments.jobs)
    else:
        with multiprocessing.Pool(arguments.jobs) as pool:
            found = [outcome for part in pool.imap(outcomes, seeds) for outcome in part]
        report = summary(found) | {"limits": _limits(seeds, arguments.jobs)}
    if arguments.save:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "policies.json").write_text(json.dumps(report, indent=2) + "\n")
        (RESULTS / "policies.md").write_text(f"`{COMMAND} --works {report['works']} --first-seed "
                                             f"{report['first_seed']}`\n\n{table(report)}\n")
    print(json.dumps(report, indent=2) if arguments.json else table(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
