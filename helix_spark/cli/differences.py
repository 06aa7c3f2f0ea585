"""What `diff` prints: only what differs."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from helix_spark.cli.table_text import print_differences
from helix_spark.cli.tables import console, print_code, table
from helix_spark.history.comparison import Sort
from helix_spark.views.comparison_view import ComparisonView, Pair
from helix_spark.visible_text import cut

_SIGNS: dict[Sort, tuple[str, str]] = {
    "added": ("+", "green"), "removed": ("-", "red"), "changed": ("~", "yellow"), "drawn": ("*", "yellow"),
    "same": ("=", "dim"),
}
MOST_CODE_LINES = 60
"""Lines of a diff that are shown of one function; all of them are in `--json`."""
_LONGEST = 120


def print_comparison(view: ComparisonView) -> None:
    """Print parameters, nodes, code, outputs, seconds: a part each, left out where nothing differs."""
    out = console()
    out.print(Text(view.title, style="bold"))
    if view.unrecorded:
        out.print(f"  {view.unrecorded}")
    _pairs("parameters", "  name", view.parameters, view)
    _nodes(view)
    _code(view)
    _pairs("outputs", "  name", view.outputs, view)
    print_differences(view.tables)
    _pairs("versions", "  package", view.versions, view)
    if view.nothing:
        out.print("  no difference")
    _title("seconds")
    shown = table(("  node", "left"), *((head, "right") for head in view.heads))
    shown.add_row("  to answer", view.seconds.before or "?", view.seconds.after or "?")
    for pair in view.timed:
        shown.add_row(f"  {pair.name}", *pair.sides)
    out.print(shown)
    if view.more_timed:
        out.print(f"  ... {view.more_timed} nodes more; --json has all")
    if view.commits:
        out.print(f"\ngit: {view.commits}")


def _title(text: str) -> None:
    console().print(Text(f"\n{text}", style="bold"))


def _pairs(title: str, head: str, pairs: Sequence[Pair], view: ComparisonView) -> None:
    if not pairs:
        return
    _title(title)
    shown = table((head, "left"), *((one, "left") for one in view.heads), ("change", "left"))
    for pair in pairs:
        shown.add_row(f"  {pair.name}", *(cut(one, _LONGEST) for one in pair.sides), pair.change)
    console().print(shown)


def _nodes(view: ComparisonView) -> None:
    if not view.nodes:
        return
    _title("nodes (+ added, - removed, ~ changed, * drawn anew, . only through its inputs)")
    shown = table(("  node", "left"), ("what changed", "left"), grow="what changed")
    for sort, (sign, style) in _SIGNS.items():
        for node in view.of_sort(sort):
            shown.add_row(Text(f"{sign} {node.name}", style=style), node.what)
    if affected := view.of_sort("affected"):
        shown.add_row(Text(". through inputs", style="dim"), ", ".join(node.name for node in affected))
    console().print(shown)


def _code(view: ComparisonView) -> None:
    for place, (name, lines) in enumerate(view.code.items()):
        if not place:
            _title("code")
        console().print(Text(f"  {name}", style="bold"))
        print_code(lines[:MOST_CODE_LINES])
        if len(lines) > MOST_CODE_LINES:
            console().print(f"  ... {len(lines) - MOST_CODE_LINES} more lines; --json has all")
