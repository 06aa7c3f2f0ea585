"""Bad input: traps, names that would lead elsewhere, a solver that is not there, changed jars, an author's mistakes."""

from __future__ import annotations

import base64
import dataclasses
import json
import os
import pickle
import random
import shutil
from pathlib import Path
from typing import Any
from unittest import mock

import pandas as pd
import pulp

import helix_spark as hx
from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.places.place import LocalPath
from helix_spark.catalog.records import ArtifactRecord, IterationRecord
from helix_spark.catalog.tables.table_reading import DamagedArtifactError
from helix_spark.engine.results.stored_results import DamagedResultError, load
from helix_spark.engine.server.session import Sessions
from helix_spark.engine.spark.jars import delta_jars
from helix_spark.errors import CatalogError, HelixError, NodeError, SetupError
from helix_spark.identity.parts import digest
from helix_spark.planner import solver
from tests.fakes.policy import loading
from tests.faults.job import PEOPLE, Heard, answers, run, workflow
from tests.faults.model_digests import digest_of_model
from tests.faults.row import NotHereError, Tally, fault
from tests.faults.stored_tables import stored_table
from tests.faults.traps import Trap


def _udt(**names: str) -> dict[str, Any]:
    return {"type": "udt", "sqlType": "long", **names}


@fault("a stored table whose schema names or carries a class", "refused; nothing executed", short=4, full=12)
def trapped_table(folder: Path, count: int, tally: Tally) -> None:
    catalog, mark = Catalog.open(folder / "catalog", create=True), folder / "sprung"
    record = stored_table(catalog)
    path = catalog.path_of(record)
    assert isinstance(path, Path)
    log = path / "_delta_log" / f"{0:020}.json"
    clean, payload = log.read_text(), base64.b64encode(pickle.dumps(Trap(mark))).decode()
    columns = [
        _udt(pyClass="posix.Trap", serializedClass=payload),
        _udt(pyClass="pyspark.ml.linalg.Trap", serializedClass=payload),
        _udt(**{"class": "org.apache.spark.ml.linalg.VectorUDT", "pyClass": "os.Trap", "serializedClass": payload}),
        {"type": "array", "containsNull": True, "elementType": _udt(pyClass="this.Zen", serializedClass=payload)},
    ]
    for index in range(count):
        schema = json.loads(record.schema or "")
        schema["fields"][index % 3]["type"] = columns[index % len(columns)]
        lines = [json.loads(line) for line in clean.splitlines()]
        for line in lines:
            if "metaData" in line:
                line["metaData"]["schemaString"] = json.dumps(schema)
        log.write_text("\n".join(map(json.dumps, lines)))
        taken = dataclasses.replace(record, schema=json.dumps(schema))
        try:
            catalog.check_table(taken)
            what = "it was taken"
        except DamagedArtifactError as error:
            what = "" if "not Spark ML's" in error.what else error.what
        tally.expect(not what and not mark.exists(), what or "the pickle was executed")


@fault("a stored model whose metadata names another class", "refused before Spark is asked", short=3, full=9)
def trapped_model(folder: Path, count: int, tally: Tally) -> None:
    catalog = Catalog.open(folder / "catalog", create=True)
    names = ("os.system", "builtins.exec", "org.evil.Model", "pyspark_ml.Trap", "subprocess.Popen")
    starts = list[str]()
    with Sessions(on_start=lambda: starts.append("Spark")) as sessions:
        for index in range(count):
            attempt = catalog.begin_attempt(digest("model", str(index)), "model")
            assert isinstance(attempt.path, LocalPath)
            (attempt.path / "metadata").mkdir(parents=True)
            (attempt.path / "metadata" / "part-00000").write_text(json.dumps({"class": names[index % len(names)]}))
            if index % 2:
                (attempt.path / "payload.pkl").write_bytes(pickle.dumps(Trap(folder / "sprung")))
            record = catalog.publish(ArtifactRecord(
                attempt.signature, attempt.attempt, "model", "published", "job", "model", 1, 0.0,
                bytes=attempt.path.total_bytes(), digest=digest_of_model(attempt.path),
            ))
            try:
                load(record, catalog, sessions)
                what = "it was loaded"
            except DamagedResultError as error:
                what = "" if ("payload" if index % 2 else "not Spark ML's") in error.what else error.what
            sprung = starts or (folder / "sprung").exists()
            tally.expect(not what and not sprung, what or "something was executed")


ODD_IDS = (
    "../../etc/passwd", "..", "/etc/passwd", "a" * 63, "A" * 64, "' OR 1=1 --", "a" * 64 + "\n", "\0" * 64, "",
    "é" * 64,
)


