"""The commands that look after a catalog: verify, gc, repair; and doctor, which looks after the machine."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from helix_spark.cli import options
from helix_spark.cli.options import BAD_PLACE, read_settings, records, reporting_errors
from helix_spark.cli.terminal import say

if TYPE_CHECKING:
    from helix_spark.catalog.catalog import Catalog


@click.command()
@click.option("--deep", is_flag=True, help="Read every page and compare every checksum.")
@options.place
@options.json_wanted
@reporting_errors
def verify(deep: bool, as_json: bool, **given: Any) -> None:
    """Compare what is stored with what is recorded. Changes nothing; exit code 3 if something is damaged."""
    from helix_spark.catalog.verification import verify as compare
    from helix_spark.cli.keeping import verify_json, verify_text
    from helix_spark.cli.schema import to_text

    found = compare(records(**given), deep=deep)
    say(to_text(verify_json(found)) if as_json else verify_text(found))
    sys.exit(0 if found.sound else BAD_PLACE)


@click.command()
@click.option("--dry-run", is_flag=True, help="Say what would be deleted, and delete nothing.")
@click.option(
    "--grace", default="3d", show_default=True, metavar="TIME",
    help="How long data whose writer may only have been stopped must lie untouched: 90s, 10m, 24h, 3d.",
)
@options.place
@options.json_wanted
@reporting_errors
def gc(dry_run: bool, grace: str, as_json: bool, **given: Any) -> None:
    """Delete data that no record refers to: of writers that died, and evicted or damaged results."""
    from helix_spark.cli.keeping import gc_json, gc_text, parse_grace
    from helix_spark.cli.schema import to_text

    leftovers = _opened(**given).gc(dry_run=dry_run, grace_seconds=parse_grace(grace))
    say(to_text(gc_json(leftovers, dry_run=dry_run)) if as_json else gc_text(leftovers, dry_run=dry_run))


@click.command()
@click.option("--dry-run", is_flag=True, help="Say what would be done and what is lost, and change nothing.")
@options.place
@options.json_wanted
@reporting_errors
def repair(dry_run: bool, as_json: bool, **given: Any) -> None:
    """Make a damaged catalog usable again: save what can be saved, put aside what is unsound, say what is lost.

    Nothing is deleted. A run does the same by itself where nothing is lost that cannot be computed again.
    """
    from helix_spark.cli.keeping import repair_json, repair_text
    from helix_spark.cli.schema import to_text

    catalog = _opened(**given)
    found = catalog.repair(dry_run=dry_run)
    say(to_text(repair_json(found)) if as_json else repair_text(found))


@click.command()
@options.place
@options.json_wanted
@reporting_errors
def doctor(as_json: bool, **given: Any) -> None:
    """Check Java, Spark, Delta, the jars, the solver, the disk."""
    from helix_spark.cli.schema import to_text
    from helix_spark.engine.spark.checks import doctor as examine

    checks = examine(read_settings(Path.cwd(), **given).catalog)
    if as_json:
        say(to_text([{"name": c.name, "ok": c.ok, "found": c.found, "remedy": c.remedy} for c in checks]))
    else:
        for check in checks:
            say(f"{'ok ' if check.ok else 'BAD'}  {check.name:16} {check.found}")
            if not check.ok:
                say(f"     {'':16} {check.remedy}")
    sys.exit(0 if all(check.ok for check in checks) else BAD_PLACE)


def _opened(**given: Any) -> Catalog:
    """The catalog that is to be changed, which is there."""
    from helix_spark.catalog.catalog import Catalog

    return Catalog.open(read_settings(Path.cwd(), **given).catalog, create=False)


upkeep_commands: tuple[click.Command, ...] = (verify, gc, repair, doctor)
