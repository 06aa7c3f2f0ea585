"""Reports of experiments: tables of how much less a person waits, and plots like those of Helix's paper.

Ratios are of the other system's cumulative seconds over `helix`'s, so above 1 Helix is faster; "edits" are without
the first run. Means are geometric.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import accumulate, pairwise
from pathlib import Path
from statistics import geometric_mean
from typing import Any

from benchmarks.harness import Row, same, table

Report = dict[str, Any]
POLICIES = frozenset({"helix", "rule", "rule_purge", "always", "never", "oracle"})
COLOURS: Mapping[str, str] = {
    "first": "#888888", "preparation": "#7b3294", "learning": "#e66101", "post-processing": "#1a9641",
    "back": "#2b83ba",
}
"""Of kinds of edits."""


def summary(reports: Sequence[Report]) -> str:
    """Return all tables, a part for each mode, budget and amount of data; experiments without `helix` are left out."""
    ours = [report for report in reports if "helix" in report["systems"]]
    lines = ["# Edits of real jobs, and what each system takes to answer", "", _method(reports)]
    for part in sorted(set(map(_part, ours))):
        own = [report for report in ours if _part(report) == part]
        lines += ["", f"## {part}", "", table(list(_by_workload(own)), "workload"), "",
                  "Seconds of other systems over helix's, geometric means over scripts:", "",
                  table(list(_by_system(own)), "system")]
        for title, cell in _CELLS.items():
            lines += ["", f"{title}:", "", table(list(_by_script(own, cell)), "workload, script")]
    wrong = [f"- {_name(report)}: {text}" for report in reports for text in report["disagreements"]]
    lines += ["", *(["Different answers:", "", *wrong] if wrong else ["All systems gave the same answers."])]
    return "\n".join([*lines, "", _noticed(reports)])


def _name(report: Report) -> str:
    return f"{report['workload']} {report['script']} {report['mode']}"


def _method(reports: Sequence[Report]) -> str:
    edits = sorted({len(report["kinds"]) - 1 for report in reports})
    versions = sorted({" ".join(item) for report in reports for item in report.get("versions", {}).items()})
    amounts = sorted({
        f"{report['workload']} {setting}={value}" for report in reports if not report.get("other_settings")
        for setting, value in report["settings"].items()
    })
    return (
        f"`python -m benchmarks.iterations`, {len(reports)} experiments of {' or '.join(map(str, edits))} edits. "
        "Ratios are the other system's cumulative seconds over helix's, `all` with the first run and `edits` without "
        "it; means over scripts, and over everything, are geometric. "
        f"Versions: {', '.join(versions)}. How much data, where "
        f"nothing else is said: {', '.join(amounts) or 'each job has its own'}."
    )


def _part(report: Report) -> str:
    """Return the title of the part in which an experiment is compared with others."""
    settings = "".join(f", {setting}={value}" for setting, value in report.get("other_settings", {}).items())
    budget = report.get("budget")
    limit = "" if budget is None else f", budget {budget:g} of one version's bytes"
    return f"{report['mode']} mode{settings}{limit}"


def _by_workload(reports: Sequence[Report]) -> Iterator[Row]:
    for name in [*sorted({report["workload"] for report in reports}), "all"]:
        own = [report for report in reports if name in (report["workload"], "all")]
        kinds = [kind for kind in COLOURS if kind != "first"]
        plain = {kind: _mean(single for report in own for single in _single(report, kind)) for kind in kinds}
        yield Row(name, {
            "scripts": len(own), "plain / helix, all": _mean(ratio(report, "plain", first=True) for report in own),
            **{f"{other} / helix, edits": _mean(ratio(report, other) for report in own)
               for other in ("plain", "oracle", "rule", "rule_purge")},
            **{f"plain / helix, {kind}": mean for kind, mean in plain.items()},
            "worst of any peer / helix, edits": _worst(own), "busy above plain's from the third on": _busier(own),
            "in total": _busier(own, in_total=True),
        })


def _by_system(reports: Sequence[Report]) -> Iterator[Row]:
    """Give other systems' ratios by both clocks: Helix stores after its answers, others before theirs or not at all."""
    for name in dict.fromkeys(name for report in reports for name in report["systems"] if name != "helix"):
        own = [report for report in reports if name in report["systems"]]
        yield Row(name, {"experiments": len(own), **{
            f"{clock}, {part}": _mean(ratio(report, name, first=part == "all", clock=key) for report in own)
            for clock, key in (("to the answers", "answer_seconds"), ("until stored", "busy_seconds"))
            for part in ("edits", "all")
        }})


