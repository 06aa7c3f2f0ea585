"""What a catalog promises, whatever it is made of."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from helix_spark.catalog.artifacts import ArtifactLedger
from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.leases import Leases
from helix_spark.catalog.places import place
from helix_spark.catalog.places.catalog_folder import MARKER
from helix_spark.catalog.places.place import LocalPath
from helix_spark.catalog.records import KINDS, LAYOUT, ArtifactRecord, IterationRecord, NodeRecord, ResultRecord
from helix_spark.catalog.segments.record_index import RecordKind
from helix_spark.catalog.segments.record_log import RecordLog
from helix_spark.catalog.segments.segment import Segment, pack
from helix_spark.catalog.tables.attempts import Attempt
from helix_spark.errors import CatalogError
from helix_spark.identity.parts import digest
from helix_spark.planner.planning import kept_for
from helix_spark.workflow.declaration import Wishes

A, B, C = (digest(letter) for letter in "abc")
RUN = "0" * 32


def record(catalog: Catalog, signature: str, node: str = "rows", size: int = 7) -> ArtifactRecord:
    """A written, not yet published table of `size` bytes (not a real one), by a writer that nobody knows of."""
    attempt = catalog.begin_attempt(signature, "table")
    catalog.leases.release(attempt.attempt)
    assert attempt.path is not None
    attempt.path.mkdir(parents=True)
    (attempt.path / "part").write_bytes(b"x" * size)
    return ArtifactRecord(signature, attempt.attempt, "table", "published", "census", node, 1, 0.0, bytes=size)


def folder_of(catalog: Catalog, record: ArtifactRecord) -> Path:
    path = catalog.path_of(record)
    assert path is not None
    return path


def iteration(number: int, status: str = "done", workflow: str = "census", run: str | None = None) -> IterationRecord:
    run = run or digest(workflow, str(number))[:32]
    return IterationRecord(run, workflow, number, status, 0.0)  # type: ignore[arg-type]  # parametrised by tests


def node(of: IterationRecord, name: str, declared: str = A) -> NodeRecord:
    return NodeRecord(of.run, of.workflow, of.number, name, "extractor", ("before", "data"), "compute", "new", declared,
                      declared, "[]", seconds=0.5, stored=True)


class TestOpening:
    def test_planning_on_a_fresh_folder_writes_nothing(self, tmp_path: Path) -> None:
        catalog = Catalog.open(tmp_path / "new" / "catalog", create=True)
        view = catalog.snapshot("census")
        assert (dict(view.artifacts), view.last, view.nodes) == ({}, None, ())
        assert (view.next_iteration, view.bytes_used) == (1, 0)
        assert catalog.results([A], [C]).newest == {}
        assert catalog.measured("census", ["rows"]) == {}
        assert (catalog.iterations(), catalog.workflows(), catalog.nodes(iteration(1))) == ((), (), ())
        assert (catalog.bytes_used(), catalog.gc(dry_run=True)) == (0, ())
        catalog.maintain()
        assert catalog.gc(dry_run=False) == ()
        assert list(tmp_path.iterdir()) == []

    def test_first_write_makes_it(self, catalog: Catalog) -> None:
        catalog.append_iteration(iteration(1))
        assert json.loads((catalog.root / MARKER).read_text())["layout"] == LAYOUT == 2
        assert Catalog.open(catalog.root, create=False).workflows() == ("census",)

    def test_an_empty_folder_becomes_a_catalog(self, tmp_path: Path) -> None:
        Catalog.open(tmp_path, create=True).append_iteration(iteration(1))
        assert (tmp_path / MARKER).exists()

    def test_a_folder_whose_disk_another_process_tries_becomes_a_catalog(self, tmp_path: Path) -> None:
        (tmp_path / ".helix-try-abc").touch()
        Catalog.open(tmp_path, create=True).append_iteration(iteration(1))
        assert (tmp_path / MARKER).exists()

    def test_leases_alone_are_what_a_killed_run_left_and_become_a_catalog(self, tmp_path: Path) -> None:
        Leases(tmp_path / "leases").take(RUN)
        with pytest.raises(CatalogError, match="is empty"):
            Catalog.open(tmp_path, create=False)
        Catalog.open(tmp_path, create=True).append_iteration(iteration(1))
        assert Catalog.open(tmp_path, create=False).workflows() == ("census",)

    @pytest.mark.parametrize("create", [True, False])
    def test_a_folder_with_other_things_is_refused(self, tmp_path: Path, create: bool) -> None:
        (tmp_path / "thesis.tex").write_text("")
        with pytest.raises(CatalogError, match="is not a catalog") as caught:
            Catalog.open(tmp_path, create=create)
        assert "thesis.tex" in str(caught.value)
        assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]

    @pytest.mark.parametrize("create", [True, False])
    @pytest.mark.parametrize(("marker", "text"), [
        ('{"layout": 3, "created_by": "helix_spark 9.1"}', "helix_spark 9.1"), ("{", "cannot be read"),
        ('{"layout": "x"}', "names no layout"), ("[]", "names no layout"),
    ])
    def test_a_marker_it_does_not_understand_is_refused(
        self, tmp_path: Path, create: bool, marker: str, text: str
    ) -> None:
        (tmp_path / MARKER).write_text(marker)
        with pytest.raises(CatalogError) as caught:
            Catalog.open(tmp_path, create=create)
        assert text in str(caught.value)

    def test_reading_needs_a_catalog(self, tmp_path: Path) -> None:
        with pytest.raises(CatalogError, match="no catalog"):
            Catalog.open(tmp_path / "none", create=False)
        with pytest.raises(CatalogError, match="is empty"):
            Catalog.open(tmp_path, create=False)

    def test_a_file_is_no_folder(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        for root in (tmp_path / "file", tmp_path / "file" / "below"):
            with pytest.raises(CatalogError, match=r"is a file|Not a directory"):
                Catalog.open(root, create=True)
        with pytest.raises(CatalogError, match="neither a local folder"):
            Catalog.open("ftp://bucket/catalog", create=True)

    @pytest.mark.parametrize("name", ["a[1]", "a|b", "a\\b", "a^b", "100%25"])
    def test_a_path_that_delta_cannot_read_is_refused_before_anything_is_made(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(CatalogError, match="Delta cannot read paths with"):
            Catalog.open(tmp_path / name, create=True)
        assert not (tmp_path / name).exists()

    def test_a_way_back_behind_a_link_leads_where_the_disk_says(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Libraries that shorten a path as text would have the records in another folder than the rest."""
        (tmp_path / "elsewhere" / "folder").mkdir(parents=True)
        (tmp_path / "here" / "catalog").mkdir(parents=True)
        (tmp_path / "here" / "link").symlink_to(tmp_path / "elsewhere" / "folder")
        monkeypatch.chdir(tmp_path / "here")
        Catalog.open("link/../catalog", create=True).append_iteration(iteration(1))
        assert list((tmp_path / "here" / "catalog").iterdir()) == []
        assert Catalog.open(tmp_path / "elsewhere" / "catalog", create=False).workflows() == ("census",)

    def test_what_cannot_be_written_is_found_out_and_can_be_read(
        self, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        catalog.append_iteration(iteration(1))
        monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK)
        with pytest.raises(CatalogError, match="cannot be written"):
            catalog.check_writable()
        with pytest.raises(CatalogError, match="cannot be written"):
            Catalog.open(catalog.root.parent / "other", create=True).check_writable()
        assert Catalog.open(catalog.root, create=False).snapshot("census").next_iteration == 2

    def test_one_that_another_process_makes_meanwhile_is_no_foreign_folder(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        lexists = os.path.lexists

        def late(path: str) -> bool:
            if lexists(path):
                return True
            monkeypatch.setattr(os.path, "lexists", lexists)
            Catalog.open(tmp_path / "c", create=True).make()
            return False

        monkeypatch.setattr(os.path, "lexists", late)
        assert Catalog.open(tmp_path / "c", create=True).iterations() == ()

class TestIterations:
    def test_the_end_counts_over_the_start(self, catalog: Catalog) -> None:
        started = catalog.start_iteration(iteration(0))
        assert (started.number, started.status) == (1, "running")
        view = catalog.snapshot("census")
        assert (view.last, view.next_iteration) == (None, 2)
        ended = dataclasses.replace(started, status="done", seconds=1.5, outputs='{"accuracy": 0.85}')
        nodes = tuple(node(ended, name) for name in ("rows", "income", "age"))
        catalog.append_iteration(ended, nodes)
        view = catalog.snapshot("census")
        assert (view.last, view.nodes) == (ended, nodes)
        assert catalog.iterations("census") == (ended,)
        assert catalog.nodes(ended) == nodes

    def test_what_a_run_says_of_itself_counts_over_what_others_conclude(self, catalog: Catalog) -> None:
        for status in ("running", "done", "interrupted"):
            catalog.append_iteration(iteration(1, status))
        assert [found.status for found in catalog.iterations()] == ["done"]

    def test_numbers_are_given_per_workflow(self, catalog: Catalog) -> None:
        first, second, other = (
            catalog.start_iteration(iteration(0, workflow=name, run=digest(str(i))[:32]))
            for i, name in enumerate(["census", "census", "it's"])
        )
        assert (first.number, second.number, other.number) == (1, 2, 1)
        assert catalog.workflows() == ("census", "it's")
        assert [found.workflow for found in catalog.iterations("it's")] == ["it's"]

    def test_newest_first_and_limited(self, catalog: Catalog) -> None:
        for number in (1, 2, 3):
            catalog.append_iteration(iteration(number, "running"))
            catalog.append_iteration(iteration(number))
            catalog.append_iteration(iteration(number, workflow="other"))
        assert [found.number for found in catalog.iterations("census")] == [3, 2, 1]
        assert [found.number for found in catalog.iterations("census", limit=2)] == [3, 2]
        assert [(found.workflow, found.number) for found in catalog.iterations(limit=3)] == [
            ("other", 3), ("census", 3), ("other", 2)
        ]
        assert catalog.iterations(limit=0) == ()

    def test_history_of_signatures(self, catalog: Catalog) -> None:
        for number, signature in enumerate((A, B, C), 1):
            one = iteration(number)
            catalog.append_iteration(one, [node(one, name, signature if name == "rows" else A) for name in (
                "before", "data", "rows", "age"
            )])
        past = catalog.snapshot("census").past
        assert [one.record.number for one in past] == [1, 2, 3]
        assert [{node.name: node.signature for node in one.nodes} for one in past[1:]] == [
            {"before": A, "data": A, "rows": B, "age": A}, {"before": A, "data": A, "rows": C, "age": A}
        ]
        assert past[0].nodes[2].inputs == ("before", "data")
        assert catalog.snapshot("none").past == ()

    def test_of_a_run_id_that_is_none_nothing_is_known(self, catalog: Catalog) -> None:
        catalog.append_iteration(iteration(1), [node(iteration(1), "rows")])
        for run in ("' OR 1=1 --", "../x", "A" * 32):
            other = iteration(1, run=run)
            catalog.append_iteration(other, [node(other, "rows")])
            assert catalog.nodes(other) == ()
        assert len(catalog.nodes(iteration(1))) == len(catalog.iterations()) == 1


class TestResults:
    def test_equivalents_costs_and_doubts(self, catalog: Catalog) -> None:
        first = ResultRecord(A, A, "census", "rows", "scanner", 1, compute_seconds=2.0)
        later = ResultRecord(A, A, "census", "rows", "scanner", 2, load_seconds=0.1, random="calls rand")
        again = ResultRecord(B, B, "census", "rows", "scanner", 2, compute_seconds=3.0)
        found_equal = ResultRecord(B, A, "census", "rows", "scanner", 3)
        for each in (first, later, again, found_equal):
            catalog.append_results([each])
        known = catalog.results([A, B, C])
        assert known.newest == {A: A, B: A}
        assert (known.measured[A].compute_seconds, known.measured[A].load_seconds) == (2.0, 0.1)
        assert known.measured[A].random == "calls rand"
        assert catalog.results([B]).measured[A].compute_seconds == 2.0
        assert catalog.results([], [B]).measured[B].compute_seconds == 3.0

    def test_measured_is_the_last_measurement_of_a_name(self, catalog: Catalog) -> None:
        for signature, seconds in ((A, 1.0), (B, 2.0), (C, None)):
            catalog.append_results([ResultRecord(signature, signature, "census", "rows", "scanner", 1, seconds)])
        assert catalog.measured("census", ["rows", "none"])["rows"].signature == B
        assert catalog.measured("other", ["rows"]) == {}

    def test_of_a_signature_that_is_none_nothing_is_known(self, catalog: Catalog) -> None:
        catalog.append_results([ResultRecord("x", A, "census", "rows", "scanner", 1)])
        assert catalog.results(["'); DROP TABLE results --", "x"], ["x", A]).measured == {}
        assert any("declared" in why for why in catalog.rejections)


class TestStrangeRecords:
    @pytest.mark.parametrize("said", [
        {}, {"signature": "x"}, {"signature": 7, "inputs": [None]}, {"number": 2**70}, {"attempt": "../.."},
    ], ids=str)
    @pytest.mark.parametrize("kind", [kind.name for kind in KINDS])
    def test_one_that_does_not_fit_and_is_alone_in_its_segment_is_left_out_and_said(
        self, catalog: Catalog, kind: str, said: dict[str, object]
    ) -> None:
        catalog.append_iteration(iteration(1))
        strange = Segment(2, "x", ((kind, said),))
        (catalog.root / "records" / "0000000002.segment").write_bytes(pack([strange.lines()]))
        catalog.append_iteration(iteration(2))
        read = Catalog.open(catalog.root, create=False)
        assert [found.number for found in read.iterations()] == [2, 1]
        (why,) = read.rejections
        assert why.startswith(f"{kind}: ")


class TestArtifacts:
    def test_a_result_exists_when_its_record_does(self, catalog: Catalog) -> None:
        written = record(catalog, A)
        assert catalog.artifact(A) is None
        assert catalog.publish(written) == written
        assert catalog.artifact(A) == written
        assert dict(catalog.snapshot("other").artifacts) == {A: written}
        assert catalog.publish(written) == written
        assert folder_of(catalog, written).is_dir()

    def test_the_first_record_wins(self, catalog: Catalog) -> None:
        first, second = record(catalog, A), record(catalog, A)
        catalog.publish(first)
        assert catalog.publish(second) == first
        assert folder_of(catalog, first).is_dir()
        assert not folder_of(catalog, second).exists()

    @pytest.mark.parametrize("event", ["evicted", "quarantined"])
    def test_an_ended_artifact_is_gone_and_says_why(self, catalog: Catalog, event: str) -> None:
        def end(why: str) -> ArtifactRecord | None:
            if event == "quarantined":
                return catalog.quarantine(A, why)
            return next(iter(catalog.evict_all({A: why})), None)

        written = catalog.publish(record(catalog, A))
        assert end("no room") == written
        assert catalog.artifact(A) is None
        assert not (catalog.root / "tables" / A).exists()
        last = catalog.last_event(A)
        assert last is not None
        assert (last.event, last.why) == (event, "no room")
        assert end("again") is None
        with pytest.raises(CatalogError):
            catalog.publish(written)
        again = catalog.publish(record(catalog, A))
        assert catalog.artifact(A) == again

    def test_a_replacement_is_not_quarantined_for_its_predecessor(self, catalog: Catalog) -> None:
        old = catalog.publish(record(catalog, A))
        catalog.evict_all({A: ""})
        new = catalog.publish(record(catalog, A))
        assert catalog.quarantine(A, "bad page", attempt=old.attempt) is None
        assert catalog.artifact(A) == new

    def test_values_live_in_their_records(self, catalog: Catalog) -> None:
        attempt = catalog.begin_attempt(A, "value")
        assert attempt.path is None
        value = ArtifactRecord(A, attempt.attempt, "value", "published", "census", "accuracy", 1, 0.0, value="0.85")
        assert catalog.publish(value) == value
        assert catalog.snapshot("census").artifacts[A].value == "0.85"
        assert catalog.evict_all({A: ""}) == (value,)

    def test_what_was_not_written_is_not_published(self, catalog: Catalog) -> None:
        attempt = catalog.begin_attempt(A, "model")
        nothing = ArtifactRecord(A, attempt.attempt, "model", "published", "census", "model", 1, 0.0)
        with pytest.raises(CatalogError, match="is gone"):
            catalog.publish(nothing)

    def test_a_folder_that_vanished_is_not_planned_with(self, catalog: Catalog) -> None:
        gone, kept, elsewhere = (catalog.publish(record(catalog, signature)) for signature in (A, B, C))
        ran = iteration(1)
        catalog.append_iteration(ran, [node(ran, "rows", A), node(ran, "age", B)])
        for lost in (gone, elsewhere):
            shutil.rmtree(folder_of(catalog, lost))
        view = catalog.snapshot("census")
        # Of what no remembered iteration of the workflow had, a plan does not ask.
        assert (dict(view.artifacts), view.missing) == ({B: kept, C: elsewhere}, (gone,))

    def test_a_folder_that_an_old_listing_leaves_out_is_there(
        self, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        kept = catalog.publish(record(catalog, A))
        ran = iteration(1)
        catalog.append_iteration(ran, [node(ran, "rows", A)])
        monkeypatch.setattr(LocalPath, "second_names", lambda *_: iter(()))
        view = catalog.snapshot("census")
        assert (dict(view.artifacts), view.missing) == ({A: kept}, ())

    def test_what_is_missing_ends_at_once_and_nothing_else(self, catalog: Catalog) -> None:
        gone, back, kept, again = (catalog.publish(record(catalog, one)) for one in (A, B, C, digest("d")))
        ran = iteration(1)
        catalog.append_iteration(ran, [node(ran, "rows", one.signature) for one in (gone, back, kept, again)])
        for lost in (gone, back, again):
            folder_of(catalog, lost).rename(catalog.root / lost.attempt)
        view = catalog.snapshot("census")
        assert set(view.missing) == {gone, back, again}
        (catalog.root / back.attempt).rename(folder_of(catalog, back))
        catalog.evict_all({again.signature: "stored anew"})
        anew = catalog.publish(record(catalog, again.signature))
        before = catalog.stored_version()
        assert catalog.quarantine_missing(view.missing) == (gone,)
        assert catalog.stored_version() == before + 1
        assert set(catalog.live()) == {back, kept, anew}
        assert catalog.quarantine_missing(()) == ()

    def test_all_that_is_missing_is_recorded_in_one_commit(self, catalog: Catalog) -> None:
        lost = [catalog.publish(record(catalog, one)) for one in (A, B, C)]
        for each in lost:
            shutil.rmtree(folder_of(catalog, each))
        before = catalog.stored_version()
        assert set(catalog.quarantine_missing(lost)) == set(lost)
        assert catalog.stored_version() == before + 1

    def test_a_plan_looks_into_no_folder_of_what_is_stored(
        self, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for signature in (A, B):
            catalog.publish(record(catalog, signature))
        left = record(catalog, C)
        listed: list[str] = []
        names = place._names
        monkeypatch.setattr(place, "_names", lambda folder: [listed.append(folder.name), names(folder)][1])
        view = catalog.snapshot("census")
        assert sorted(listed) == sorted(["tables", "models", C])
        assert view.bytes_used >= 3 * left.bytes

    def test_a_plan_is_told_the_schemas_of_what_it_may_load(self, catalog: Catalog) -> None:
        schema = '{"type": "struct", "fields": []}'
        near, far = (
            catalog.publish(dataclasses.replace(record(catalog, signature), schema=schema)) for signature in (A, B)
        )
        ran = iteration(1)
        catalog.append_iteration(ran, [node(ran, "rows", A)])
        assert dict(catalog.snapshot("census").artifacts) == {A: near, B: dataclasses.replace(far, schema=None)}
        assert set(catalog.live()) == {near, far}

    @pytest.mark.parametrize("signature", ["../../etc", "", "A" * 64, "a" * 63, "a" * 64 + "\n"])
    def test_only_signatures_become_paths(self, catalog: Catalog, signature: str) -> None:
        with pytest.raises(CatalogError, match="not a signature"):
            catalog.begin_attempt(signature, "table")
        assert catalog.evict_all({signature: ""}) == ()

    def test_nothing_outside_the_root_is_deleted(self, catalog: Catalog, tmp_path: Path) -> None:
        written = catalog.publish(record(catalog, A))
        outside = tmp_path / "outside"
        (catalog.root / "tables" / A).rename(outside)
        (catalog.root / "tables" / A).symlink_to(outside)
        with pytest.raises(CatalogError, match="leads out of the catalog"):
            catalog.evict_all({A: ""})
        assert (outside / written.attempt / "part").exists()
        assert catalog.artifact(A) is None


class TestEndingSeveral:
    def test_their_ends_are_one_commit_and_the_data_of_each_is_deleted(self, catalog: Catalog) -> None:
        first, second, third = (catalog.publish(record(catalog, signature)) for signature in (A, B, C))
        before = catalog.stored_version()
        assert catalog.evict_all({C: "no use", digest("none"): "never stored", A: "no room"}) == (third, first)
        assert catalog.stored_version() == before + 1
        assert catalog.live() == (second,)
        assert [folder_of(catalog, each).exists() for each in (first, second, third)] == [False, True, False]
        ends = catalog.last_events([A, C])
        assert {signature: end.why for signature, end in ends.items()} == {A: "no room", C: "no use"}
        assert catalog.evict_all({A: "again"}) == catalog.evict_all({}) == ()
        assert catalog.stored_version() == before + 1

    def test_data_that_cannot_be_deleted_keeps_no_other_from_being_deleted(
        self, catalog: Catalog, tmp_path: Path
    ) -> None:
        stored = [catalog.publish(record(catalog, signature)) for signature in (A, B, C)]
        for signature in (A, B):
            (catalog.root / "tables" / signature).rename(tmp_path / signature)
            (catalog.root / "tables" / signature).symlink_to(tmp_path / signature)
        with pytest.raises(CatalogError, match=rf"{A}.* leads out of the catalog.* \(and 1 more\)"):
            catalog.evict_all(dict.fromkeys((A, B, C), "no room"))
        assert catalog.live() == ()
        assert [folder_of(catalog, each).exists() for each in stored] == [True, True, False]

    def test_a_replacement_is_not_evicted_for_its_predecessor(self, catalog: Catalog) -> None:
        old = catalog.publish(record(catalog, A))
        catalog.evict_all({A: ""})
        new = catalog.publish(record(catalog, A))
        assert catalog.evict_all({A: "too large"}, attempts=[old.attempt]) == ()
        assert catalog.evict_all({A: "too large"}, attempts=[new.attempt]) == (new,)

    def test_nothing_goes_by_an_old_view(self, catalog: Catalog) -> None:
        first, second = (catalog.publish(record(catalog, signature)) for signature in (A, B))
        seen = catalog.stored_version()
        assert catalog.evict_all({A: "no room"}, attempts=[second.attempt], seen=seen) == ()
        third = catalog.publish(record(catalog, C))
        assert catalog.evict_all({A: "no room", B: "no room"}, seen=seen) == ()
        assert catalog.evict_all({A: "no room"}, attempts=[first.attempt], seen=catalog.stored_version()) == (first,)
        assert set(catalog.live()) == {second, third}

    def test_the_record_of_an_end_repeats_nothing_long(self, catalog: Catalog) -> None:
        attempt = catalog.begin_attempt(A, "value")
        value = ArtifactRecord(A, attempt.attempt, "value", "published", "census", "text", 1, 0.0, value='"long"')
        table = dataclasses.replace(record(catalog, B), schema='{"type": "struct", "fields": []}')
        assert {catalog.publish(each) for each in (value, table)} == {value, table}
        assert catalog.evict_all({A: "", B: ""}) == (value, table), "as they were"
        for signature in (A, B):
            end = catalog.last_event(signature)
            assert end is not None
            assert (end.event, end.value, end.schema) == ("evicted", None, None)


class TestWishes:
    def test_what_is_wished_of_what_is_stored_already_is_on_record_once(self, catalog: Catalog) -> None:
        first, second = catalog.publish(record(catalog, A)), catalog.publish(record(catalog, B))
        before = catalog.stored_version()
        catalog.note_wishes("census", {A: Wishes(keep="always"), B: Wishes(fixed=True), C: Wishes(keep="always")})
        told = {
            A: dataclasses.replace(first, insisted=True), B: dataclasses.replace(second, insisted=True, fixed=True),
        }
        assert {one.signature: one for one in catalog.live()} == told == dict(catalog.snapshot("census").artifacts)
        assert catalog.stored_version() == before + 1
        catalog.note_wishes("census", {A: Wishes(keep="always"), B: Wishes(keep="always")})
        assert catalog.stored_version() == before + 1, "it says so already"
        assert catalog.bytes_used() == catalog.snapshot("census").bytes_used
        catalog.note_wishes("census", {A: Wishes()})
        assert catalog.artifact(A) == first, "nobody insists any more"
        assert catalog.evict_all({A: "no room"}) == (first,)
        catalog.note_wishes("census", {A: Wishes(keep="always")})
        assert catalog.artifact(A) is None, "an end is final"

    def test_several_workflows_may_insist_on_one_result(self, catalog: Catalog) -> None:
        catalog.publish(record(catalog, A))
        for name in ("theirs", "another"):
            catalog.note_wishes(name, {A: Wishes(keep="always")})
        (own,) = catalog.live()
        assert (own.workflow, own.insisted, own.insisting) == ("census", False, {"theirs", "another"})
        assert kept_for(catalog.snapshot("census").artifacts[A], "census") == "workflow `another` asked for it"
        catalog.note_wishes("another", {A: Wishes()})
        assert catalog.snapshot("census").artifacts[A].insisting == {"theirs"}
        assert kept_for(catalog.snapshot("theirs").artifacts[A], "theirs") == ""

    def test_a_catalog_of_an_older_version_is_read_and_written(self, catalog: Catalog) -> None:
        @dataclasses.dataclass(frozen=True)
        class Older:
            """A record of a stored result as earlier versions had it."""

            signature: str
            attempt: str
            kind: str
            event: str
            workflow: str
            node: str
            iteration: int
            at: float
            bytes: int = 0
            content: int | None = None
            schema: str | None = None
            why: str = ""
            insisted: bool = False

        made = record(catalog, A)
        RecordLog(catalog.root / "records", [RecordKind("artifacts", Older, ())], lambda: None).append([Older(
            A, made.attempt, "table", "published", "census", "rows", 1, 0.0, made.bytes, content=99, insisted=True
        )])
        older = dataclasses.replace(made, insisted=True)
        assert dict(catalog.snapshot("census").artifacts) == {A: older}
        catalog.note_wishes("theirs", {A: Wishes(keep="always")})
        assert catalog.live() == (dataclasses.replace(older, insisted_by=("theirs",)),)


class TestSpace:
    def test_bytes_count_everything(self, catalog: Catalog) -> None:
        catalog.publish(record(catalog, A, size=1000))
        record(catalog, B, size=500)
        (catalog.root / "tables" / A / ".part.crc").write_bytes(b"12345678")
        exact = catalog.root.total_bytes()
        assert exact >= 1508 + (catalog.root / "records").total_bytes()
        # Quick: no marker, and live artifacts as their records say.
        assert catalog.bytes_used() == exact - 8 - (catalog.root / MARKER).stat().st_size
        assert catalog.snapshot("census").bytes_used == catalog.bytes_used()

    def test_gc_takes_orphans_after_their_grace_and_ended_ones_at_once(self, catalog: Catalog) -> None:
        live = catalog.publish(record(catalog, A))
        orphan = record(catalog, A)
        ended = catalog.publish(record(catalog, B, size=11))
        path = folder_of(catalog, ended)
        catalog.evict_all({B: "no room"})
        path.mkdir(parents=True)
        (path / "part").write_bytes(b"x" * 11)
        told = catalog.gc(dry_run=True, grace_seconds=3600)
        assert [(each.attempt.signature, each.bytes, each.why) for each in told] == [(B, 11, "evicted: no room")]
        assert len(catalog.gc(dry_run=True, grace_seconds=0)) == 2
        assert path.exists()
        catalog.gc(dry_run=False, grace_seconds=0)
        assert not path.exists()
        assert not folder_of(catalog, orphan).exists()
        assert folder_of(catalog, live).exists()
        assert catalog.gc(dry_run=True, grace_seconds=0) == ()

    def test_gc_asks_only_how_those_ended_whose_data_is_there(
        self, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        catalog.publish(record(catalog, A))
        catalog.publish(record(catalog, B))
        catalog.evict_all({B: "no room"})
        orphan = record(catalog, C)
        asked: list[str] = []
        ends = ArtifactLedger.events_of
        monkeypatch.setattr(ArtifactLedger, "events_of", lambda self, of: [asked.extend(of), ends(self, of)][1])
        assert [each.attempt.attempt for each in catalog.gc(dry_run=True, grace_seconds=0)] == [orphan.attempt]
        assert asked == [orphan.attempt]

    def test_what_gc_takes_of_a_writer_that_was_only_stopped_cannot_be_published(self, catalog: Catalog) -> None:
        stopped = record(catalog, A)
        catalog.leases.release(stopped.attempt)
        assert len(catalog.gc(dry_run=False, grace_seconds=0)) == 1
        path = folder_of(catalog, stopped)
        path.mkdir(parents=True)
        (path / "part").write_bytes(b"x" * 7)  # it went on writing
        with pytest.raises(CatalogError, match="was ended before"):
            catalog.publish(stopped)
        assert catalog.live() == ()
        assert catalog.gc(dry_run=True)[0].why.startswith("abandoned: never published, untouched")
        # It was never stored, so nothing tells of it as if it had been.
        assert catalog.last_event(A) is None
        assert catalog.last_events([A]) == {}
        again = catalog.publish(record(catalog, A))
        assert catalog.live() == (again,)

    def test_what_is_published_while_gc_decides_stays(
        self, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stopped = record(catalog, A)
        catalog.leases.release(stopped.attempt)
        decided = ArtifactLedger.end_unpublished

        def late(ledger: ArtifactLedger, why: Mapping[Attempt, str]) -> frozenset[str]:
            catalog.publish(stopped)
            return decided(ledger, why)

        monkeypatch.setattr(ArtifactLedger, "end_unpublished", late)
        assert catalog.gc(dry_run=False, grace_seconds=0) == ()
        assert folder_of(catalog, stopped).exists()
        assert catalog.live() == (stopped,)

    def test_what_fails_to_be_published_is_ended_before_it_is_deleted(
        self, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        written, publish = record(catalog, A), ArtifactLedger.publish

        def lost(ledger: ArtifactLedger, record: ArtifactRecord) -> None:
            raise CatalogError("the store does not answer")

        monkeypatch.setattr(ArtifactLedger, "publish", lost)
        with pytest.raises(CatalogError, match="does not answer"):
            catalog.publish(written)
        monkeypatch.setattr(ArtifactLedger, "publish", publish)
        catalog.abandon(Attempt(A, written.attempt, "table", folder_of(catalog, written)))
        assert not folder_of(catalog, written).exists()
        with pytest.raises(CatalogError, match="was ended before"):  # by the request that was on its way
            catalog._artifacts.publish(written)

    def test_abandon_deletes_what_was_written(self, catalog: Catalog) -> None:
        attempt = catalog.begin_attempt(A, "model")
        assert attempt.path is not None
        attempt.path.mkdir(parents=True)
        (attempt.path / "half").write_text("x")
        catalog.abandon(attempt)
        assert not attempt.path.exists()
        catalog.abandon(attempt)

    def test_strange_things_in_the_folder_are_left_alone(self, catalog: Catalog) -> None:
        catalog.publish(record(catalog, A))
        (catalog.root / "tables" / "notes.txt").write_text("mine")
        (catalog.root / "tables" / A / "notes").mkdir()
        catalog.gc(dry_run=False, grace_seconds=0)
        assert (catalog.root / "tables" / "notes.txt").exists()
        assert (catalog.root / "tables" / A / "notes").exists()


class TestFailpoints:
    def test_every_point_is_reached_somewhere(self) -> None:
        import re

        import helix_spark
        from helix_spark.catalog.failpoints import POINTS

        sources = Path(helix_spark.__file__).parent.rglob("*.py")
        reached = {name for file in sources for name in re.findall(r'reach\("([\w.]+)"\)', file.read_text())}
        assert reached == set(POINTS)

    def test_an_unknown_one_is_refused(self) -> None:
        from tests.fakes.armed_failpoints import armed

        with pytest.raises(ValueError, match="'nowhere' is no failpoint"):
            armed("nowhere:kill")
