"""One Markdown report of many experiments: how much less a person waits, and how far Helix is from what could be.

Ratios are of the other system's cumulative seconds to the answer over `helix`'s, so more than 1 says Helix is faster;
"edits" leaves the first run out. Means are geometric.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from typing import Any

from benchmarks.iterating.agreement import unseen

Report = dict[str, Any]
POLICIES = frozenset({"helix", "rule", "rule_purge", "always", "never", "oracle"})
KINDS = ("preparation", "learning", "post-processing", "back")


def summary(reports: Sequence[Report]) -> str:
    """All tables, a part a mode, budget and amount of data.

    Args:
        reports: of experiments in which `helix` took part; others are named and left out.
    """
    with_ours = [report for report in reports if "helix" in report["systems"]]
    lines = ["# Edits of real jobs, and what each system takes to answer", "", _method(reports)]
    for part in sorted(set(map(_part, with_ours))):
        chosen = [report for report in with_ours if _part(report) == part]
        lines += ["", f"## {part}", "", *_by_workload(chosen), "", *_by_kind(chosen), "", *_by_system(chosen),
                  "Seconds to the answers, first run + edits:", "", *_scripts(chosen, _seconds), "",
                  "Seconds until everything was stored, first run + edits:", "", *_scripts(chosen, _busy), "",
                  "Most memory of a driver at any time, GB:", "", *_scripts(chosen, _memory)]
    left_out = [f"{r['workload']} {r['script']} {r['mode']}" for r in reports if r not in with_ours]
    lines += ["", f"Without helix, so left out: {', '.join(left_out)}."] if left_out else []
    wrong = [f"- {r['workload']} {r['script']} {r['mode']}: {text}" for r in reports for text in r["disagreements"]]
    lines += ["", *(["Different answers:", "", *wrong] if wrong else ["All systems gave the same answers."])]
    return "\n".join([*lines, "", _noticed(reports)])


def _noticed(reports: Sequence[Report]) -> str:
    """How many edits show in some answer, so that a stale one would have been noticed."""
    edits = [
        (f"{report['workload']}, {report['edits'][number]}", report["edits"][number] in silent)
        for report in reports
        for silent in [unseen(next(iter(report["systems"].values()))["outputs"], report["edits"])]
        for number in range(1, len(report["edits"]))
    ]
    names = sorted({name for name, is_silent in edits if is_silent})
    shown = f" Those that do not: {'; '.join(names)}." if names else ""
    return f"{sum(not silent for _, silent in edits)} of {len(edits)} edits show in an answer.{shown}"


def _part(report: Report) -> str:
    """What an experiment has in common with those that it is compared with."""
    settings = "".join(f", {setting}={value}" for setting, value in report.get("other_settings", {}).items())
    budget = report.get("budget")
    limit = "" if budget is None else f", budget {budget:g} of one version's bytes"
    return f"{report['mode']} mode{settings}{limit}"


def _method(reports: Sequence[Report]) -> str:
    edits = {len(report["kinds"]) - 1 for report in reports}
    versions = {f"{name} {one}" for report in reports for name, one in report.get("versions", {}).items()}
    return (
        f"`python -m benchmarks.matrix`, {len(reports)} experiments of {' or '.join(map(str, sorted(edits)))} edits. "
        "Seconds are cumulative, to the answer; ratios are the other system's seconds over helix's, `all` with the "
        "first run and `edits` without it; means over scripts, and over everything, are geometric. "
        f"Versions: {', '.join(sorted(versions))}. How much data, where nothing else is said: {_amounts(reports)}."
    )


def _amounts(reports: Sequence[Report]) -> str:
    """The settings of each workload that are not the job's own."""
    found = {
        f"{report['workload']} {setting}={value}" for report in reports if not report.get("other_settings")
        for setting, value in report["settings"].items()
    }
    return ", ".join(sorted(found)) or "each job's own"


def _by_workload(reports: Sequence[Report]) -> list[str]:
    lines = [
        "| workload | scripts | plain / helix, all | edits | helix / oracle, edits | rule / helix, edits "
        "| rule_purge / helix, edits | worst of any peer / helix, edits | busy above plain's from the third on "
        "| in total |",
        "|---" * 10 + "|",
    ]
    names = sorted({report["workload"] for report in reports})
    for name in [*names, "all"]:
        own = [report for report in reports if name in (report["workload"], "all")]
        lines.append(f"| {name} | {len(own)} | " + " | ".join([
            _mean(ratio(r, "plain", first=True) for r in own), _mean(ratio(r, "plain") for r in own),
            _mean(_turned(ratio(r, "oracle")) for r in own), _mean(ratio(r, "rule") for r in own),
            _mean(ratio(r, "rule_purge") for r in own), _worst(own), _busier(own),
            _busier(own, in_total=True),
        ]) + " |")
    return lines


def _by_kind(reports: Sequence[Report]) -> list[str]:
    """plain / helix by kind of edit: the mean over single iterations."""
    names = sorted({report["workload"] for report in reports if "plain" in report["systems"]})
    if not names:
        return []
    lines = ["plain / helix by kind of edit, mean over iterations:", "", "| workload | " + " | ".join(KINDS) + " |",
             "|---" * (len(KINDS) + 1) + "|"]
    for name in [*names, "all"]:
        own = [r for r in reports if name in (r["workload"], "all") and "plain" in r["systems"]]
        lines.append(f"| {name} | " + " | ".join(_mean(_single(own, kind)) for kind in KINDS) + " |")
    return lines


