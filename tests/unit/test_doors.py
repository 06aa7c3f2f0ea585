"""All doors into a catalog, each fed by one fuzzer: what a stranger wrote is an error in words, or is not there.

A door is a way by which bytes or texts of a catalog reach a reader. `test_every_reader_is_behind_a_door` finds the
readers by what they call: one that no door exercises, and that `NOT_OF_A_CATALOG` does not name, makes it fail.
"""

from __future__ import annotations

import ast
import json
import os
import random
import re
import resource
import shutil
import signal
import sys
import tarfile
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import fields, replace
from hashlib import sha256
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pyarrow as pa
import pytest
from click.testing import CliRunner

pytest.importorskip("starlette", reason="the extra `ui` is not installed")
pytest.importorskip("httpx2", reason="requests in-process need httpx2")

from starlette.testclient import TestClient

from helix_spark.answers.stored_tables import PLACE, partitions_of
from helix_spark.answers.watched_functions import WatchedFunctions
from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.forgetting import Selection
from helix_spark.catalog.history import Progress, RunningNode
from helix_spark.catalog.places.place import LocalPath
from helix_spark.catalog.publishing import publish_iteration
from helix_spark.catalog.records import (
    KINDS,
    AnswerRecord,
    ArtifactRecord,
    FileRecord,
    IterationRecord,
    NodeRecord,
    ResultRecord,
)
from helix_spark.catalog.segments import folding, record_index
from helix_spark.catalog.segments.record_index import RecordKind, fields_of
from helix_spark.catalog.segments.record_log import RecordLog
from helix_spark.catalog.segments.segment import pack, unpack
from helix_spark.catalog.tables.attempts import read_manifest
from helix_spark.catalog.tables.spark_types import parsed_schema
from helix_spark.catalog.tables.table_reading import CheckedTable
from helix_spark.catalog.verification import verify
from helix_spark.cli.main import helix
from helix_spark.cli.output_files import original_path
from helix_spark.engine.results.stored_results import checked
from helix_spark.errors import HelixError
from helix_spark.history.model_card import card_from
from helix_spark.history.table_preview import preview_from
from helix_spark.identity.difference import parts_to_json
from helix_spark.identity.parts import Group, Part, digest
from helix_spark.plans.answer_fields import StrangeAnswerError
from helix_spark.plans.answer_gate import AnswerForm, answer_of_text
from helix_spark.ui.app import make_app
from tests.fakes.fuzzing import VALUES, mutated, mutated_texts
from tests.fakes.shown_catalogs import run_id, signature_of_node
from tests.fakes.written_tables import written
from tests.faults.model_digests import digest_of_model

WORKFLOW, RUNNING = "w", 3
MOST_SECONDS = 60
"""Of one look; on a machine with much else to do."""
MOST_MEMORY = 300 << 20
"""Bytes that a door may take above what the process had."""


def observed(folder: Path) -> str:
    return json.dumps({"files": {str(folder / "w.txt"): "0" * 64}, "listed": {str(folder): "1" * 64}, "drew": True})


def build(root: Path) -> Catalog:
    """A catalog with records of each kind, some in a fold, a table, a model, a value, a run under way and a lease."""
    catalog = Catalog.open(root, create=True)
    for number in (1, 2):
        _record_run(catalog, number)
        if number == 1:
            with folding_at_once():
                catalog.maintain()
    _store(catalog)
    for pinned in (True, False):
        catalog.pin(catalog.iterations()[0], pinned=pinned)
    catalog.answers.append([AnswerRecord(digest("q"), WORKFLOW, 1, 1.7e9, 0.5, "b" * 40)])
    catalog.leases.take(run_id(RUNNING))
    catalog.start_iteration(IterationRecord(run_id(RUNNING), WORKFLOW, RUNNING, "running", 1.7e9))
    node = RunningNode("data", "source", (), "compute", "new", 1.0, False, started=0.5)
    catalog.note_progress(Progress(WORKFLOW, RUNNING, (node,), began=1.7e9))
    return catalog


