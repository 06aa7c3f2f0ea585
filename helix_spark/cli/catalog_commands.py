"""The commands on a catalog: log, show, diff, storage, verify, gc, repair, forget, pin, publish; and config and doctor,
which show the settings and check the machine."""

from __future__ import annotations

import os
import re
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from helix_spark.cli import options
from helix_spark.cli.config import settings_for
from helix_spark.cli.options import BAD_ENVIRONMENT, print_result, read_settings, records, say, warn_of_misfits
from helix_spark.errors import ParameterError, nearest
from helix_spark.sizes import format_size, seconds_text, without_password

if TYPE_CHECKING:
    from helix_spark.catalog.catalog import Catalog
    from helix_spark.catalog.catalog_reader import CatalogReader
    from helix_spark.catalog.forgetting import Forgetting
    from helix_spark.catalog.records import IterationRecord
    from helix_spark.catalog.verification import Repair, Verification
    from helix_spark.views.storage_view import StorageShare, StorageView

_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


@options.command(
    options.workflow, options.limit("The number of iterations, newest first."),
    click.option("-v", "--verbose", is_flag=True,
                 help="Print several lines for each iteration: more outputs, message, edit, user and commit."),
    click.option("--user", metavar="NAME", help="List only the iterations of this user."),
    options.catalog, options.as_json,
)
def log(workflow: str | None, limit: int, verbose: bool, user: str | None, as_json: bool, **common: Any) -> None:
    """List iterations, newest first."""
    from helix_spark.cli.printing import print_log
    from helix_spark.cli.schema import iteration_json
    from helix_spark.history.iteration_lookup import iterations_of
    from helix_spark.history.states import proofs_of, still_unproven

    catalog = records(**common)
    iterations = iterations_of(catalog, workflow, user, limit)
    pinned = catalog.pinned()

    def build_entries() -> list[dict[str, Any]]:
        return [
            iteration_json(record, pinned) | {"proofs": proofs_of(catalog.nodes(record), catalog)}
            for record in iterations
        ]

    print_result(as_json, build_entries, lambda: print_log(
        iterations, pinned, still_unproven(iterations, catalog), verbose=verbose
    ))
    warn_of_misfits(catalog)


@options.command(
    click.argument("number", type=int, required=False),
    click.option("--node", metavar="NAME", help="Show one node: code, first rows, the fitted model."),
    options.workflow, options.catalog, options.as_json,
)
def show(number: int | None, workflow: str | None, node: str | None, as_json: bool, **common: Any) -> None:
    """Show one iteration, by default the newest: outputs, what ran and why, seconds. Or show one of its nodes."""
    from helix_spark.cli.printing import print_iteration, print_node_view
    from helix_spark.cli.schema import node_view_json, show_json
    from helix_spark.history.iteration_lookup import newest_recorded
    from helix_spark.views.iteration_view import recorded_view
    from helix_spark.views.node_view import node_view

    catalog = records(with_shared=True, **common)
    iteration = _iteration(catalog, workflow, number)
    if node is not None:
        before = newest_recorded(catalog.iterations(iteration.workflow), iteration.number)
        view = node_view(catalog, iteration, node, before)
        print_result(as_json, lambda: node_view_json(view), lambda: print_node_view(view))
    else:
        print_result(
            as_json, lambda: show_json(iteration, catalog), lambda: print_iteration(recorded_view(iteration, catalog))
        )
    warn_of_misfits(catalog)


@options.command(
    click.argument("before", type=int, required=False), click.argument("after", type=int, required=False),
    options.workflow, options.catalog, options.as_json,
)
def diff(before: int | None, after: int | None, workflow: str | None, as_json: bool, **common: Any) -> None:
    """Compare two iterations, in code and in results; by default the newest and the one before it."""
    from helix_spark.cli.printing import print_comparison
    from helix_spark.cli.schema import diff_json
    from helix_spark.history.comparison import compare
    from helix_spark.history.iteration_lookup import newest_iteration
    from helix_spark.history.table_preview import table_differences, tables_of
    from helix_spark.views.comparison_view import ComparisonView

    catalog = records(**common)
    later = _iteration(catalog, workflow, after)
    earlier = (
        newest_iteration(catalog, later.workflow, later.number) if before is None
        else _iteration(catalog, later.workflow, before)
    )
    comparison = compare(catalog, earlier, later)
    tables = table_differences(tables_of(earlier, catalog), tables_of(later, catalog))
    print_result(
        as_json, lambda: diff_json(comparison, tables), lambda: print_comparison(ComparisonView(comparison, tables))
    )
    warn_of_misfits(catalog)


