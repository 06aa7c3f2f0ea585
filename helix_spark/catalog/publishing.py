"""An iteration copied into another catalog: what is stored of it, and what is recorded of that.

The iteration goes first, as one whose results are not kept; then each result, whole and checked before its record. So
what an end in between leaves can be used, and the next attempt copies what is missing.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Collection, Iterator, Set
from dataclasses import dataclass, replace
from pathlib import Path

from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.catalog_reader import CatalogReader
from helix_spark.catalog.failpoints import reach
from helix_spark.catalog.known_results import completed
from helix_spark.catalog.places.catalog_folder import Layout, explained
from helix_spark.catalog.places.json_text import mapping
from helix_spark.catalog.places.place import Place, text_in
from helix_spark.catalog.records import AnswerRecord, ArtifactRecord, IterationRecord, ResultRecord
from helix_spark.catalog.segments.record_index import fields_of, record_of
from helix_spark.catalog.tables.attempts import LONGEST_COMMIT, commit_of, physical_bytes
from helix_spark.catalog.tables.model_files import checked_files
from helix_spark.catalog.tables.table_reading import DamagedArtifactError
from helix_spark.catalog.verification import check_stored
from helix_spark.errors import CatalogError


@dataclass(frozen=True, slots=True)
class Publication:
    """What was published of an iteration.

    Attributes:
        number: of the iteration in the catalog that it was copied to.
        copied, there, missing: names of nodes whose results were copied, were there already, or are not stored.
        damaged: why stored results were not copied, by name.
    """

    number: int
    copied: tuple[str, ...]
    there: tuple[str, ...]
    missing: tuple[str, ...]
    damaged: dict[str, str]
    answers: int


def publish_iteration(source: CatalogReader, target: Catalog, iteration: IterationRecord) -> Publication:
    """Copy an iteration that has ended, as far as the other catalog lacks it. Raises CatalogError."""
    if iteration.status in ("running", "died"):
        raise CatalogError(f"iteration {iteration.number} of {iteration.workflow!r} is {iteration.status}",
                           remedy="publish one that has come to its end")
    target.make()
    if source.id == target.id:
        raise CatalogError(f"{target.root} is the catalog that has the iteration", remedy="name another one by --to")
    nodes = source.nodes(iteration)
    names = {node.signature: node.name for node in reversed(nodes)}
    learnt = list(_learnt(source, names.keys()))
    # The text of the workflow's file, first rows of outputs, and what fits gave.
    previews = mapping(iteration.plan).get("tables", {}).values()
    digests = dict.fromkeys((iteration.file_digest, *previews, *(one.trained for one in learnt)))
    texts = [file for digest in digests if (file := source.file(digest)) is not None]
    number = target.add_iteration(iteration, nodes, _news(learnt, target), texts).number
    stored, damaged = source.live_among(names.keys()), dict[str, str]()
    there = target.live_among(stored)
    for signature in [one for one in names if one in stored and one not in there]:
        try:
            _copy(source, target, stored[signature], number)
        except (DamagedArtifactError, ValueError) as error:
            damaged[names[signature]] = error.what if isinstance(error, CatalogError) else str(error)
    # What its workflow had asked until then, too: what was not asked anew is recorded with the one that asked it first.
    questions = source.answers.questions_of(iteration.workflow, iteration.number) | names.keys()
    lookups = (source.answers.newest(one, is_fresh=False) for one in sorted(questions))
    answers = [one for one in lookups if one is not None]
    fresh = list[AnswerRecord]()
    for one in answers:
        theirs = target.answers.newest(one.question, is_fresh=False)
        if theirs is None or (one.doubt and not theirs.doubt):
            fresh.append(replace(one, iteration=number))
    target.answers.append(fresh)
    target.sync()
    target.maintain()
    known, in_order = {one.question for one in answers} | stored.keys(), list(names.items())[::-1]
    return Publication(
        number, tuple(name for one, name in in_order if one in stored.keys() - there and name not in damaged),
        tuple(name for one, name in in_order if one in there),
        tuple(name for one, name in in_order if one not in known), damaged, len(fresh),
    )


def _learnt(source: CatalogReader, signatures: Set[str]) -> Iterator[ResultRecord]:
    """Yield what is known of results, once for each declared signature that each stands for now. One that has come to
    stand for another result stays with that, unless they are instances, or what its code read tells the two apart."""
    known = source.results(source.declared_for(signatures), signatures)
    for declared, stood_for in known.stood_for.items():
        for signature in signatures & {*stood_for}:
            record, observed = known.measured[signature], known.observed.get(declared, {}).get(signature, "")
            if known.standing[declared] == signature or observed or record.random or record.choice:
                yield replace(record, declared=declared, observed=observed, load_seconds=None, read_seconds=None)


def _news(learnt: Collection[ResultRecord], target: Catalog) -> list[ResultRecord]:
    """Return what a catalog does not know yet."""
    known, news = target.results({one.declared for one in learnt}, {one.signature for one in learnt}), []
    for one in learnt:
        theirs, observed = known.measured.get(one.signature), known.observed.get(one.declared, {})
        stood_for = known.stood_for.get(one.declared, ())
        is_known = one.signature in stood_for and one.observed == observed.get(one.signature, "")
        if theirs is None or not is_known or completed(theirs, replace(one, observed="")) != theirs:
            news.append(one)
    return news


def _copy(source: CatalogReader, target: Catalog, record: ArtifactRecord, number: int) -> None:
    """Copy a stored result under an attempt of its own, and publish it once the copy was checked. Raises
    DamagedArtifactError or ValueError where it is not what was recorded, and CatalogError."""
    attempt = target.begin_attempt(record.signature, record.kind)
    own = record_of(fields_of(record), ArtifactRecord)  # which is not in a shared catalog
    copy = replace(own, attempt=attempt.attempt, iteration=number, at=time.time(), write_seconds=0.0)
    try:
        if attempt.path is not None:
            with explained(Layout(target.root), "written"):
                _copy_files(source, record, copy, attempt.path)
                reach("store.written")
                copy = target.vouch(replace(copy, bytes=physical_bytes(attempt.path)))
                check_stored(attempt.path, copy, deep=True)
        target.publish(copy)
    except BaseException:
        with contextlib.suppress(CatalogError):  # what cannot be deleted is for `gc` to find
            target.abandon(attempt)
        raise


def _copy_files(source: CatalogReader, record: ArtifactRecord, copy: ArtifactRecord, folder: Place) -> None:
    origin = source.path_of(record)
    assert origin is not None
    folder.make_new_folder(within=folder.parent.parent.parent)
    if record.kind == "model":
        for name, content in checked_files(origin):
            (folder / name).parent.make_folder()
            (folder / name).write_new(content)
        return
    for file in source.check_table(record).files:
        with file.open_binary() as read, (folder / file.name).writable() as place, (
            place.open("xb") if isinstance(place, Path) else contextlib.nullcontext(place)
        ) as written:
            shutil.copyfileobj(read, written, 8 << 20)
    commit = commit_of(folder)
    commit.parent.make_new_folder(within=folder)
    # The commit names the attempt.
    commit.replace_text(text_in(commit_of(origin), LONGEST_COMMIT).replace(record.attempt, copy.attempt))
