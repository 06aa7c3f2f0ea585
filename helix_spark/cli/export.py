"""`helix export`: a stored result of an iteration as a file that other tools read. Without a JVM, and none of your code
is loaded."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from helix_spark.cli import options
from helix_spark.cli.options import records
from helix_spark.cli.output_files import already_there, output_at
from helix_spark.cli.terminal import say
from helix_spark.errors import CatalogError, NotStoredError, ParameterError

if TYPE_CHECKING:
    import pyarrow as pa

    from helix_spark.catalog.catalog_reader import CatalogReader
    from helix_spark.catalog.places.place import Place
    from helix_spark.catalog.records import ArtifactRecord
    from helix_spark.history.table_preview import TablePreview

_ENDINGS = {"table": (".parquet", ".csv"), "value": (".json",), "model": ("",)}


@options.command(
    click.argument("number", type=int), click.argument("node"), click.argument("path", type=click.Path(path_type=Path)),
    options.named_workflow, options.place, short_help="Write a stored result of an iteration to a file.",
)
def export(number: int, node: str, path: Path, named: str | None, **given: Any) -> None:
    """Write what NODE made in iteration NUMBER to PATH, where nothing may be yet.

    A table as .parquet or .csv, a value as .json, a model as the folder of Spark ML's own writer, a PATH without an
    ending, which `CLASS.load(PATH)` reads. Vectors are lists of numbers in a table.
    """
    from helix_spark.history.iteration_lookup import find_iteration
    from helix_spark.history.table_preview import tables_of
    from helix_spark.run.iteration import node_named, stored_result, value_on_record

    _check_free(path)
    catalog = records(**given)
    iteration = find_iteration(catalog, named, number)
    value, table = value_on_record(iteration, node), tables_of(iteration, catalog).get(node)
    nodes = catalog.nodes(iteration)
    if value is not None:
        _write_value(value.value, node, path)
    elif table is not None and catalog.artifact(node_named(iteration, nodes, node).signature) is None:
        _check_whole(table, node)
        _write_table(table.arrow, node, path)
    else:
        stored = stored_result(catalog, iteration, nodes, node)
        match stored.kind:
            case "value":
                _write_value(_value(stored, node), node, path)
            case "table":
                _write_table(partial(catalog.read_arrow, stored), node, path)
            case "model":
                _write_model(stored, catalog, node, path)
    say(f"wrote {path}")


def _value(stored: ArtifactRecord, node: str) -> Any:
    from helix_spark.catalog.places.json_text import parsed

    try:
        return parsed(stored.value or "null")
    except ValueError as error:
        raise _damaged(node, str(error)) from error


def _check_free(path: Path) -> None:
    if os.path.lexists(path):
        raise already_there(path)
    if not path.absolute().parent.is_dir():
        raise ParameterError(f"there is no folder {path.parent}", remedy="make it, or name another")


def _check_ending(path: Path, node: str, kind: str) -> None:
    """Refuse a path whose ending says another format than the file gets."""
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


def _check_whole(table: TablePreview, node: str) -> None:
    """Raise NotStoredError where only the first rows of a table are on record."""
    if not table.whole:
        total = "more" if table.total is None else f"{table.total:,}"
        raise NotStoredError(
            f"of {node!r} the first {len(table.rows):,} of {total} rows are on record, and the table is not stored",
            remedy='declare it with keep="always": then the next run stores it whole; `helix show` has the first rows',
        )


def _write_table(read: Callable[[], pa.Table], node: str, path: Path) -> None:
    import pyarrow.csv as pa_csv
    import pyarrow.parquet as pq

    _check_ending(path, node, "table")
    table, is_csv = read(), path.suffix.lower() == ".csv"
    if is_csv:
        _check_flat(table, node)
    with output_at(path) as unfinished:
        (pa_csv.write_csv if is_csv else pq.write_table)(table, unfinished)


def _check_flat(table: pa.Table, node: str) -> None:
    import pyarrow as pa

    types = pa.types
    formless = [field.name for field in table.schema if types.is_nested(field.type) or types.is_binary(field.type)]
    if formless:
        raise ParameterError(
            f"CSV has no form for {', '.join(formless)} of {node!r}: lists, structs and bytes", remedy="write .parquet"
        )


def _write_model(stored: ArtifactRecord, catalog: CatalogReader, node: str, path: Path) -> None:
    """Copy a stored model, and compare it with its record: it may be evicted meanwhile."""
    _check_ending(path, node, "model")
    folder = catalog.path_of(stored)
    assert folder is not None
    with output_at(path) as unfinished:
        if stored.digest not in (None, _copied(folder, unfinished, node)):
            raise _damaged(node, "its files are not those that were written")


def _copied(folder: Place, unfinished: Path, node: str) -> str:
    """Copy a stored model, and nothing that is none; return its digest."""
    from helix_spark.catalog.tables.model_files import StrangeModelError, checked_digest

    try:
        return checked_digest(folder, unfinished)
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


def _damaged(node: str, why: str) -> CatalogError:
    return CatalogError(
        f"the stored result of {node!r} is damaged: {why}",
        remedy="a run that needs it puts it aside and computes it again",
    )