def _by_script(reports: Sequence[Report], cell: Callable[[Mapping[str, Any]], str]) -> Iterator[Row]:
    for report in sorted(reports, key=lambda report: (report["workload"], report["script"])):
        cells = {name: cell(figures) for name, figures in report["systems"].items()}
        yield Row(f"{report['workload']}, {report['script']}", cells)


def _sum(clock: str, figures: Mapping[str, Any]) -> str:
    return f"{figures[clock][0]:.1f} + {sum(figures[clock][1:]):.1f}"


_CELLS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "Seconds to the answers, first run + edits": partial(_sum, "answer_seconds"),
    "Seconds until everything was stored, first run + edits": partial(_sum, "busy_seconds"),
    "Most memory of a driver at any time, GB": lambda figures: f"{figures['peak_rss_bytes'] / 1e9:.2f}",
    "Stored in the end, MB": lambda figures: f"{figures['stored_bytes'][-1] / 1e6:.1f}",
}


def ratio(report: Report, other: str, *, first: bool = False, clock: str = "answer_seconds") -> float | None:
    """Return the other system's seconds over helix's; None if it did not take part, or there is no edit.

    Args:
        clock: to the answers, or until everything was stored ("busy_seconds").

    >>> report = {"systems": {"helix": {"answer_seconds": [4.0, 1.0]}, "plain": {"answer_seconds": [4.0, 3.0]}}}
    >>> ratio(report, "plain"), ratio(report, "plain", first=True), ratio(report, "oracle")
    (3.0, 1.4, None)
    """
    if other not in report["systems"]:
        return None
    theirs, ours = (sum(report["systems"][name][clock][0 if first else 1 :]) for name in (other, "helix"))
    return theirs / ours if ours else None


def busier(report: Report, *, in_total: bool = False) -> list[bool]:
    """Return for each iteration, from the third on, whether its busy seconds are above plain's; empty without plain.

    Args:
        in_total: compare the sums since the first iteration, that included.

    >>> busy = {"helix": {"busy_seconds": [9.0, 9.0, 2.0, 1.0]}, "plain": {"busy_seconds": [8.0, 8.0, 1.0, 2.0]}}
    >>> busier({"systems": busy}), busier({"systems": busy}, in_total=True)
    ([True, False], [True, True])
    """
    if "plain" not in report["systems"]:
        return []
    plain, ours = (report["systems"][name]["busy_seconds"] for name in ("plain", "helix"))
    if in_total:
        plain, ours = list(accumulate(plain)), list(accumulate(ours))
    return [own > theirs for theirs, own in zip(plain[2:], ours[2:], strict=True)]


def _busier(reports: Sequence[Report], *, in_total: bool = False) -> str:
    flags = [flag for report in reports for flag in busier(report, in_total=in_total)]
    return f"{sum(flags)} of {len(flags)}" if any("plain" in report["systems"] for report in reports) else ""


def _single(report: Report, kind: str) -> Iterator[float]:
    """Give the ratio of each edit of a kind."""
    if "plain" in report["systems"]:
        plain, ours = (report["systems"][name]["answer_seconds"] for name in ("plain", "helix"))
        yield from (plain[n] / ours[n] for n, edit_kind in enumerate(report["kinds"]) if edit_kind == kind)