@contextmanager
def folding_at_once() -> Iterator[None]:
    """Have upkeep fold all segments, and delete those that it folded."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(folding, "AT_ONCE", 1)
        patch.setattr(folding, "KEPT_SEGMENTS", 0)
        yield


def _record_run(catalog: Catalog, number: int) -> None:
    run, names = run_id(number), ("data", "model", "auc")
    record = catalog.start_iteration(IterationRecord(
        run, WORKFLOW, number, "running", 1.7e9 + number, message="a message", parameters=json.dumps({"reg": 0.1}),
        plan=json.dumps({"policy": "joint", "budget": 2_000_000, "used": 1000, "run_all_seconds": 9.0}),
        versions=json.dumps({"python": "3.11"}),
    ))
    nodes = [
        NodeRecord(
            run, WORKFLOW, number, name, "scanner", names[max(0, place - 1) : place], "compute", "it is new",
            signature_of_node(name, number), signature_of_node(name, number),
            parts_to_json([Part(Group.CODE, name, digest(name, str(number)), "text")]), code="def f(): ...",
            seconds=0.5, predicted_seconds=1.0, bytes=1000, rows=3, output=name == "auc", started=0.5,
        ) for place, name in enumerate(names)
    ]
    results = [
        ResultRecord(one.declared, one.signature, WORKFLOW, one.name, one.kind, number, compute_seconds=1.0,
                     observed=observed(Path("/data")))
        for one in nodes
    ]
    text = f"def f():\n    return {number}\n"
    file = FileRecord(sha256(text.encode()).hexdigest(), "w.py", text)
    end = replace(
        record, status="done", seconds=2.5, file="/home/me/w.py", file_digest=file.digest,
        outputs=json.dumps({"auc": 0.8, "rows": {"table": "data", "rows": 3}}),
    )
    catalog.append_iteration(end, nodes, results, [file])


def _store(catalog: Catalog) -> None:
    table = catalog.begin_attempt(signature_of_node("data", 1), "table")
    rows = pa.table({"x": [1.0, 2.0, 3.0], "v": [[1.0], None, [3.0]], "s": ["a", "b", None]})
    catalog.publish(catalog.write_manifest(ArtifactRecord(
        table.signature, table.attempt, "table", "published", WORKFLOW, "data", 1, 1.7e9,
        **written(table, rows),
    )))
    model = catalog.begin_attempt(signature_of_node("model", 2), "model")
    assert model.path is not None
    (model.path / "metadata").mkdir(parents=True)
    named = "org.apache.spark.ml.feature.VectorAssembler"
    metadata = {"class": named, "uid": "va_1", "paramMap": {"stageUids": ["a_1"]}}
    (model.path / "metadata" / "part-00000").write_text(json.dumps(metadata) + "\n")
    catalog.publish(catalog.write_manifest(ArtifactRecord(
        model.signature, model.attempt, "model", "published", WORKFLOW, "model", 2, 1.7e9,
        bytes=model.path.total_bytes(), digest=digest_of_model(model.path),
    )))
    value = catalog.begin_attempt(signature_of_node("auc", 2), "value")
    catalog.publish(ArtifactRecord(
        value.signature, value.attempt, "value", "published", WORKFLOW, "auc", 2, 1.7e9, value='{"auc": 0.8}',
    ))


def look_at_records(root: Path) -> None:
    catalog = Catalog.open(root, create=False)
    catalog.check_writable()
    for workflow in (WORKFLOW, *catalog.workflows()):
        catalog.snapshot(workflow)
        for record in catalog.iterations(workflow):
            catalog.nodes(record)
            catalog.progress(record)
            catalog.file_text(record.file_digest)
        catalog.measured(workflow, ["data", "auc"])
    catalog.answers.newest(digest("q"))
    list(catalog.answers.records())
    _ = catalog.results(declared={signature_of_node("auc", 2)}, signatures={signature_of_node("data", 1)})
    _ = (catalog.loads(), catalog.bytes_used(), catalog.last_events(), catalog.rejections)
    catalog.leases.find(run_id(RUNNING))
    list(catalog.leases.names())
    catalog.leases.is_dead(run_id(RUNNING))


def look_at_results(root: Path) -> None:
    catalog = Catalog.open(root, create=False)
    for record in catalog.live():
        folder = catalog.path_of(record)
        if folder is not None:
            with error_in_words(ValueError, OSError):
                read_manifest(folder)
        if record.kind == "model" and folder is not None:
            with error_in_words():
                checked(record, folder)
        for read in (catalog.check_table, catalog.read_arrow) if record.kind == "table" else ():
            with error_in_words():
                read(record)
        if record.kind == "table":
            with error_in_words():
                catalog.first_rows(record, 10, 5)
    verify(catalog, deep=True)
    catalog.repair(dry_run=True)
    catalog.gc(dry_run=True)


def look_at_pages(root: Path) -> None:
    client = TestClient(make_app(Catalog.open(root, create=False)), base_url="http://localhost")
    for page in ("?", "iteration?number=2&", f"iteration?number={RUNNING}&", "storage?", "metrics?", "compare?a=1&b=2&",
                 "node?number=2&node=auc&", "node?number=1&node=data&"):
        client.get(f"/{page}workflow={WORKFLOW}")


def look_by_commands(root: Path) -> None:
    table, value, file = (str(root.parent / name) for name in ("data.csv", "a.json", "w.py"))
    for words in (["log"], ["log", "--json"], ["show", "2"], ["show", "1", "--json"], ["diff", "1", "2"], ["verify"],
                  ["export", "1", "data", table], ["export", "2", "auc", value], ["checkout", "1", file]):
        done = CliRunner().invoke(helix, [*words, "--catalog", str(root)])
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        for made in ("data.csv", "a.json", "w.iteration-1.py"):
            (root.parent / made).unlink(missing_ok=True)


def look_after(root: Path) -> None:
    """Write to a catalog, and keep and repair what is in it."""
    catalog = Catalog.open(root, create=False)
    with error_in_words():
        catalog.start_iteration(IterationRecord(run_id(4), WORKFLOW, 0, "running", 1.7e9))
        catalog.sync()
    with error_in_words(), folding_at_once():
        catalog.maintain()
    with error_in_words():
        catalog.gc(dry_run=False, grace_seconds=0)
    for selection in (Selection(WORKFLOW, node="model", downstream=True), Selection(WORKFLOW, number=1)):
        with error_in_words():
            catalog.forget(selection, dry_run=False)
    catalog.repair()
    look_at_records(root)


def look_to_publish(root: Path) -> None:
    """Copy what is in a catalog into another one."""
    with error_in_words():
        catalog, target = Catalog.open(root, create=False), Catalog.open(root / "team", create=True)
        for iteration in catalog.iterations():
            with error_in_words():
                publish_iteration(catalog, target, iteration)
    look_at_records(root / "team")


LOOKS: dict[str, Callable[[Path], None]] = {
    "records": look_at_records, "results": look_at_results, "pages": look_at_pages, "commands": look_by_commands,
    "publishing": look_to_publish, "upkeep": look_after, "records of an older layout": look_at_records,
    "taking over": look_after,
}
OF_AN_OLDER_LAYOUT = frozenset({"records of an older layout", "taking over"})


@contextmanager
def error_in_words(*more: type[Exception]) -> Iterator[None]:
    """Let a look end by an error of Helix's, or of further types that its reader is documented to raise."""
    with suppress(HelixError, *more):
        yield


