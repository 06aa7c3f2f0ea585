"""The commands that write what a catalog holds as files, never over anything: `helix export` a stored result, `helix
checkout` the workflow's file, `helix history` all records. Without a JVM, and none of your code is loaded, unless a
result is to be computed that was not kept."""

from __future__ import annotations

import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from helix_spark.catalog.places.json_text import mapping, parsed
from helix_spark.catalog.places.place import LocalPath, sync_path
from helix_spark.cli import options
from helix_spark.cli.options import CommandSettings, read_settings, records, say
from helix_spark.errors import CatalogError, HelixError, NotStoredError, ParameterError
from helix_spark.sizes import format_size, seconds_text

if TYPE_CHECKING:
    import pyarrow as pa

    from helix_spark.catalog.catalog_reader import CatalogReader, Format
    from helix_spark.catalog.records import ArtifactRecord, IterationRecord
    from helix_spark.planner.plan import Plan

_ENDINGS = {"table": (".parquet", ".csv"), "value": (".json",), "model": ("",)}


@contextmanager
def output_at(path: Path) -> Iterator[Path]:
    """Yield an unused path for a file or a folder; move what was written there to `path` once it survives a power cut.
    Raises ParameterError where something is at `path`, HelixError where the disk refuses."""
    unfinished = LocalPath(path.with_name(f".{uuid.uuid4().hex}"))
    try:
        try:
            yield unfinished
            if unfinished.is_dir():
                unfinished.sync([file for file in unfinished.rglob("*") if file.is_file()])
            else:
                sync_path(unfinished)
            _check_free(path)
            unfinished.rename(path)
        finally:
            if unfinished.is_dir():
                shutil.rmtree(unfinished, ignore_errors=True)
            else:
                unfinished.unlink(missing_ok=True)
        with suppress(PermissionError):  # a user who may write into a folder may not always list it
            sync_path(path.absolute().parent)
    except OSError as error:
        raise HelixError(f"{path} cannot be written: {error.strerror or error}") from error


def _check_free(path: Path) -> None:
    if os.path.lexists(path):
        raise ParameterError(f"{path} exists", remedy="name another, or remove it; nothing was written")


def _check_folder(path: Path) -> None:
    if not path.absolute().parent.is_dir():
        raise ParameterError(f"there is no folder {path.parent}", remedy="make it, or name another")


@options.command(
    click.argument("number", type=int), click.argument("node"), click.argument("path", type=click.Path(path_type=Path)),
    click.option("--compute", is_flag=True, help="Compute it if it was not kept, from the iteration's code, which this "
                 "runs: of a catalog that you trust."),
    options.named_workflow, options.place, options.spark, short_help="Write a result of an iteration to a file.",
)
def export(number: int, node: str, path: Path, compute: bool, named: str | None, **given: Any) -> None:
    """Write what NODE made in iteration NUMBER to PATH, where nothing may be yet.

    A table as .parquet or .csv, a value as .json, a model as the folder of Spark ML's own writer, a PATH without an
    ending, which `CLASS.load(PATH)` reads. Vectors are lists of numbers in a table.

    With --compute what was not kept is computed from the text and the parameters that the iteration had, if the data
    and all other code are what they were. Give the --conf settings that the run had.
    """
    from helix_spark.history.iteration_lookup import find_iteration
    from helix_spark.history.states import proofs_of
    from helix_spark.history.table_preview import tables_of
    from helix_spark.run.iteration import node_named, not_stored, value_on_record

    _check_free(path)
    _check_folder(path)
    catalog = records(with_shared=True, **given)
    iteration = find_iteration(catalog, named, number)
    recorded, table = value_on_record(iteration, node), tables_of(iteration, catalog).get(node)
    nodes = catalog.nodes(iteration)
    if recorded is not None:
        _write_value(recorded.value, node, path)
    elif (stored := catalog.artifact(node_named(iteration, nodes, node).signature)) is not None:
        _write_stored(stored, catalog, node, path)
    elif table is not None and table.whole:
        _write_table(table.arrow, node, path)
    elif compute:
        _write_computed(catalog, iteration, node, path, read_settings(Path.cwd(), **given))
    elif table is not None:
        total = "more" if table.total is None else f"{table.total:,}"
        raise NotStoredError(
            f"of {node!r} the first {len(table.rows):,} of {total} rows are on record, and the table is not stored",
            remedy='--compute computes it from the recorded code; keep="always" on the node has each run store it',
        )
    else:
        raise not_stored(catalog, iteration, nodes, node_named(iteration, nodes, node))
    proof = proofs_of(nodes, catalog).get(mapping(iteration.plan).get("merged", {}).get(node, node))
    say(f"wrote {path}" + (", unproven: no audit has computed it again yet" if proof == "unproven" else ""))