def _by_system(reports: Sequence[Report]) -> list[str]:
    """What other systems take, by both clocks: Helix stores behind its answers, others before theirs or not at all."""
    systems = list(dict.fromkeys(name for report in reports for name in report["systems"] if name != "helix"))
    if not systems:
        return []
    lines = ["Seconds of other systems over helix's, geometric means over scripts:", "",
             "| system | experiments | to the answers, edits | with the first run | until stored, edits "
             "| with the first run |", "|---" * 6 + "|"]
    for name in systems:
        own = [report for report in reports if name in report["systems"]]
        ratios = [
            _mean(ratio(report, name, first=first, clock=clock) for report in own)
            for clock in ("answer_seconds", "busy_seconds") for first in (False, True)
        ]
        lines.append(f"| {name} | {len(own)} | " + " | ".join(ratios) + " |")
    return [*lines, ""]


def _single(reports: Iterable[Report], kind: str) -> Iterable[float]:
    for report in reports:
        plain, ours = (report["systems"][name]["answer_seconds"] for name in ("plain", "helix"))
        for number, one in enumerate(report["kinds"]):
            if one == kind:
                yield plain[number] / ours[number]


def _scripts(reports: Sequence[Report], cell: Callable[[dict[str, Any]], str]) -> list[str]:
    """A row a script, a column a system."""
    systems = list(dict.fromkeys(name for report in reports for name in report["systems"]))
    lines = ["| workload | script | " + " | ".join(systems) + " |", "|---" * (len(systems) + 2) + "|"]
    for report in sorted(reports, key=lambda one: (one["workload"], one["script"])):
        cells = [cell(figures) if figures else "" for figures in map(report["systems"].get, systems)]
        lines.append(f"| {report['workload']} | {report['script']} | " + " | ".join(cells) + " |")
    return lines


def _seconds(figures: dict[str, Any]) -> str:
    return f"{figures['answer_seconds'][0]:.1f} + {sum(figures['answer_seconds'][1:]):.1f}"


def _busy(figures: dict[str, Any]) -> str:
    return f"{figures['busy_seconds'][0]:.1f} + {sum(figures['busy_seconds'][1:]):.1f}"


def _memory(figures: dict[str, Any]) -> str:
    return f"{figures['peak_rss_bytes'] / 1e9:.2f}"


def ratio(report: Report, other: str, *, first: bool = False, clock: str = "answer_seconds") -> float | None:
    """The other system's seconds over helix's; None where the other did not take part, or there is no edit.

    Args:
        clock: to the answers, or until everything was stored ("busy_seconds").

    >>> report = {"systems": {"helix": {"answer_seconds": [4.0, 1.0]}, "plain": {"answer_seconds": [4.0, 3.0]}}}
    >>> ratio(report, "plain"), ratio(report, "plain", first=True), ratio(report, "oracle")
    (3.0, 1.4, None)
    """
    if other not in report["systems"]:
        return None
    theirs, ours = (
        sum(report["systems"][name][clock][0 if first else 1 :]) for name in (other, "helix")
    )
    return theirs / ours if ours else None


def busier(report: Report, *, in_total: bool = False) -> list[int] | None:
    """Iterations, of those from the third on, whose busy seconds are above plain's; None without plain.

    Args:
        in_total: compare what was busy since the first iteration, that included.

    >>> busy = {"helix": {"busy_seconds": [9.0, 9.0, 2.0, 1.0]}, "plain": {"busy_seconds": [8.0, 8.0, 1.0, 2.0]}}
    >>> busier({"systems": busy}), busier({"systems": busy}, in_total=True)
    ([3], [3, 4])
    """
    if "plain" not in report["systems"]:
        return None
    plain, ours = (report["systems"][name]["busy_seconds"] for name in ("plain", "helix"))
    if in_total:
        plain, ours = list(accumulate(plain)), list(accumulate(ours))
    return [n for n, (theirs, own) in enumerate(zip(plain, ours, strict=True), 1) if n >= 3 and own > theirs]


def _busier(reports: Sequence[Report], *, in_total: bool = False) -> str:
    found = [(busier(report, in_total=in_total), len(report["kinds"]) - 2) for report in reports]
    counted = [(len(above), max(0, of)) for above, of in found if above is not None]
    return f"{sum(n for n, _ in counted)} of {sum(of for _, of in counted)}" if counted else ""


def _worst(reports: Sequence[Report]) -> str:
    """The peer that comes nearest to Helix, or passes it, in any script."""
    peers: list[tuple[float, str]] = [
        (found, f"{found:.2f} ({name}, script {report['script']})")
        for report in reports for name in report["systems"]
        if name not in POLICIES and (found := ratio(report, name)) is not None
    ]
    return min(peers)[1] if peers else ""


def _mean(ratios: Iterable[float | None]) -> str:
    """Geometric, as text; empty where there is nothing."""
    known = [one for one in ratios if one is not None]
    return f"{math.exp(sum(map(math.log, known)) / len(known)):.2f}" if known else ""


def _turned(one: float | None) -> float | None:
    return None if one is None else 1 / one