class _TooLongError(Exception):
    """A look has not ended."""


_allowed: list[str] = []
_strange: list[str] = []
_ACTS = frozenset({"pickle.find_class", "os.system", "os.exec", "os.posix_spawn", "subprocess.Popen", "socket.connect"})


def _hook(event: str, given: tuple[Any, ...]) -> None:
    if not _allowed or (event == "sqlite3.connect" and given[0] == ":memory:"):
        return
    if event in _ACTS:
        _strange.append(f"{event} {given!r:.200}")
    elif event in ("open", "sqlite3.connect") and isinstance(given[0], str | bytes):
        name = os.path.abspath(os.fsdecode(given[0]))  # noqa: PTH100 - a text
        if not name.startswith(tuple(_allowed)) and not re.fullmatch(r"/proc/\d+/stat", name):  # of a lease's holder
            _strange.append(f"open {name}")


sys.addaudithook(_hook)


@contextmanager
def watched(folder: Path) -> Iterator[None]:
    """Hold a look to its limits: time, memory, nothing executed, nothing opened but what is below a folder."""
    def late(number: int, frame: FrameType | None) -> None:
        raise _TooLongError

    project = str(Path(__file__).resolve().parents[2])
    # Above the test's folder lies the sound catalog, whose lease is still kept alive.
    here = [str(folder.parent), "/proc/self/", sys.prefix, sys.base_prefix, project, "/etc/localtime", "/dev/null",
            f"{tempfile.gettempdir()}/helix-"]  # its own copies of models
    before, handler = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, signal.signal(signal.SIGALRM, late)
    signal.alarm(MOST_SECONDS)
    _strange.clear()
    _allowed[:] = here
    try:
        yield
    finally:
        _allowed.clear()
        signal.alarm(0)
        signal.signal(signal.SIGALRM, handler)
    assert _strange == []
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10 < MOST_MEMORY