@options.command(
    click.option("--by", type=click.Choice(["user", "workflow"]), help="Sum up by user, or by workflow."),
    options.limit("The number of results."), options.catalog, options.as_json,
)
def storage(by: Literal["user", "workflow"] | None, limit: int, as_json: bool, **common: Any) -> None:
    """List the stored results, sorted by seconds saved per byte."""
    from helix_spark.cli.schema import storage_json
    from helix_spark.views.storage_view import shares_by, storage_of

    catalog = records(**common)
    iterations = [catalog.iterations(name) for name in catalog.workflows()]
    view = storage_of(catalog, catalog.last_events(), catalog.loads(), iterations)
    shares = shares_by(by, view, iterations) if by else None
    print_result(as_json, lambda: storage_json(view, shares), lambda: _print_storage(view, limit, by or "", shares))


@options.command(
    click.option("--show-origin", is_flag=True, help="Print where each value comes from: an argument, the "
                 "environment, the project, or the default."),
    options.deciding, click.option("--mlflow", metavar="URI", help="As for `helix run`."), options.as_json,
)
def config(show_origin: bool, as_json: bool, **common: Any) -> None:
    """Print the settings that commands use in this folder.

    Arguments take precedence over environment variables (HELIX_CATALOG, HELIX_SHARED, HELIX_BUDGET, ...), these over
    [tool.helix_spark] in the project's pyproject.toml, and that over defaults: the catalog ./catalog, no budget, the
    policy joint. A password in an address is shown as ***.
    """
    settings = settings_for(Path.cwd(), common, os.environ).values()
    values = {setting.name: setting.value and without_password(setting.value) for setting in settings}
    lines = [
        f"{setting.name:8} {values[setting.name] or 'none'}" + f"  ({setting.origin})" * show_origin
        for setting in settings
    ]
    entries = {setting.name: {"value": values[setting.name], "origin": setting.origin} for setting in settings}
    print_result(as_json, lambda: entries, lambda: say("\n".join(lines)))


def _print_storage(view: StorageView, limit: int, by: str, shares: Sequence[StorageShare] | None) -> None:
    from helix_spark.cli.printing import WIDE, console, table

    out = console()
    out.print(view.use)
    if not view.stored:
        return
    if shares is not None:
        sums = table(by, "results", "size", right=("results", "size"))
        for share in shares:
            sums.add_row(share.name or "not recorded", f"{share.results:,}", format_size(share.bytes))
        out.print()
        out.print(sums)
        return
    is_wide = out.width >= WIDE
    more = ("kind", "to load", "saves per MB", "proof") if is_wide else ()
    right = ("size", "to have again", "to load", "saves per MB", "loaded")
    results = table("node", "size", "to have again", *more, "loaded", "made by", right=right, grow="made by")
    for row in view.stored[:limit]:
        cells = (row.artifact.kind, seconds_text(row.load_seconds), row.saves_text, row.proof) if is_wide else ()
        results.add_row(row.artifact.node, row.size_text, row.recompute_text, *cells, f"{row.loads}x", row.origin_text)
    out.print()
    out.print(results)
    if len(view.stored) > limit:
        out.print(f"... {len(view.stored) - limit} more; --limit shows them")


def _open_catalog(**common: Any) -> Catalog:
    from helix_spark.catalog.catalog import Catalog

    return Catalog.open(read_settings(Path.cwd(), **common).catalog, create=False)


def _iteration(catalog: CatalogReader, workflow: str | None, number: int | None) -> IterationRecord:
    """Return the iteration of a number; without a number the newest."""
    from helix_spark.history.iteration_lookup import find_iteration, newest_iteration

    return newest_iteration(catalog, workflow) if number is None else find_iteration(catalog, workflow, number)


