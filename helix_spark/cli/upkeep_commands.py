"""The commands that look after a catalog: verify, gc, repair; and doctor, which looks after the machine."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from helix_spark.cli import options
from helix_spark.cli.options import BAD_PLACE, print_found, read_settings, records
from helix_spark.cli.terminal import say
from helix_spark.errors import ParameterError
from helix_spark.sizes import format_size

if TYPE_CHECKING:
    from helix_spark.catalog.catalog import Catalog, Leftover
    from helix_spark.catalog.repair import Repair
    from helix_spark.catalog.verification import Verification

_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


@options.command(
    click.option("--deep", is_flag=True, help="Read every page and compare every checksum."), options.place,
    options.json_wanted,
)
def verify(deep: bool, as_json: bool, **given: Any) -> None:
    """Compare what is stored with what is recorded. Changes nothing; exit code 3 if something is damaged."""
    from helix_spark.catalog.verification import verify as compare
    from helix_spark.cli.schema import verify_json

    found = compare(records(**given), deep=deep)
    print_found(as_json, lambda: verify_json(found), lambda: say(verify_text(found)))
    sys.exit(0 if found.sound else BAD_PLACE)


@options.command(
    click.option("--dry-run", is_flag=True, help="Say what would be deleted, and delete nothing."),
    click.option("--grace", default="3d", show_default=True, metavar="TIME",
                 help="How long data whose writer may only have been stopped must lie untouched: 90s, 10m, 24h, 3d."),
    options.place, options.json_wanted,
)
def gc(dry_run: bool, grace: str, as_json: bool, **given: Any) -> None:
    """Delete data that no record refers to: of writers that died, and evicted or damaged results."""
    from helix_spark.cli.schema import gc_json

    leftovers = _opened(**given).gc(dry_run=dry_run, grace_seconds=parse_grace(grace))
    print_found(
        as_json, lambda: gc_json(leftovers, dry_run=dry_run), lambda: say(gc_text(leftovers, dry_run=dry_run))
    )


@options.command(
    click.option("--dry-run", is_flag=True, help="Say what would be done and what is lost, and change nothing."),
    options.place, options.json_wanted,
)
def repair(dry_run: bool, as_json: bool, **given: Any) -> None:
    """Make a damaged catalog usable again: keep what can be read, move aside what cannot, say what is lost.

    Nothing is deleted. A run does the same by itself where nothing is lost that cannot be computed again.
    """
    from helix_spark.cli.schema import repair_json

    found = _opened(**given).repair(dry_run=dry_run)
    print_found(as_json, lambda: repair_json(found), lambda: say(repair_text(found)))


@options.command(options.place, options.json_wanted)
def doctor(as_json: bool, **given: Any) -> None:
    """Check Java, Spark, Delta, the jars, the solver, the disk."""
    from helix_spark.engine.spark.checks import doctor as examine

    checks = examine(read_settings(Path.cwd(), **given).catalog)
    lines = [
        f"{'ok ' if one.ok else 'BAD'}  {one.name:16} {one.found}" + ("" if one.ok else f"\n     {'':16} {one.remedy}")
        for one in checks
    ]
    print_found(as_json, lambda: [asdict(check) for check in checks], lambda: say("\n".join(lines)))
    sys.exit(0 if all(check.ok for check in checks) else BAD_PLACE)


def _opened(**given: Any) -> Catalog:
    from helix_spark.catalog.catalog import Catalog

    return Catalog.open(read_settings(Path.cwd(), **given).catalog, create=False)


def parse_grace(text: str) -> float:
    """Return seconds of a time such as "10m"; a bare number is seconds.

    Raises ParameterError for anything else.

    >>> parse_grace("10m"), parse_grace("3d"), parse_grace("0")
    (600.0, 259200.0, 0.0)
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd]?)", text.strip())
    if found is None:
        raise ParameterError(f"{text!r} is not a time", remedy="write a number and s, m, h or d, such as 24h")
    return float(found[1]) * _SECONDS[found[2] or "s"]


def verify_text(found: Verification) -> str:
    """Return a line for each result that is not sound, and what was looked at."""
    lines = [f"  {finding}" for finding in found.findings if finding.verdict != "sound"]
    looked = "every page and checksum" if found.deep else "logs, sizes and footers; --deep reads every page"
    counts: Counter[str] = Counter(finding.verdict for finding in found.findings)
    verdicts = ", ".join(
        f"{counts[one]} {one}" for one in ("sound", "partly checked", "not reached", "damaged") if counts[one]
    )
    lines.append(f"{len(found.findings)} stored results: {verdicts or 'none'} ({looked})")
    lines.append(f"{found.iterations} iterations recorded")
    if found.answers:
        lines.append(f"{found.answers} answers recorded")
    lines += [f"  a record does not fit: {why}" for why in found.rejections]
    if any(finding.bad for finding in found.findings):
        lines.append("damaged results are never used: a run that needs one puts it aside and computes it again")
    return "\n".join(lines)


def gc_text(leftovers: Sequence[Leftover], *, dry_run: bool) -> str:
    """Return a line a folder, and the sum."""
    lines = []
    for each in leftovers:
        folder = f"{each.attempt.kind} {each.attempt.signature[:12]}/{each.attempt.attempt[:8]}"
        lines.append(f"  {format_size(each.bytes):>8}  {folder}  {each.why}")
    done = "would be deleted" if dry_run else "deleted"
    total = format_size(sum(each.bytes for each in leftovers))
    folders = "1 folder" if len(leftovers) == 1 else f"{len(leftovers)} folders"
    lines.append(f"{folders}, {total}, {done}" if leftovers else "nothing to delete")
    return "\n".join(lines)


def repair_text(found: Repair) -> str:
    """Return what is damaged, what is recorded again, and what is lost."""
    if not found.is_needed:
        return "nothing to repair"
    lines = []
    for title, sentences in (
        ("damaged:", found.damage),
        ("recorded again:" if found.done else "would be recorded again:", found.saved),
        ("lost:" if found.done else "would be lost:", found.lost),
    ):
        if sentences:
            lines += [title, *(f"  {sentence}" for sentence in sentences)]
    if not found.lost:
        lines.append("nothing is lost")
    if found.aside:
        lines.append(f"what was set aside lies in {found.aside}")
    lines.append("repaired" if found.done else "nothing was changed; `helix repair` does this")
    return "\n".join(lines)


upkeep_commands: tuple[click.Command, ...] = (verify, gc, repair, doctor)