OLDER = Path(__file__).parent / "older_catalogs" / "layout_1.tar.xz"


@pytest.fixture(scope="module")
def sound_and_exercised(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, set[tuple[str, str]]]:
    """A folder with a catalog for each look, and the functions that ran when each door was opened once."""
    folder = LocalPath(tmp_path_factory.mktemp("sound"))
    build(folder / "catalog")
    (folder / "older").mkdir()
    with tarfile.open(OLDER) as archive:
        archive.extractall(folder / "older", filter="data")

    def all_doors() -> None:
        for remembers in (parsed_schema, record_index._check_json):
            remembers.cache_clear()
        for look in LOOKS:
            look_at_copy(folder, look)
        for read, text in TEXTS.values():
            read(text)

    return folder, exercised(all_doors)


@pytest.fixture(scope="module")
def sound(sound_and_exercised: tuple[Path, set[tuple[str, str]]]) -> Path:
    return sound_and_exercised[0]


def catalog_for(sound: Path, look: str) -> Path:
    return sound / ("older" if look in OF_AN_OLDER_LAYOUT else "catalog")


def look_at_copy(sound: Path, look: str) -> None:
    with copied(catalog_for(sound, look), sound) as root:
        LOOKS[look](root)


@contextmanager
def copied(catalog: Path, folder: Path) -> Iterator[LocalPath]:
    """A copy of a catalog in a folder, whose records nobody has read yet."""
    root, index = LocalPath(folder / "copy"), folder / "index"
    shutil.copytree(catalog, root)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HELIX_INDEX", str(index))
        yield root
    shutil.rmtree(root)
    shutil.rmtree(index, ignore_errors=True)


SEED, VARIANTS = os.environ.get("HELIX_FUZZ_SEED", "0"), int(os.environ.get("HELIX_FUZZ", "2"))
"""Another seed gives other variants; of each file so many are tried."""


def _place(error: BaseException) -> str:
    frames = [one for one in traceback.extract_tb(error.__traceback__) if "helix_spark" in one.filename]
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "no place"


