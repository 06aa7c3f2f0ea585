"""`helix storage`: what is stored, what is worth its bytes, and who uses it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from helix_spark.cli import options
from helix_spark.cli.options import records, told
from helix_spark.cli.terminal import say

if TYPE_CHECKING:
    from helix_spark.views.storage_view import StorageView


@click.command()
@click.option("-n", "--limit", type=click.IntRange(min=1), default=20, show_default=True, help="How many results.")
@options.place
@options.json_wanted
@told
def storage(limit: int, as_json: bool, **given: Any) -> None:
    """Show what is stored, those results first that save most per byte."""
    from helix_spark.cli.schema import to_text
    from helix_spark.views.storage_view import storage_of

    known = records(**given)
    iterations = [known.iterations(name) for name in known.workflows()]
    view = storage_of(known, known.last_events(), known.loads(), iterations)
    if as_json:
        say(to_text(storage_json(view)))
    else:
        print_storage(view, limit)


def print_storage(view: StorageView, limit: int) -> None:
    """A line a result."""
    from helix_spark.cli.tables import WIDE, console, table
    from helix_spark.sizes import seconds_text

    out = console()
    out.print(view.use)
    if not view.stored:
        return
    wide = out.width >= WIDE
    more = (("kind", "left"), ("to load", "right"), ("saves per MB", "right"), ("proof", "left")) if wide else ()
    shown = table(
        ("node", "left"), ("size", "right"), ("to have again", "right"), *more, ("loaded", "right"),
        ("made by", "left"), grow="made by",
    )
    for one in view.stored[:limit]:
        told = (one.artifact.kind, seconds_text(one.load), one.saves_text, one.proof) if wide else ()
        shown.add_row(one.artifact.node, one.size_text, one.again_text, *told, f"{one.loaded}x", one.made_text)
    out.print()
    out.print(shown)
    if len(view.stored) > limit:
        out.print(f"... {len(view.stored) - limit} more; --limit shows them")


def storage_json(view: StorageView) -> dict[str, Any]:
    """The same for programs."""
    return {
        "bytes": view.used, "result_bytes": view.results, "budget": view.budget,
        "results": [
            {
                "workflow": one.artifact.workflow, "iteration": one.artifact.iteration, "node": one.artifact.node,
                "kind": one.artifact.kind, "signature": one.artifact.signature, "bytes": one.artifact.bytes,
                "again_seconds": one.again, "load_seconds": one.load, "saves_seconds": one.saves,
                "loaded": one.loaded, "current": one.current, "proof": one.proof,
            }
            for one in view.stored
        ],
    }