@fault("an id that is a path, or a piece of SQL", "refused, or unknown; nothing outside the root", short=10, full=40)
def ids_as_paths(folder: Path, count: int, tally: Tally) -> None:
    catalog = Catalog.open(folder / "catalog", create=True)
    stored_table(catalog)
    record = catalog.live()[0]
    uses = (
        lambda text: catalog.artifact(text), lambda text: catalog.begin_attempt(text, "table"),
        lambda text: catalog.nodes(IterationRecord(text, "job", 1, "done", 0.0)),
        lambda text: catalog.path_of(dataclasses.replace(record, attempt=text)),
    )
    for index in range(count):
        text, use = ODD_IDS[index % len(ODD_IDS)], uses[(index // len(ODD_IDS) + index) % len(uses)]
        try:
            what = "" if use(text) in (None, ()) else f"{text!r} was taken"
        except CatalogError:
            what = ""
        elsewhere = [path.name for path in folder.iterdir() if path.name != "catalog"]
        tally.expect(not what and not elsewhere, what or f"{elsewhere} appeared")


ODD_NAMES = ("../x", "a b", "nöde", "a'b", "x" * 300, "a/b", "..", "A", "select", "\U0001f600", "a\nb", "")


@fault("an odd name of a node or a workflow", "refused, or works; nothing outside the root", short=4, full=24)
def odd_names(folder: Path, count: int, tally: Tally) -> None:
    for index in range(count):
        name = ODD_NAMES[index % len(ODD_NAMES)]
        of_node = index < len(ODD_NAMES)
        try:
            wf = hx.Workflow("job" if of_node else name)
            wf.source("data", hx.table(pd.DataFrame({"a": [1, 2]})))

            def total(data: pd.DataFrame) -> int:
                return int(data.a.sum())

            wf.reducer(name=name if of_node else "total", output=True)(total)
            what = "" if list(run(folder / "catalog", wf).values()) == [3] else "the answer is wrong"
        except HelixError:
            what = ""
        elsewhere = [path.name for path in folder.iterdir() if path.name != "catalog"]
        tally.expect(not what and not elsewhere, f"{name!r}: {what or elsewhere}")


@fault("the solver is missing, or fails", "said in a sentence, or answers right", short=3, full=9)
def no_solver(folder: Path, count: int, tally: Tally) -> None:
    for index in range(count):
        catalog, heard = folder / str(index), Heard()
        run(catalog, workflow(1))
        ways = (
            mock.patch.object(solver, "is_available", return_value=False),
            mock.patch("helix_spark.planner.joint.solve", return_value=solver.Answer(None, "no time", "HiGHS")),
            mock.patch.object(pulp.LpProblem, "solve", side_effect=pulp.PulpSolverError("it fell over")),
        )
        policy = loading(("always", "joint", "never")[index // 3 % 3])
        with ways[index % 3]:
            try:
                with hx.Helix(catalog, policy=policy, budget="1 MiB", observer=heard) as helix:
                    what = "" if dict(helix.run(workflow(1, 2)).outputs) == answers(1, 2) else "the answer is wrong"
            except (SetupError, HelixError):
                what = ""
        tally.expect(not what, what)
        shutil.rmtree(catalog)


@fault("a jar of Delta's that was changed on its way or on the disk", "refused with its name, before a JVM has it",
       short=6, full=100)
def changed_jars(folder: LocalPath, count: int, tally: Tally) -> None:
    try:
        sound = delta_jars(os.environ)
    except SetupError as error:
        raise NotHereError(f"there are no jars to change: {error.what}") from error
    chance = random.Random(5)
    jars = Path(folder) / "jars"
    for number in tally.rounds(count):
        shutil.rmtree(jars, ignore_errors=True)
        jars.mkdir()
        for jar in sound:
            os.link(jar, jars / jar.name) if jar.stat().st_dev == jars.stat().st_dev else shutil.copy(jar, jars)
        broken = jars / chance.choice(sound).name
        content = bytearray(broken.read_bytes())
        broken.unlink()
        if number % 3:
            content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        else:
            del content[chance.randrange(1, len(content)):]
        broken.write_bytes(content)
        try:
            delta_jars({**os.environ, "HELIX_JARS": str(jars)})
            tally.expect(False, f"{broken.name} was taken")
        except SetupError as error:
            tally.expect(broken.name in f"{error}", f"{broken.name}: {error}")


def _workflow(kind: int) -> hx.Workflow:
    wf = hx.Workflow("author")
    wf.source("data", hx.table(PEOPLE))

    @wf.scanner
    def rows(data: pd.DataFrame) -> pd.DataFrame:
        return data.assign(a=data.a * 2)

    @wf.reducer(output=True)
    def total(rows: pd.DataFrame) -> int:
        match kind:
            case 0:
                return int(rows.a.sum())
            case 1:
                raise ValueError("no such person")
            case 2:
                return 1 // (len(rows) - len(rows))
            case 3:
                return int(rows.b.sum())
            case 4:
                assert len(rows) == 0, "too many rows"
            case 5:
                raise SystemExit(3)
            case 6:
                return int(dict[str, int]()["a"])
        return object()  # type: ignore[return-value]  # what an author may return by mistake

    return wf


@fault("the author's function fails", "the run fails and names it; what was computed is kept", short=3, full=21)
def fails(folder: Path, count: int, tally: Tally) -> None:
    for index in range(count):
        catalog, kind = folder / str(index), 1 + index % 7
        try:
            run(catalog, _workflow(kind))
            what = "it was taken for well"
        except HelixError as error:
            named = kind == 7 or (isinstance(error, NodeError) and "inputs.py:" in str(error))
            what = "" if named and "total" in str(error) else f"it says {error}"
        record = Catalog.open(catalog, create=False).iterations()[0]
        kept = {each.node for each in Catalog.open(catalog, create=False).live()}
        heard = Heard()
        again = run(catalog, _workflow(0), heard)
        what = what or ("" if record.status == "failed" and record.error else f"recorded as {record.status}")
        what = what or ("" if "rows" in kept else "`rows` was lost")
        what = what or ("" if again == {"total": int(PEOPLE.a.sum()) * 2} else f"then it answers {again}")
        tally.expect(not what, f"way {kind}: {what}")