def files_of(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def harm_of(sound: Path, folder: Path, look: str, cases: Iterable[tuple[str, int]]) -> list[str]:
    """Look at a catalog with a variant of one file, for each of some files and variants; return what went wrong."""
    wrong, catalog = [], catalog_for(sound, look)
    for name, number in cases:
        with copied(catalog, folder) as root:
            (root / name).write_bytes(variant(name, (catalog / name).read_bytes(), number))
            if number % 2:  # a stranger would make the checksums fit
                for beside in (root / name).parent.glob(f".{Path(name).name}.crc"):
                    beside.unlink()
            try:
                with watched(folder), error_in_words():
                    LOOKS[look](root)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is harm
                wrong.append(f"{name}, variant {number}: {error!r:.300} at {_place(error)}")
    return wrong


def variant(name: str, content: bytes, number: int) -> bytes:
    """A variant of a file; three in four of a file of records match its checksum, as a stranger would have them."""
    def changed(part: bytes) -> bytes:
        *_, last = mutated(f"{SEED} {name} {number}", part, number + 1)
        return last

    if Path(name).suffix not in (".segment", ".fold") or number % 4 == 0:
        return changed(content)
    if number % 2:
        return pack([changed(b"".join(unpack(content))), b"\n"])
    first, _, packed = content.split(b"\n", 2)
    packed = changed(packed)
    return b"\n".join([first, sha256(packed).hexdigest().encode(), packed])


def test_variants_of_records_get_past_their_checksum(sound: Path) -> None:
    """But for each fourth."""
    names = [name for name in files_of(sound / "catalog") if Path(name).suffix in (".segment", ".fold")]
    assert {Path(name).suffix for name in names} == {".segment", ".fold"}
    for name in names:
        content = (sound / "catalog" / name).read_bytes()
        for number in range(8):
            first, found, packed = variant(name, content, number).split(b"\n", 2) if number % 4 else (b"", b"", b"")
            assert found.decode() == (sha256(packed).hexdigest() if first else "")


SOME = {
    "records": 6, "results": 6, "pages": 2, "commands": 1, "publishing": 2, "upkeep": 2,
    "records of an older layout": 2, "taking over": 2,
}
"""Files that a look is tried on in the suite; on all of them where there is time."""


@pytest.mark.parametrize("look", LOOKS)
def test_no_file_of_a_catalog_harms_who_looks(sound: Path, tmp_path: Path, look: str) -> None:
    draw = random.Random(f"{SEED} {look}")
    cases = [(name, draw.randrange(8)) for name in draw.sample(files_of(catalog_for(sound, look)), SOME[look])]
    assert harm_of(sound, tmp_path, look, cases) == []


@pytest.mark.long
@pytest.mark.parametrize("look", LOOKS)
def test_nor_does_any_other(sound: Path, tmp_path: Path, look: str) -> None:
    cases = [(name, number) for name in files_of(catalog_for(sound, look)) for number in range(VARIANTS)]
    assert harm_of(sound, tmp_path, look, cases) == []


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_no_value_in_a_field_of_a_record_harms_who_reads(sound: Path, tmp_path: Path, kind: RecordKind) -> None:
    """Each value in each field of a sound record, in a segment of its own."""
    catalog = Catalog.open(sound / "catalog", create=False)
    row = fields_of(catalog._records.rows(kind.record_type, "ORDER BY turn DESC LIMIT 1")[0])
    said = [row, *({**row, each.name: value} for each in fields(kind.record_type) for value in VALUES)]
    for number, one in enumerate(said, 1):
        lines = (json.dumps(value) + "\n" for value in ({"segment": number, "id": "x"}, [kind.name, one]))
        (tmp_path / f"{number:010}.segment").write_bytes(pack(line.encode() for line in lines))
    log = RecordLog(LocalPath(tmp_path), KINDS, lambda: None)
    with watched(tmp_path):
        read = log.rows(kind.record_type, "ORDER BY turn")
        left_out = log.select("SELECT why FROM rejections")
    assert fields_of(read[0]) == row
    assert len(read) + len(left_out) == len(said)
    assert left_out
    assert all(len(why) < 2_000 for (why,) in left_out)


def _reads(text: str) -> object:
    return WatchedFunctions(lambda _: text).identity("c" * 64)


def _partitions(text: str) -> object:
    with error_in_words(ValueError):
        return partitions_of(CheckedTable((), text))


def _answer(text: str) -> object:
    with error_in_words(StrangeAnswerError):
        return answer_of_text(AnswerForm("analyze", "schema"), text)


TABLE = json.dumps({"type": "struct", "fields": [
    {"name": PLACE, "type": "long", "nullable": True, "metadata": {"partitions": 3}},
]})
PREVIEW = json.dumps({"columns": [["a", "int64"]], "rows": [[1], [None]], "cut": False})
TEXTS: dict[str, tuple[Callable[[str], object], str]] = {
    "what functions read": (_reads, json.dumps({"files": {"/data/a.csv": "0" * 64}, "environment": {"A": "1" * 64}})),
    "a table's schema": (_partitions, TABLE), "an answer": (_answer, "b" * 40),
    "a table's first rows": (preview_from, PREVIEW), "a model's card": (card_from, json.dumps({"kind": "x"})),
    "where a file was": (lambda text: original_path(text, Path("/home/me")), "/home/me/jobs/w.py"),
}


@pytest.mark.parametrize("door", TEXTS)
def test_no_text_of_a_record_harms_who_reads(tmp_path: Path, door: str) -> None:
    read, text = TEXTS[door]
    read(text)
    for variant in mutated_texts(door, text, 300):
        with watched(tmp_path):
            read(variant)


READING = frozenset({
    "DeltaTable", "FromString", "MergeFromString", "ParquetFile", "ParseFromString", "b64decode", "decompressobj",
    "loads", "mapping", "open_binary", "open_regular", "open_stream", "parsed", "parsed_as", "parsed_schema",
    "parts_from_json", "read_at_most", "read_message", "read_regular", "read_schema", "read_table", "readable",
    "record_of", "scan_folder", "observed_from_json", "segments_in", "text_in",
})
"""What a reader of a catalog calls: it takes bytes from a file, or makes values of bytes and texts."""

PACKAGE = Path(__file__).resolve().parents[2] / "helix_spark"


def readers() -> set[tuple[str, str]]:
    """The functions that call one of `READING`, by file and name."""
    found, mentions = set(), re.compile(rf"\b(?:{'|'.join(READING)})\b")  # walks of all functions would take seconds
    for file in PACKAGE.rglob("*.py"):
        text = file.read_text()
        lines = text.split("\n")
        for function in ast.walk(ast.parse(text)) if mentions.search(text) else ():
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef) and any(
                map(mentions.search, lines[function.lineno - 1 : function.end_lineno])
            ):
                calls = (one.func for one in ast.walk(function) if isinstance(one, ast.Call))
                names = {one.attr if isinstance(one, ast.Attribute) else getattr(one, "id", "") for one in calls}
                if names & READING:
                    found.add((str(file.relative_to(PACKAGE)), function.name))
    return found


