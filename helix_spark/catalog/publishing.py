"""Copy an iteration, its stored results and its records into another catalog.

The iteration is recorded first, without stored results; then each result is copied, checked and recorded. So the other
catalog is usable if the copy is interrupted, and the next attempt copies the missing results.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Collection, Iterator, Set
from dataclasses import dataclass, replace

from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.catalog_reader import CatalogReader
from helix_spark.catalog.failpoints import reach
from helix_spark.catalog.known_results import completed
from helix_spark.catalog.places.catalog_folder import Layout, explained
from helix_spark.catalog.places.json_text import mapping
from helix_spark.catalog.places.place import Place, text_in
from helix_spark.catalog.records import AnswerRecord, ArtifactRecord, IterationRecord, ResultRecord
from helix_spark.catalog.segments.record_index import fields_of, record_of
from helix_spark.catalog.tables.attempts import LONGEST_COMMIT, commit_of
from helix_spark.catalog.tables.model_files import checked_files
from helix_spark.catalog.tables.table_reading import DamagedArtifactError
from helix_spark.catalog.verification import check_stored
from helix_spark.errors import CatalogError


@dataclass(frozen=True, slots=True)
class Publication:
    """A published iteration.

    Attributes:
        number: number of the iteration in the other catalog.
        copied, there, missing: names of nodes whose results were copied, existed there before, or are not stored.
        damaged: reasons why stored results were not copied, by name.
    """

    number: int
    copied: tuple[str, ...]
    there: tuple[str, ...]
    missing: tuple[str, ...]
    damaged: dict[str, str]
    answers: int


def publish_iteration(source: CatalogReader, target: Catalog, iteration: IterationRecord) -> Publication:
    """Copy the missing parts of an ended iteration into another catalog. Raises CatalogError."""
    if iteration.status in ("running", "died"):
        raise CatalogError(f"iteration {iteration.number} of {iteration.workflow!r} is {iteration.status}",
                           remedy="publish an iteration that has ended")
    target.make()
    if source.id == target.id:
        raise CatalogError(f"{target.root} is the iteration's own catalog", remedy="name another one by --to")
    nodes = source.nodes(iteration)
    names = {node.signature: node.name for node in reversed(nodes)}
    results = list(_results_of(source, names.keys()))
    # The text of the workflow's file, first rows of outputs, and model cards.
    previews = mapping(iteration.plan).get("tables", {}).values()
    digests = dict.fromkeys((iteration.file_digest, *previews, *(result.trained for result in results)))
    texts = [file for digest in digests if (file := source.file(digest)) is not None]
    number = target.add_iteration(iteration, nodes, _unrecorded(results, target), texts).number
    stored, damaged = source.live_among(names.keys()), dict[str, str]()
    present = target.live_among(stored)
    for signature in [key for key in names if key in stored and key not in present]:
        try:
            _copy(source, target, stored[signature], number)
        except (DamagedArtifactError, ValueError) as error:
            damaged[names[signature]] = error.what if isinstance(error, CatalogError) else str(error)
    # Also earlier answers of the workflow: an answer is recorded with the iteration that first sent the question.
    questions = source.answers.questions_of(iteration.workflow, iteration.number) | names.keys()
    lookups = (source.answers.newest(question, is_fresh=False) for question in sorted(questions))
    answers = [answer for answer in lookups if answer is not None]
    new_answers = list[AnswerRecord]()
    for answer in answers:
        theirs = target.answers.newest(answer.question, is_fresh=False)
        if theirs is None or (answer.doubt and not theirs.doubt):
            new_answers.append(replace(answer, iteration=number))
    target.answers.append(new_answers)
    target.sync()
    target.maintain()
    available, in_order = {answer.question for answer in answers} | stored.keys(), list(names.items())[::-1]
    return Publication(
        number, tuple(name for key, name in in_order if key in stored.keys() - present and name not in damaged),
        tuple(name for key, name in in_order if key in present),
        tuple(name for key, name in in_order if key not in available), damaged, len(new_answers),
    )


def _results_of(source: CatalogReader, signatures: Set[str]) -> Iterator[ResultRecord]:
    """Yield the records of results, for each declared signature whose current result they are. Skip declared signatures
    with another current result, unless both are instances or the code read other inputs."""
    lookup = source.results(source.declared_for(signatures), signatures)
    for declared, effective in lookup.effective.items():
        for signature in signatures & {*effective}:
            record, observed = lookup.measured[signature], lookup.observed.get(declared, {}).get(signature, "")
            if lookup.newest[declared] == signature or observed or record.random or record.choice:
                yield replace(record, declared=declared, observed=observed, load_seconds=None, read_seconds=None)


def _unrecorded(results: Collection[ResultRecord], target: Catalog) -> list[ResultRecord]:
    """Return the results that a catalog has not recorded, or not completely."""
    lookup = target.results({result.declared for result in results}, {result.signature for result in results})
    unrecorded = []
    for result in results:
        theirs, observed = lookup.measured.get(result.signature), lookup.observed.get(result.declared, {})
        effective = lookup.effective.get(result.declared, ())
        is_known = result.signature in effective and result.observed == observed.get(result.signature, "")
        if theirs is None or not is_known or completed(theirs, replace(result, observed="")) != theirs:
            unrecorded.append(result)
    return unrecorded


def _copy(source: CatalogReader, target: Catalog, record: ArtifactRecord, number: int) -> None:
    """Copy a stored result as a new attempt, check the copy, and publish it. Raises DamagedArtifactError or ValueError
    if it differs from its record, and CatalogError."""
    attempt = target.begin_attempt(record.signature, record.kind)
    own = record_of(fields_of(record), ArtifactRecord)  # not a `SharedArtifact`
    copy = replace(own, attempt=attempt.attempt, iteration=number, at=time.time(), write_seconds=0.0)
    try:
        if attempt.path is not None:
            with explained(Layout(target.root), "written"):
                _copy_files(source, record, copy, attempt.path)
                reach("store.written")
                copy = target.write_manifest(replace(copy, bytes=attempt.path.total_bytes()))
                check_stored(attempt.path, copy, deep=True)
        target.publish(copy)
    except BaseException:
        with contextlib.suppress(CatalogError):  # `gc` finds a folder that cannot be deleted
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
        with file.open_binary() as read, (folder / file.name).writable() as written:
            shutil.copyfileobj(read, written, 8 << 20)
    commit = commit_of(folder)
    commit.parent.make_new_folder(within=folder)
    # The commit names the attempt.
    commit.replace_text(text_in(commit_of(origin), LONGEST_COMMIT).replace(record.attempt, copy.attempt))