@options.command(
    click.option("--deep", is_flag=True, help="Read every page and compare every checksum."), options.catalog,
    options.as_json,
)
def verify(deep: bool, as_json: bool, **common: Any) -> None:
    """Compare the stored data with the records. Read-only; exit code 3 if anything is damaged."""
    from helix_spark.catalog.verification import verify as compare
    from helix_spark.cli.schema import verify_json

    verification = compare(records(**common), deep=deep)
    print_result(as_json, lambda: verify_json(verification), lambda: say(_verify_text(verification)))
    sys.exit(0 if verification.sound else BAD_ENVIRONMENT)


@options.command(
    click.option("--dry-run", is_flag=True, help="List what would be deleted, and delete nothing."),
    click.option("--grace", default="3d", show_default=True, metavar="TIME",
                 help="Delete data of an unfinished write only after this time without changes, as its writer may be "
                 "suspended: 90s, 10m, 24h, 3d."),
    options.catalog, options.as_json,
)
def gc(dry_run: bool, grace: str, as_json: bool, **common: Any) -> None:
    """Delete data that no record refers to: unfinished writes, evicted results, damaged results."""
    from helix_spark.cli.schema import gc_json

    leftovers = _open_catalog(**common).gc(dry_run=dry_run, grace_seconds=parse_duration(grace))
    lines = [
        f"  {format_size(leftover.bytes):>8}  {leftover.attempt.kind} {leftover.attempt.signature[:12]}/"
        f"{leftover.attempt.attempt[:8]}  {leftover.why}" for leftover in leftovers
    ]
    folders = "1 folder" if len(leftovers) == 1 else f"{len(leftovers)} folders"
    total = format_size(sum(leftover.bytes for leftover in leftovers))
    lines.append(f"{folders}, {total}, {'would be ' * dry_run}deleted" if leftovers else "nothing to delete")
    print_result(as_json, lambda: gc_json(leftovers, dry_run=dry_run), lambda: say("\n".join(lines)))


@options.command(
    click.option("--dry-run", is_flag=True, help="Print what would be repaired and lost, and change nothing."),
    options.catalog, options.as_json,
)
def repair(dry_run: bool, as_json: bool, **common: Any) -> None:
    """Repair a damaged catalog: keep the readable records, move damaged files aside, and list what is lost.

    Nothing is deleted. Without a repair, runs ignore the damaged parts and warn about them.
    """
    from helix_spark.cli.schema import repair_json

    outcome = _open_catalog(**common).repair(dry_run=dry_run)
    print_result(as_json, lambda: repair_json(outcome), lambda: say(_repair_text(outcome)))


@options.command(
    click.argument("target", required=False, metavar="[WORKFLOW[@N]]"),
    click.option("--node", metavar="NAME", help="Delete only this node's results; keep the iterations."),
    click.option("--downstream", is_flag=True, help="With --node: also delete the results computed from it."),
    click.option("--source", metavar="PATH", help="Delete only the results computed from this file, folder, pattern "
                 "or table, directly or indirectly; keep the iterations."),
    click.option("--older-than", metavar="TIME", help="Only of iterations that started longer ago than this: 24h, "
                 "90d."),
    click.option("--dry-run", is_flag=True, help="List what would be deleted, and delete nothing."),
    options.catalog, options.as_json,
)
def forget(
    target: str | None, node: str | None, downstream: bool, source: str | None, older_than: str | None, dry_run: bool,
    as_json: bool, **common: Any,
) -> None:
    """Delete a workflow, an iteration, a node's results, or all results of a source, with their records, for good.

    Results that another iteration shares stay, and are listed. Exported files and copies in MLflow stay, too, and rows
    in a server's memory until `helix server stop`.
    """
    from helix_spark.catalog.forgetting import Selection
    from helix_spark.cli.schema import forget_json
    from helix_spark.history.iteration_lookup import check_workflow, find_iteration

    if target is None and node is None and older_than is None and not source:
        raise ParameterError("nothing to forget is named", remedy="name a workflow, --node, --source or --older-than")
    if node is not None and source is not None:
        raise ParameterError("--node and --source cannot be combined", remedy="forget one after the other")
    if downstream and node is None:
        raise ParameterError("--downstream needs --node", remedy="name the node")
    catalog = _open_catalog(**common)
    workflow, _, number = (target or "").partition("@")
    if number:
        find_iteration(catalog, workflow, int(number) if number.isdecimal() else 0)
    check_workflow(catalog, workflow or None)
    before = None if older_than is None else time.time() - parse_duration(older_than)
    selection = Selection(workflow or None, int(number) if number else None, before, node, downstream, source)
    forgetting = catalog.forget(selection, dry_run=dry_run)
    if source is not None and not forgetting.runs:
        raise ParameterError(
            f"no recorded result was read from {source!r}", exists=nearest(source, forgetting.sources),
            remedy=_unrecorded_text(forgetting) or None,
        )
    print_result(
        as_json, lambda: forget_json(forgetting, dry_run=dry_run),
        lambda: say(_forget_text(forgetting, dry_run=dry_run)),
    )
    if (aside := catalog.root / "damaged").exists():
        say(f"warning: files that `helix repair` moved aside may still hold it: {aside}", to_stderr=True)