def exercised(act: Callable[[], None]) -> set[tuple[str, str]]:
    """The functions of the package that run meanwhile, by file and name."""
    seen: dict[int, CodeType] = {}

    def note(frame: FrameType, *_: object) -> None:
        """Note a call; a profiler would be told of each return and each call of a function in C, too."""
        seen[id(frame.f_code)] = frame.f_code

    before = sys.gettrace()
    threading.settrace(note)
    sys.settrace(note)
    try:
        act()
    finally:
        sys.settrace(before)
        threading.settrace(before)  # type: ignore[arg-type]  # None ends it; typeshed does not say so
    ours = [code for code in seen.values() if code.co_filename.startswith(str(PACKAGE))]
    return {(os.path.relpath(code.co_filename, PACKAGE), code.co_name) for code in ours}


def test_every_reader_is_behind_a_door(sound_and_exercised: tuple[Path, set[tuple[str, str]]]) -> None:
    _, behind = sound_and_exercised
    left = {f"{file} {name}" for file, name in readers() - behind}
    assert not left - NOT_OF_A_CATALOG.keys(), f"no door exercises {sorted(left - NOT_OF_A_CATALOG.keys())}: add one"
    assert not NOT_OF_A_CATALOG.keys() - left, f"behind a door, or gone: {sorted(NOT_OF_A_CATALOG.keys() - left)}"


