"""The commands that write files from a catalog, never over an existing file: `helix export` a stored result, `helix
checkout` the workflow's file, `helix history` all records. They start no JVM and load none of your code; only `helix
export --compute` does, to compute a result that is not stored."""

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
    """Yield a temporary path; sync and rename it. Raises ParameterError if `path` exists, HelixError on OSError."""
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
        _sync_folder_of(path)
    except OSError as error:
        raise HelixError(f"{path} cannot be written: {error.strerror or error}") from error


def _sync_folder_of(path: Path) -> None:
    with suppress(PermissionError):  # a folder may be writable but not readable
        sync_path(path.absolute().parent)


def _check_free(path: Path) -> None:
    if os.path.lexists(path):
        raise ParameterError(f"{path} exists", remedy="name another file, or remove it; nothing was written")


def _check_folder(path: Path) -> None:
    if not path.absolute().parent.is_dir():
        raise ParameterError(f"there is no folder {path.parent}", remedy="create it, or name another")


@options.command(
    click.argument("number", type=int), click.argument("node"), click.argument("path", type=click.Path(path_type=Path)),
    click.option("--compute", is_flag=True, help="Compute the result if it is not stored. This runs the code that the "
                 "catalog recorded, so use it only if you trust the catalog."),
    options.named_workflow, options.catalog, options.spark, short_help="Write a result of an iteration to a file.",
)
def export(number: int, node: str, path: Path, compute: bool, workflow_option: str | None, **common: Any) -> None:
    """Write the result of NODE in iteration NUMBER to PATH, which must not exist.

    A table is written as .parquet or .csv, a value as .json, a model as a folder in Spark ML's format, for a PATH
    without an ending, which `CLASS.load(PATH)` reads. Vectors in a table become lists of numbers.

    With --compute, a result that is not stored is computed from the iteration's recorded file and parameters, if the
    data and all other code are unchanged. Give the same --conf settings as the run.
    """
    from helix_spark.history.iteration_lookup import find_iteration
    from helix_spark.history.states import proofs_of
    from helix_spark.history.table_preview import tables_of
    from helix_spark.run.iteration import node_named, not_stored, value_on_record

    _check_free(path)
    _check_folder(path)
    catalog = records(with_shared=True, **common)
    iteration = find_iteration(catalog, workflow_option, number)
    recorded, table = value_on_record(iteration, node), tables_of(iteration, catalog).get(node)
    nodes = catalog.nodes(iteration)
    if recorded is not None:
        _write_value(recorded.value, node, path)
    elif (stored := catalog.artifact(node_named(iteration, nodes, node).signature)) is not None:
        _write_stored(stored, catalog, node, path)
    elif table is not None and table.whole:
        _write_table(table.arrow, node, path)
    elif compute:
        _write_computed(catalog, iteration, node, path, read_settings(Path.cwd(), **common))
    elif table is not None:
        total = "more" if table.total is None else f"{table.total:,}"
        raise NotStoredError(
            f"the table {node!r} is not stored; only the first {len(table.rows):,} of {total} rows are recorded",
            remedy='add --compute to compute it from the recorded code, or set keep="always" on the node',
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
    """Compute a result again, store it, and write it; evict it if neither the policy nor its author keeps it."""
    from helix_spark.catalog.records import QUESTION_KINDS
    from helix_spark.cli.author_file import build_recorded
    from helix_spark.cli.workflow_runs import WorkflowFile, open_helix

    text, file = recorded_text(catalog, iteration), Path(iteration.file)
    if QUESTION_KINDS.issuperset(record.kind for record in catalog.nodes(iteration)):
        raise ParameterError(
            f"{iteration.workflow!r} is a script, which is computed only as a whole", remedy="write its file by "
            f"`helix checkout {iteration.number}`, save the result in it, and run it: Spark computes the rest",
        )

    def announce(plan: Plan) -> None:
        about = seconds_text(plan.predicted_seconds)
        say(f"helix: {node!r} is not stored; computing it takes about {about}", to_stderr=True)

    with open_helix(replace(settings, mlflow=None), quiet=False) as engine:
        build = partial(build_recorded, file, text, iteration.workflow, mapping(iteration.parameters))
        workflow = WorkflowFile(file, build).load(engine)
        stored, is_kept = engine.recompute(workflow, iteration, node, announce)
        try:
            _write_stored(stored, engine.catalog, node, path)
        finally:
            if not is_kept:
                why = {stored.signature: "it was computed only for an export"}
                engine.catalog.evict_all(why, attempts={stored.attempt})


def _check_ending(path: Path, node: str, kind: str) -> None:
    endings = _ENDINGS[kind]
    if path.suffix.lower() not in endings:
        forms = " or ".join(ending or "a folder without an ending" for ending in endings)
        raise ParameterError(
            f"{node!r} is a {kind}, which is written as {forms}", exists=f"not as {path.name!r}",
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
    unwritable = [field.name for field in table.schema if types.is_nested(field.type) or types.is_binary(field.type)]
    if is_csv and unwritable:
        raise ParameterError(
            f"CSV cannot hold the columns {', '.join(unwritable)} of {node!r}: lists, structs or bytes",
            remedy="write .parquet",
        )
    with output_at(path) as unfinished:
        (pa_csv.write_csv if is_csv else pq.write_table)(table, unfinished)


def _write_model(stored: ArtifactRecord, catalog: CatalogReader, node: str, path: Path) -> None:
    """Copy a stored model, and compare the copy with its record: a run may evict the model meanwhile."""
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
            # Distinguish a model that cannot be read from a copy that cannot be written.
            if error.filename is not None and Path(error.filename).is_relative_to(unfinished):
                raise
            raise CatalogError(
                f"the stored result of {node!r} cannot be read: {error}",
                remedy="try again: a run may have evicted it meanwhile",
            ) from error
        if stored.digest not in (None, digest):
            raise _damaged(node, "its files are not those that were written")


def _damaged(node: str, why: str) -> CatalogError:
    return CatalogError(
        f"the stored result of {node!r} is damaged: {why}",
        remedy="a run that needs it quarantines it and computes it again",
    )


_ODD = re.compile(r"[^\w.-]+")
_LONGEST_STEM = 100


@options.command(
    click.argument("number", type=int), click.argument("file", required=False, type=click.Path(path_type=Path)),
    options.named_workflow, options.catalog, short_help="Write the workflow's file as an iteration had it.",
)
def checkout(number: int, file: Path | None, workflow_option: str | None, **common: Any) -> None:
    """Write the workflow's file as iteration NUMBER had it, never over another file.

    It is written next to FILE. By default, it is written where the file was, if that is below the current folder;
    otherwise into the current folder.
    """
    from helix_spark.history.iteration_lookup import find_iteration

    catalog = records(start=file, **common)
    if file is not None and file.suffix != ".py" and not file.is_file():
        is_workflow = str(file) in catalog.workflows()
        remedy = f"write --workflow {file} to name the workflow" if is_workflow else "name the workflow's file"
        raise ParameterError(f"there is no file {str(file)!r}", remedy=remedy)
    record = find_iteration(catalog, workflow_option, number)
    text = recorded_text(catalog, record)
    original, content = file or original_path(record.file, Path.cwd()), text.encode()
    _check_folder(original)
    path = original.with_name(f"{original.stem}.iteration-{number}{original.suffix}")
    with suppress(OSError):
        if LocalPath(path).read_at_most(len(content)) == content:
            say(f"already there: {path}")
            return
    if os.path.lexists(path):
        raise ParameterError(f"{path} exists with another text", remedy="rename or remove it; nothing was written")
    with output_at(path) as unfinished:
        unfinished.write_bytes(content)
    say(f"wrote {path}")


@options.command(
    click.argument("folder", type=click.Path(path_type=Path)),
    click.option("--format", "form", type=click.Choice(["delta", "parquet"]), default="delta", show_default=True,
                 help="Delta tables, or one Parquet file for each table."),
    options.catalog, short_help="Write all records as tables, for Spark, DuckDB or a notebook.",
)
def history(folder: Path, form: Format, **common: Any) -> None:
    """Write all records of the catalog to FOLDER, which must not exist: one table for each kind of record.

    The tables are files, iterations, nodes, results, answers and artifacts. They are not updated later.
    """
    from helix_spark.catalog.catalog_reader import write_tables

    catalog = records(**common)
    _check_folder(folder)
    _check_free(folder)
    with output_at(folder) as unfinished:
        unfinished.mkdir()
        counts = write_tables(catalog, unfinished, form)
    say(f"wrote {folder}: {', '.join(f'{count:,} {name}' for name, count in counts.items() if count)}")


def write_pages(file: Path, text: str) -> None:
    """Write the pages of `helix ui --export`; replace an earlier file."""
    try:
        file.write_text(text, encoding="utf-8")
        if file.is_file():  # not a terminal or pipe
            sync_path(file)
            _sync_folder_of(file)
    except OSError as error:
        raise HelixError(f"{file} cannot be written: {error.strerror or error}") from error
    say(f"wrote {file} ({format_size(len(text.encode()))})")


def recorded_text(catalog: CatalogReader, record: IterationRecord) -> str:
    """Return the text of the file that declared an iteration. Raises HelixError if it is not recorded."""
    text = catalog.file_text(record.file_digest)
    if text is None:
        why = "it is too long, or is not text" if record.file else "the workflow was not declared in a file"
        raise HelixError(
            f"the file of iteration {record.number} is not recorded: {why}",
            remedy=f"find it in git at {record.commit}" if record.commit else
            "`helix show` prints the code of its functions",
        )
    return text


def original_path(file: str, below: Path) -> Path:
    """Return a safe path for a workflow's file: in its recorded folder if that is inside `below`, else in `below`.

    The catalog may not be trusted, so the path is that of a Python file with a plain name.

    >>> original_path("/etc/cron.d/job.sh", Path("/home")), original_path("/home/../x/-rf *.pth", Path("/home"))
    (PosixPath('/home/job.py'), PosixPath('/home/rf_.py'))
    """
    stem = _ODD.sub("_", Path(file).stem).strip(".-")[:_LONGEST_STEM]
    folder = below
    with suppress(OSError, ValueError, RuntimeError):  # not a path; RuntimeError: a loop of links, before Python 3.13
        inside = Path(file).parent.resolve().relative_to(below.resolve())
        if (below / inside).is_dir() and not any(part.startswith(".") for part in inside.parts):
            folder = below / inside
    return folder / f"{stem or 'workflow'}.py"
