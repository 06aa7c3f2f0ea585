"""Whether a catalog is usable after something befell its records: by itself, or once it was repaired."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.faults.job import Heard, answers, run, workflow
from helix_spark.catalog.catalog import Catalog
from helix_spark.errors import CatalogError

USABLE = "usable, by itself or once repaired; nothing is lost that could be saved"


def all_of(root: Path) -> Any:
    """Everything that the records say, read anew."""
    catalog = Catalog.open(root, create=False)
    view = catalog.snapshot("job")
    iterations = catalog.iterations()
    nodes = [catalog.nodes(each) for each in iterations]
    results = catalog.results({n.declared for of in nodes for n in of}, {n.signature for of in nodes for n in of})
    return (
        dict(view.artifacts), view.missing, view.last, view.nodes, view.next_iteration, iterations, nodes,
        dict(results.standing), dict(results.measured), view.past,
    )


def next_number(root: Path) -> int:
    """One more than the greatest number of an iteration."""
    return 1 + max((each.number for each in Catalog.open(root, create=False).iterations("job")), default=0)


def read_as_before(root: Path, before: Any, *, may_lose: bool) -> tuple[str, str]:
    """Reads all of a damaged catalog; where that is refused, repairs it once and reads again.

    Args:
        may_lose: whether rows themselves are gone, so that no repair brings them back: what is lost must be said.

    Returns how it was read (read, repaired, repaired with a loss), and what is wrong; empty if nothing is.
    """
    how, lost = "read", False
    try:
        after = all_of(root)
    except CatalogError as error:
        if "helix repair" not in str(error):
            return how, f"refused without a word of `helix repair`: {error}"
        done = Catalog.open(root, create=False).repair()
        how, lost = ("repaired with a loss" if done.lost else "repaired"), bool(done.lost)
        if again := Catalog.open(root, create=False).repair(dry_run=True).damage:
            return how, f"damaged after the repair: {again}"
        after = all_of(root)
    if lost and not may_lose:
        return how, f"lost {done.lost}"
    return how, "" if lost or after == before else "other records are read without a word"


def goes_on(root: Path, key: int, number: int) -> str:
    """Runs the job on a catalog that something befell, as people would: a run that is refused is run once more after a
    repair. Returns what is wrong; empty if nothing is.

    Args:
        number: that the iteration must have at least.
    """
    for again in (False, True):
        heard = Heard()
        try:
            outputs = run(root, workflow(key), heard)
        except CatalogError as error:
            if again or "helix repair" not in str(error):
                return f"refused{' after a repair' if again else ''}: {error}"
            Catalog.open(root, create=False).repair()
            continue
        newest = next(iter(Catalog.open(root, create=False).iterations("job")), None)
        if outputs != answers(key):
            return f"answered {outputs}"
        if newest is None or newest.number < number or newest.status != "done":
            return f"the newest iteration is {newest}, not {number}"
        unrecorded = [text for text in heard.warnings if "could not be" in text]
        return f"warned: {unrecorded}" if unrecorded else ""
    return "refused"