ELSEWHERE: dict[str, tuple[str, ...]] = {
    "answers, which tests/unit/test_answer_gate.py feeds": (
        "plans/answer_fields.py _is_metadata",
        "plans/answer_gate.py _type_of",
        "plans/answer_gate.py parse_answer", "plans/answer_fields.py read_batch",
        "plans/answer_fields.py _check_messages",
        "plans/answer_fields.py _check_schema", "plans/answer_gate.py with_identity",
    ),
    "files that records name, which tests/unit/test_recorded_names.py feeds": (
        "loaded_sources.py read_lines", "hermetic/observed_inputs.py _entries",
    ),
    "a field that the rule of its record has parsed before": (
        "cli/catalog_commands.py storage", "cli/schema.py recorded_run_json",
        "run/iteration.py parameters", "run/iteration.py to_pandas", "run/preparation.py _learn",
        "engine/results/stored_results.py load",
        "run/preparation.py known_nodes", "run/run_outputs.py _has_output",
        "run/run_outputs.py _described_outputs", "run/iteration.py __init__",
        "run/recording.py record_end",
        "history/edit_message.py edit_message", "program/program_record.py _edit",
        "program/program_nodes.py _parts_of_lines", "program/program_nodes.py nodes_of",
        "tracking/entry.py _texts",
        "tracking/entry.py entry_of", "tracking/mlflow_tracker.py track", "ui/listing.py _searched_text",
        "answers/recorded_calls.py recorded_calls", "run/recomputing.py _differences", "run/preparation.py known_node",
        "history/comparison.py outputs", "history/comparison.py parameters", "views/program_view.py lines",
    ),
    "what its reader has asked for with --compute, as of a catalog that is trusted": (
        "cli/output_files.py _write_computed",
    ),
    "a stored result that a check has seen before": (
        "answers/stored_tables.py can_be_files", "answers/stored_tables.py frame_over_files",
        "run/recorded_answers.py model", "answers/stored_tables.py is_exact",
    ),
    "damaged records in an object store, which tests/unit/test_object_store.py has moved aside": (
        "catalog/places/object_store.py move_to",
    ),
    "a table that a workflow names as its source": (
        "identity/data_version.py _delta_table", "engine/lowering/lowering.py read_source",
    ),
    "the author's own code": ("identity/functions/import_effects.py _module", "loaded_sources.py syntax_of"),
    "what this run made itself": (
        "catalog/leases.py beat",
        "program/program_audit.py rows_in", "answers/stored_tables.py with_partitions",
        "answers/model_saves.py _without_time", "catalog/tables/table_writing.py commit_files",
        "answers/recorded_calls.py builds_text", "cli/fork_server.py now", "catalog/places/object_store.py try_store",
    ),
    "a process of this user, at a socket or a pipe": (
        "engine/server/run_sessions.py leave_rows", "engine/server/keeper.py main",
        "engine/server/kept_servers.py receive",
    ),
    "a process that Helix started": (
        "cli/sent_audit.py _audited", "cli/sent_audit.py main",
        "run/auditor.py _audit", "tracking/mlflow_tracker.py _answers", "tracking/sender.py main",
    ),
}
"""Readers that no door here exercises, by what they read."""

NOT_OF_A_CATALOG = {reader: what for what, each in ELSEWHERE.items() for reader in each}