def _write_stored(stored: ArtifactRecord, catalog: CatalogReader, node: str, path: Path) -> None:
    match stored.kind:
        case "value":
            try:
                value = parsed(stored.value or "null")
            except ValueError as error:
                raise _damaged(node, str(error)) from error
            _write_value(value, node, path)
        case "table":
            _write_table(partial(catalog.read_arrow, stored), node, path)
        case "model":
            _write_model(stored, catalog, node, path)


def _write_computed(
    catalog: CatalogReader, iteration: IterationRecord, node: str, path: Path, settings: CommandSettings
) -> None:
    """Compute a result again, store it, and write it; let it stay if the policy or its author would keep it."""
    from helix_spark.catalog.records import QUESTION_KINDS
    from helix_spark.cli.author_file import build_recorded
    from helix_spark.cli.workflow_runs import WorkflowFile, open_helix

    text, file = recorded_text(catalog, iteration), Path(iteration.file)
    if QUESTION_KINDS.issuperset(one.kind for one in catalog.nodes(iteration)):
        raise ParameterError(
            f"{iteration.workflow!r} is a script, which is computed as a whole", remedy="`helix checkout "
            f"{iteration.number}` writes its text: run it, which asks Spark what is not on record, and save it there",
        )

    def announce(plan: Plan) -> None:
        about = seconds_text(plan.predicted_seconds)
        say(f"helix: {node!r} was not kept, and is computed: about {about}", to_stderr=True)

    with open_helix(replace(settings, mlflow=None), quiet=False) as engine:
        build = partial(build_recorded, file, text, iteration.workflow, mapping(iteration.parameters))
        workflow = WorkflowFile(file, None, (), recorded=build).load(engine)
        stored, is_kept = engine.recompute(workflow, iteration, node, announce)
        try:
            _write_stored(stored, engine.catalog, node, path)
        finally:
            if not is_kept:
                why = {stored.signature: "it was computed to be exported"}
                engine.catalog.evict_all(why, attempts={stored.attempt})


def _check_ending(path: Path, node: str, kind: str) -> None:
    endings = _ENDINGS[kind]
    if path.suffix.lower() not in endings:
        wanted = " or ".join(one or "a folder without an ending" for one in endings)
        raise ParameterError(
            f"{node!r} is a {kind}, which is written as {wanted}", exists=f"not as {path.name!r}",
            remedy=f"such as {path.with_suffix(endings[0]).name}",
        )


def _write_value(value: Any, node: str, path: Path) -> None:
    from helix_spark.cli.schema import to_text

    _check_ending(path, node, "value")
    with output_at(path) as unfinished:
        unfinished.write_text(to_text(value) + "\n", encoding="utf-8")


def _write_table(read: Callable[[], pa.Table], node: str, path: Path) -> None:
    import pyarrow as pa
    import pyarrow.csv as pa_csv
    import pyarrow.parquet as pq

    _check_ending(path, node, "table")
    table, is_csv = read(), path.suffix.lower() == ".csv"
    types = pa.types
    formless = [field.name for field in table.schema if types.is_nested(field.type) or types.is_binary(field.type)]
    if is_csv and formless:
        raise ParameterError(
            f"CSV has no form for {', '.join(formless)} of {node!r}: lists, structs and bytes", remedy="write .parquet"
        )
    with output_at(path) as unfinished:
        (pa_csv.write_csv if is_csv else pq.write_table)(table, unfinished)


def _write_model(stored: ArtifactRecord, catalog: CatalogReader, node: str, path: Path) -> None:
    """Copy a stored model, and compare it with its record: it may be evicted meanwhile."""
    from helix_spark.catalog.tables.model_files import StrangeModelError, checked_digest

    _check_ending(path, node, "model")
    folder = catalog.path_of(stored)
    assert folder is not None
    with output_at(path) as unfinished:
        try:
            digest = checked_digest(folder, unfinished)
        except StrangeModelError as error:
            raise _damaged(node, str(error)) from error
        except OSError as error:
            # That it cannot be read is not to be taken for a copy that cannot be written.
            if error.filename is not None and Path(error.filename).is_relative_to(unfinished):
                raise
            raise CatalogError(
                f"the stored result of {node!r} cannot be read: {error}",
                remedy="a run may have evicted it meanwhile: try again",
            ) from error
        if stored.digest not in (None, digest):
            raise _damaged(node, "its files are not those that were written")


def _damaged(node: str, why: str) -> CatalogError:
    return CatalogError(
        f"the stored result of {node!r} is damaged: {why}",
        remedy="a run that needs it puts it aside and computes it again",
    )


