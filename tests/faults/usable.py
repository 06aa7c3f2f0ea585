"""Whether a catalog is usable after something befell its records: by itself, or once it was repaired."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.places.place import LocalPath
from helix_spark.catalog.verification import verify
from helix_spark.errors import CatalogError
from tests.faults.job import Heard, answers, run, workflow

USABLE = "usable, by itself or once repaired; nothing is lost that could be saved"


def forget_indexes() -> None:
    """Have all that catalogs hold read anew, as on another machine: what an index has is not missed in the records."""
    shutil.rmtree(os.environ["HELIX_INDEX"], ignore_errors=True)


def all_of(root: Path | str) -> Any:
    """Everything that the records say, read anew."""
    catalog = Catalog.open(root, create=False)
    view = catalog.snapshot("job")
    iterations = catalog.iterations()
    nodes = [catalog.nodes(each) for each in iterations]
    results = catalog.results({n.declared for of in nodes for n in of}, {n.signature for of in nodes for n in of})
    return (
        dict(view.artifacts), view.missing, view.last, view.nodes, view.next_iteration, iterations, nodes,
        dict(results.newest), dict(results.measured), view.past,
    )


def damaged(root: Path | str) -> str:
    """What a deep verification of a catalog finds damaged first; empty if nothing is."""
    bad = [finding for finding in verify(Catalog.open(root, create=True), deep=True).findings if finding.bad]
    return f"damaged: {bad[0]}" if bad else ""


def copied(sound: LocalPath, copy: LocalPath) -> LocalPath:
    """Return a new copy of a catalog, in the place of the last one."""
    shutil.rmtree(copy, ignore_errors=True)
    return shutil.copytree(sound, copy)


def next_number(root: Path) -> int:
    """One more than the greatest number of an iteration."""
    return 1 + max((each.number for each in Catalog.open(root, create=False).iterations("job")), default=0)


def stored_in(everything: Any) -> frozenset[str]:
    """Attempts of stored tables and models, of what `all_of` returned."""
    return frozenset(one.attempt for one in everything[0].values() if one.kind != "value")


def read_as_before(root: Path, before: Any, *, may_lose: bool) -> tuple[str, str]:
    """Reads all of a damaged catalog, repairs it, and reads again.

    Args:
        may_lose: whether records themselves are gone, so that no repair brings them back: what is lost must be said.

    Returns how it was read (read, read without what is damaged, repaired), and what is wrong; empty if nothing is.
    """
    forget_indexes()
    how = "read"
    try:
        after, said = all_of(root), Catalog.open(root, create=False).rejections
        if said or after != before:
            how = "read without what is damaged"
    except CatalogError as error:
        if "helix repair" not in str(error):
            return how, f"refused without a word of `helix repair`: {error}"
        how, after, said = "repaired", None, (str(error),)
    if after != before and not said:
        return how, "other records are read without a word"
    done = Catalog.open(root, create=False).repair()
    if said and not (done.damage or done.lost):
        return how, f"no damage is seen by a repair, and it was said: {said}"
    forget_indexes()
    if (again := Catalog.open(root, create=False).repair(dry_run=True)).is_needed:
        return how, f"damaged after the repair: {again}"
    after, said = all_of(root), Catalog.open(root, create=False).rejections
    if said:
        return how, f"said after the repair: {said}"
    if after != before and not (may_lose and done.lost):
        return how, f"lost {done.lost}"
    lost = len(stored_in(before) - stored_in(after))
    return how, f"{lost} stored results are not taken up again" if lost else ""


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