@options.command(
    click.argument("number", type=int), click.option("--remove", is_flag=True, help="Unpin the iteration."),
    options.workflow, options.catalog, options.as_json,
)
def pin(number: int, workflow: str | None, remove: bool, as_json: bool, **common: Any) -> None:
    """Pin an iteration: its stored results are never evicted, whatever the budget is, and it does not expire."""
    from helix_spark.history.iteration_lookup import find_iteration

    catalog = _open_catalog(**common)
    iteration = find_iteration(catalog, workflow, number)
    catalog.pin(iteration, pinned=not remove)
    nodes = catalog.nodes(iteration)
    live = catalog.live_among({node.signature for node in nodes})
    missing = [node.name for node in nodes if node.output and node.signature not in live]
    size = sum(artifact.bytes for artifact in live.values())
    state = f"iteration {number} of {iteration.workflow} is {'no longer pinned' if remove else 'pinned'}"
    stored = f"{len(live):,} stored results, {format_size(size)}"
    lost = f"; not stored: {', '.join(missing)}" if missing and not remove else ""
    entry = {"workflow": iteration.workflow, "iteration": number, "pinned": not remove, "stored": sorted(live),
             "bytes": size, "not_stored": missing}
    print_result(as_json, lambda: entry, lambda: say(f"{state} ({stored}{lost})"))


@options.command(
    click.argument("number", type=int),
    click.option("--to", required=True, metavar="DIR",
                 help="The shared catalog: a folder, or s3a://BUCKET/PATH; created if missing."),
    options.workflow, options.catalog, options.as_json,
)
def publish(number: int, workflow: str | None, to: str, as_json: bool, **common: Any) -> None:
    """Copy one iteration into a shared catalog: its stored results, its answers, and their records.

    Each result is checked before it is recorded there. Existing results stay, so publishing again copies only the
    missing ones. Others read them by --shared, HELIX_SHARED or the project's `shared`. Exit code 3 if a result was
    damaged, which is not copied.
    """
    from helix_spark.catalog.catalog import Catalog
    from helix_spark.catalog.publishing import publish_iteration
    from helix_spark.cli.schema import publish_json
    from helix_spark.history.iteration_lookup import find_iteration

    catalog = records(with_shared=True, **common)
    iteration = find_iteration(catalog, workflow, number)
    target = Catalog.open(to, create=True)
    target.check_writable()
    publication = publish_iteration(catalog, target, iteration)
    lines = [
        f"iteration {number} of {iteration.workflow} is iteration {publication.number} in {target.root}: "
        f"{len(publication.copied):,} results copied, {len(publication.there):,} already there; "
        f"{publication.answers:,} answers copied",
    ]
    if publication.missing:
        lines.append(f"not stored, so others compute them when needed: {', '.join(publication.missing)}")
    lines += [f"not copied: {name} is damaged: {why}" for name, why in publication.damaged.items()]
    print_result(as_json, lambda: publish_json(publication), lambda: say("\n".join(lines)))
    warn_of_misfits(catalog)
    sys.exit(BAD_ENVIRONMENT if publication.damaged else 0)


