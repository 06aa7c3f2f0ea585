"""Figures of `benchmarks/iterations.py` as a Markdown table, and as plots in the manner of Helix's paper."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

Report = dict[str, Any]
COLOURS = {
    "first": "#888888", "preparation": "#7b3294", "learning": "#e66101", "post-processing": "#1a9641",
    "back": "#2b83ba",
}
"""Of kinds of edits."""


def markdown(report: Report) -> str:
    """One row a system; cumulative seconds, and how they compare with those of the last system named `plain`."""
    systems = report["systems"]
    plain = sum(systems["plain"]["answer_seconds"]) if "plain" in systems else None
    edits = len(report["kinds"]) - 1
    lines = [
        f"{report['workload']}, script {report['script']} ({edits} edits), {report['mode']} mode", "",
        "| system | to answers, s | busy, s | times faster than plain | of it: preparation | learning | looking "
        "| going back | stored, MB | peak memory, MB |", "|---" * 10 + "|",
    ]
    for name, figures in systems.items():
        total = sum(figures["answer_seconds"])
        by_kind = [
            sum(s for s, kind in zip(figures["answer_seconds"], report["kinds"], strict=True) if kind == wanted)
            for wanted in ("preparation", "learning", "post-processing", "back")
        ]
        faster = f"{plain / total:.2f}" if plain is not None else ""
        lines.append(
            f"| {name} | {total:.1f} | {sum(figures['busy_seconds']):.1f} | {faster} | "
            + " | ".join(f"{seconds:.1f}" for seconds in by_kind)
            + f" | {figures['stored_bytes'][-1] / 1e6:.1f} | {figures['peak_rss_bytes'] / 1e6:.0f} |"
        )
    agreed = report["disagreements"]
    lines += ["", "All systems gave the same answers." if not agreed else "DIFFERENT ANSWERS: " + "; ".join(agreed)]
    return "\n".join(lines)


def plot(report: Report, path: Path) -> None:
    """Cumulative seconds to the answers over iterations, a line a system, each iteration coloured by its kind."""
    pyplot = _pyplot()
    figure, axes = pyplot.subplots(figsize=(8, 4.5))
    _draw(axes, report)
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)


def plot_all(reports: Sequence[Report], path: Path) -> None:
    """The same of several experiments, a picture each, in rows of three."""
    pyplot = _pyplot()
    rows = max(1, -(-len(reports) // 3))
    figure, all_axes = pyplot.subplots(rows, 3, figsize=(15, 4.5 * rows), squeeze=False)
    for axes, report in zip(all_axes.flat, reports, strict=False):
        _draw(axes, report)
    for axes in list(all_axes.flat)[len(reports) :]:
        axes.set_axis_off()
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)


def _pyplot() -> Any:
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams["svg.fonttype"] = "none"  # text as text: a tenth of the bytes
    from matplotlib import pyplot

    return pyplot


def _draw(axes: Any, report: Report) -> None:
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
    axes.set_ylim(bottom=0)