_ODD = re.compile(r"[^\w.-]+")
_LONGEST_STEM = 100


@options.command(
    click.argument("number", type=int), click.argument("file", required=False, type=click.Path(path_type=Path)),
    options.named_workflow, options.place, short_help="Write the workflow's file as an iteration had it.",
)
def checkout(number: int, file: Path | None, named: str | None, **given: Any) -> None:
    """Write the workflow's file as iteration NUMBER had it, never over another: beside FILE; else beside where it was,
    if that is below the current folder; else into the current folder.
    """
    from helix_spark.history.iteration_lookup import find_iteration

    known = records(start=file, **given)
    if file is not None and file.suffix != ".py" and not file.is_file():
        is_workflow = str(file) in known.workflows()
        remedy = f"the workflow is named by an option: --workflow {file}" if is_workflow else "name the workflow's file"
        raise ParameterError(f"there is no file {str(file)!r}", remedy=remedy)
    record = find_iteration(known, named, number)
    text = recorded_text(known, record)
    beside, content = file or where_it_was(record.file, Path.cwd()), text.encode()
    _check_folder(beside)
    path = beside.with_name(f"{beside.stem}.iteration-{number}{beside.suffix}")
    with suppress(OSError):
        if LocalPath(path).read_at_most(len(content)) == content:
            say(f"already there: {path}")
            return
    if os.path.lexists(path):
        raise ParameterError(f"{path} exists and has another text", remedy="rename or remove it; nothing was written")
    with output_at(path) as unfinished:
        unfinished.write_bytes(content)
    say(f"wrote {path}")


@options.command(
    click.argument("folder", type=click.Path(path_type=Path)),
    click.option("--format", "form", type=click.Choice(["delta", "parquet"]), default="delta", show_default=True,
                 help="Delta tables, or a Parquet file a table."),
    options.place, short_help="Write all records as tables, for Spark, DuckDB or a notebook.",
)
def history(folder: Path, form: Format, **given: Any) -> None:
    """Write all records of the catalog to FOLDER, where nothing may be yet: a table for each kind.

    The tables are files, iterations, nodes, results, answers and artifacts. They are a copy as of now.
    """
    from helix_spark.catalog.catalog_reader import write_tables

    known = records(**given)
    _check_folder(folder)
    _check_free(folder)
    with output_at(folder) as unfinished:
        unfinished.mkdir()
        counts = write_tables(known, unfinished, form)
    say(f"wrote {folder}: {', '.join(f'{count:,} {name}' for name, count in counts.items() if count)}")


def write_pages(file: Path, text: str) -> None:
    """Write the pages of `helix ui --export`, over an earlier file too."""
    try:
        file.write_text(text, encoding="utf-8")
        if file.is_file():  # no terminal or pipe: it survives a power cut once it is said to be written
            sync_path(file)
            with suppress(PermissionError):  # a user who may write into a folder may not always list it
                sync_path(file.absolute().parent)
    except OSError as error:
        raise HelixError(f"{file} cannot be written: {error.strerror or error}") from error
    say(f"wrote {file} ({format_size(len(text.encode()))})")


def recorded_text(catalog: CatalogReader, record: IterationRecord) -> str:
    """Return the text of the file that declared an iteration. Raises HelixError where it is not recorded."""
    text = catalog.file_text(record.file_digest)
    if text is None:
        why = "its file is too long, or is not text" if record.file else "it was declared in no file"
        raise HelixError(
            f"the file of iteration {record.number} is not recorded: {why}",
            remedy=f"git has it at {record.commit}" if record.commit else "`helix show` has the code of its functions",
        )
    return text


def where_it_was(file: str, below: Path) -> Path:
    """Return where a workflow's file was, as far as its record may say.

    The record may be a stranger's, so this is a Python file of a plain name: in its own folder if that is below another
    one, else in that.

    >>> where_it_was("/etc/cron.d/job.sh", Path("/home/me")), where_it_was("/home/me/../x/-rf *.pth", Path("/home/me"))
    (PosixPath('/home/me/job.py'), PosixPath('/home/me/rf_.py'))
    """
    plain = _ODD.sub("_", Path(file).stem).strip(".-")[:_LONGEST_STEM]
    folder = below
    with suppress(OSError, ValueError, RuntimeError):  # no path; Python before 3.13 says so of links that lead round
        inside = Path(file).parent.resolve().relative_to(below.resolve())
        if (below / inside).is_dir() and not any(part.startswith(".") for part in inside.parts):
            folder = below / inside
    return folder / f"{plain or 'workflow'}.py"