def _worst(reports: Sequence[Report]) -> str:
    """Return the peer that comes nearest to Helix, or passes it, in any script."""
    peers = [
        (peer_ratio, f"{peer_ratio:.2f} ({name}, script {report['script']})")
        for report in reports for name in report["systems"]
        if name not in POLICIES and (peer_ratio := ratio(report, name)) is not None
    ]
    return min(peers)[1] if peers else ""


def _mean(ratios: Iterable[float | None]) -> str:
    values = [value for value in ratios if value is not None]
    return f"{geometric_mean(values):.2f}" if values else ""


def disagreements(outputs: Mapping[str, Sequence[Mapping[str, Any]]], edits: Sequence[str]) -> list[str]:
    """Return where systems differ from the first one, in sentences.

    Args:
        outputs: system -> the outputs of each iteration.

    >>> disagreements({"a": [{"x": 1.0}], "b": [{"x": 1.0000001}], "c": [{"x": 2.0}]}, ["first"])
    ["after 'first', c has x = 2.0 where a has 1.0"]
    """
    reference, *others = outputs
    return [
        f"after {edit!r}, {system} has {name} = {got.get(name)} where {reference} has {expected.get(name)}"
        for number, edit in enumerate(edits) for system in others
        for expected, got in [(outputs[reference][number], outputs[system][number])]
        for name in sorted({*expected, *got}) if not same(expected.get(name), got.get(name))
    ]


def _noticed(reports: Sequence[Report]) -> str:
    """Return how many edits show in some answer, so that a stale one would have been noticed."""
    silent, total = list[str](), 0
    for report in reports:
        outputs = next(iter(report["systems"].values()))["outputs"]
        edits = zip(pairwise(outputs), report["edits"][1:], strict=True)
        silent += [f"{report['workload']}, {edit}" for (before, after), edit in edits if same(before, after)]
        total += len(outputs) - 1
    names = f" Those that do not: {'; '.join(sorted(set(silent)))}." if silent else ""
    return f"{total - len(silent)} of {total} edits show in an answer.{names}"


def draw(path: Path, reports: Sequence[Report]) -> None:
    """Draw a picture of each report, in rows of three, into one file."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams["svg.fonttype"] = "none"  # text as text: a tenth of the bytes
    from matplotlib import pyplot

    rows, columns = max(1, -(-len(reports) // 3)), min(3, len(reports))
    figure = pyplot.figure(figsize=(5 * columns, 4.5 * rows))
    for number, report in enumerate(reports, 1):
        _picture(report, figure.add_subplot(rows, columns, number))
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)


def _picture(report: Report, axes: Any) -> None:
    """Draw cumulative seconds to the answers, a line for each system, each iteration coloured by its kind."""
    from matplotlib.patches import Patch

    numbers = range(len(report["kinds"]))
    for number, kind in enumerate(report["kinds"]):
        axes.axvspan(number - 0.5, number + 0.5, color=COLOURS[kind], alpha=0.15, linewidth=0)
    for marker, (name, figures) in zip("osD^v<>Ph*X", report["systems"].items(), strict=False):
        axes.plot(numbers, list(accumulate(figures["answer_seconds"])), marker=marker, markersize=4, label=name)
    kinds = [kind for kind in COLOURS if kind in report["kinds"]]
    patches = [Patch(color=COLOURS[kind], alpha=0.3) for kind in kinds]
    lines, names = axes.get_legend_handles_labels()
    axes.legend([*lines, *patches], [*names, *kinds], fontsize="small", ncols=2)
    axes.set_xticks(list(numbers), report["edits"], rotation=40, ha="right", fontsize="x-small")
    limit = "" if report.get("budget") is None else f", budget {report['budget']:g}"
    axes.set_ylabel("cumulative seconds to the answer")
    axes.set_title(f"{report['workload']}, script {report['script']}, {report['mode']} mode{limit}", fontsize="medium")