@options.command(options.catalog, options.as_json)
def doctor(as_json: bool, **common: Any) -> None:
    """Check Java, Spark, Delta, the jars, the solver, the disk."""
    from helix_spark.engine.spark.checks import doctor as examine

    checks = examine(read_settings(Path.cwd(), **common).catalog)
    lines = [
        f"{'ok ' if check.ok else 'BAD'}  {check.name:16} {check.found}"
        + ("" if check.ok else f"\n     {'':16} {check.remedy}")
        for check in checks
    ]
    print_result(as_json, lambda: [asdict(check) for check in checks], lambda: say("\n".join(lines)))
    sys.exit(0 if all(check.ok for check in checks) else BAD_ENVIRONMENT)


def parse_duration(text: str) -> float:
    """Return the seconds of a time such as "10m"; a bare number counts seconds.

    >>> parse_duration("10m"), parse_duration("3d"), parse_duration("0")
    (600.0, 259200.0, 0.0)
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd]?)", text.strip())
    if match is None:
        raise ParameterError(f"{text!r} is not a time", remedy="write a number and s, m, h or d, such as 24h")
    return float(match[1]) * _SECONDS[match[2] or "s"]


def _verify_text(verification: Verification) -> str:
    lines = [f"  {finding}" for finding in verification.findings if finding.verdict != "sound"]
    scope = "every page and checksum" if verification.deep else "logs, sizes and footers; --deep reads every page"
    counts: Counter[str] = Counter(finding.verdict for finding in verification.findings)
    verdicts = ", ".join(
        f"{counts[verdict]} {verdict}" for verdict in ("sound", "partly checked", "not reached", "damaged")
        if counts[verdict]
    )
    lines += [
        f"{len(verification.findings)} stored results: {verdicts or 'none'} ({scope})",
        f"{verification.iterations} iterations recorded",
        *([f"{verification.answers} answers recorded"] if verification.answers else []),
        *(f"  invalid record: {why}" for why in verification.rejections),
    ]
    if any(finding.bad for finding in verification.findings):
        lines.append("damaged results are never used: a run that needs one quarantines it and computes it again")
    return "\n".join(lines)


def _forget_text(forgetting: Forgetting, *, dry_run: bool) -> str:
    if not forgetting.runs:
        return "no such result or iteration is recorded"
    verb = "would forget" if dry_run else "forgot"
    iterations = ", ".join(f"{record.workflow} {record.number}" for record in forgetting.runs.values())
    nodes = ", ".join(sorted(set().union(*forgetting.names.values())))
    subject = iterations if forgetting.whole else f"the results of {nodes or 'no node'} in {iterations}"
    shared = f"; {len(forgetting.shared):,} results stay, which other iterations share" if forgetting.shared else ""
    lines = [f"{verb} {subject}: {len(forgetting.signatures):,} results{shared}"]
    lines += [f"read from {', '.join(forgetting.locations)}"] if forgetting.locations else []
    return "\n".join(filter(None, (*lines, _unrecorded_text(forgetting))))


def _unrecorded_text(forgetting: Forgetting) -> str:
    """Return a sentence that names the iterations with unrecorded sources; empty if there are none."""
    if not forgetting.unrecorded:
        return ""
    names = ", ".join(f"{record.workflow}@{record.number}" for record in forgetting.unrecorded)
    return (
        f"not all sources of {names} are recorded, such as those of tables built in Python: if they have read it, "
        "forget them by name"
    )


def _repair_text(repair: Repair) -> str:
    if not repair.is_needed:
        return "nothing to repair"
    lines = []
    for title, sentences in (
        ("damaged:", repair.damage),
        ("recorded again:" if repair.done else "would be recorded again:", repair.saved),
        ("lost:" if repair.done else "would be lost:", repair.lost),
    ):
        if sentences:
            lines += [title, *(f"  {sentence}" for sentence in sentences)]
    if not repair.lost:
        lines.append("nothing is lost")
    if repair.aside:
        lines.append(f"the damaged files were moved to {repair.aside}")
    lines.append("repaired" if repair.done else "nothing was changed; `helix repair` makes these changes")
    return "\n".join(lines)


catalog_commands: tuple[click.Command, ...] = (
    log, show, diff, storage, config, verify, gc, repair, forget, pin, publish, doctor,
)
