"""What `show --node` prints: one node of one iteration."""

from __future__ import annotations

from rich.padding import Padding
from rich.text import Text

from helix_spark.cli.table_text import ROWS_OF_SHOW, print_tables
from helix_spark.cli.tables import console, print_code, print_lines, state_text, table
from helix_spark.drawing.svg import shortened
from helix_spark.history.metrics import metric_text
from helix_spark.history.model_card import ModelCard
from helix_spark.sizes import format_seconds
from helix_spark.views.iteration_view import output_line
from helix_spark.views.node_view import NodeView
from helix_spark.visible_text import cut

_WEIGHTS, _LABELS = 20, 8
_NAME, _TYPE = 26, 14
"""Letters of a column's name and of its type."""

_SLOT, _HEAD = 40, 14
"""Letters of a slot's name and of a class's."""


def print_node_view(view: NodeView) -> None:
    """State, reason, what changed, code with its difference, what it holds, what its fit gave."""
    out = console()
    out.print(Text(view.row.title, style="bold"), Text(view.about))
    print_lines(f"  {line}" for line in view.sentences)
    if view.code:
        out.print()
    print_code(view.code_changes or [("same", line) for line in view.code.splitlines()])
    for value in view.value:
        out.print(f"\n  {output_line(value)}")
    if view.table is not None:
        print_tables({view.row.name: view.table}, ROWS_OF_SHOW)
    _print_columns(view)
    _print_members(view)
    if view.card is not None:
        print_card(view.card)


def _print_members(view: NodeView) -> None:
    """Print a search as its points, another line of a program as its questions."""
    if view.points:
        shown = table(("point", "left"), ("mean", "right"), ("folds", "left"), ("", "left"))
        for point in view.points:
            shown.add_row(*point.cells)
    elif view.members:
        shown = table(("state", "left"), ("seconds", "right"), ("question", "left"), ("why", "left"), grow="why")
        for row in view.members:
            shown.add_row(state_text(row.state), format_seconds(row.seconds), row.name, row.why)
    else:
        return
    console().print()
    console().print(Padding(shown, (0, 0, 0, 2), expand=False))


def _print_columns(view: NodeView) -> None:
    if not view.columns:
        return
    out = console()
    out.print()
    out.print(Text("  columns", style="bold"), Text(f"of the first {view.profiled:,} rows", style="dim"))
    rows = []
    for one in view.columns:
        values = f"{one.least} {one.spread} {one.most}" if one.counts else one.spread or f"{one.least} ... {one.most}"
        distinct = "" if one.distinct is None else f"{one.distinct:,}"
        rows.append((
            shortened(one.name, _NAME), shortened(one.kind, _TYPE), f"{one.nulls:,}" if one.nulls else "", distinct,
            values,
        ))
    heads = (("column", "left"), ("type", "left"), ("nulls", "right"), ("distinct", "right"), ("values", "left"))
    used = sum(max(len(head), *(len(row[place]) for row in rows)) + 2 for place, (head, _) in enumerate(heads[:-1]))
    room, made = max(20, out.width - 2 - used), table(*heads)
    for *others, values in rows:
        made.add_row(*others, cut(values, room))
    out.print(Padding(made, (0, 0, 0, 2), expand=False))


def print_card(card: ModelCard, indent: str = "") -> None:
    """Print what a fit gave: figures, labels, the heaviest slots, its parts."""
    out = console()
    given = ", ".join(f"{name} {value}" for name, value, is_set in card.parameters if is_set)
    out.print()
    out.print(Text(f"  {indent}{card.kind}", style="bold"), Text(given, style="dim"))
    for name, value in card.figures:
        out.print(f"  {indent}{name} {metric_text(value)}")
    if len(card.history) > 1:
        first, last = metric_text(card.history[0]), metric_text(card.history[-1])
        out.print(f"  {indent}objective {first} -> {last} in {len(card.history) - 1} steps")
    if card.labels:
        shown = ", ".join([*card.labels[:_LABELS], *(["..."] if card.labels[_LABELS:] else [])])
        out.print(f"  {indent}{len(card.labels)} labels: {shown}")
    if card.weights:
        _print_weights(card, 2 + len(indent))
        if card.slots > _WEIGHTS:
            out.print(f"  {indent}the {_WEIGHTS} heaviest of {card.slots:,} slots (--json has {len(card.weights)})")
    for part in card.parts:
        print_card(part, f"{indent}  ")


def _print_weights(card: ModelCard, indent: int) -> None:
    """Print the heaviest slots, with as many columns as there is room for beside their names."""
    out = console()
    names = [_shortened_inside(name, _SLOT) for name, _ in card.weights[:_WEIGHTS]]
    room = out.width - indent - max(len("slot"), *map(len, names))
    columns: list[tuple[str, list[str]]] = []
    for place, head in enumerate(card.columns):
        texts = [f"{values[place]:.4g}" for _, values in card.weights[:_WEIGHTS]]
        head = shortened(head, _HEAD)
        room -= 2 + max(len(head), *map(len, texts))
        if room < 0 and columns:
            break
        columns.append((head, texts))
    made = table(("slot", "left"), *((head, "right") for head, _ in columns))
    for place, name in enumerate(names):
        made.add_row(name, *(texts[place] for _, texts in columns))
    out.print(Padding(made, (0, 0, 0, indent), expand=False))
    if more := len(card.columns) - len(columns):
        out.print(f"{' ' * indent}and {more} more column{'s' * (more > 1)} (--json has all)")


def _shortened_inside(name: str, most: int) -> str:
    """Return a name, without its middle if it is long: both ends tell slots apart.

    >>> _shortened_inside("between_counts_husband", 12)
    'betwe…usband'
    """
    return name if len(name) <= most else f"{name[:(most - 1) // 2]}…{name[len(name) - most // 2:]}"
