"""A catalog behaves like a dict from signatures to artifacts, whatever the order of events, and loses no bytes."""

from __future__ import annotations

import shutil
import tempfile

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.places.place import LocalPath
from helix_spark.catalog.records import ArtifactRecord
from helix_spark.catalog.segments import folding
from helix_spark.catalog.tables.attempts import Attempt
from helix_spark.identity.parts import digest

SIGNATURES = st.sampled_from([digest(str(i)) for i in range(3)])
SIZES = st.integers(1, 50)


class CatalogMachine(RuleBasedStateMachine):
    """Two catalogs on one folder, as two processes have, against a dict."""

    written = Bundle("written")

    @initialize()
    def start(self) -> None:
        self.patched = pytest.MonkeyPatch()
        for name, value in {"AT_ONCE": 3, "KEPT_SEGMENTS": 1, "LOOKED_AT_SECONDS": -1.0}.items():
            self.patched.setattr(folding, name, value)  # few appends are folded, and what was folded goes
        self.root = LocalPath(tempfile.mkdtemp())
        self.catalogs = [Catalog.open(self.root / "catalog", create=True) for _ in range(2)]
        self.live: dict[str, ArtifactRecord] = {}
        self.unpublished: dict[str, Attempt] = {}

    def teardown(self) -> None:
        self.patched.undo()
        shutil.rmtree(self.root)

    @rule(target=written, who=st.integers(0, 1), signature=SIGNATURES, size=SIZES)
    def write(self, who: int, signature: str, size: int) -> ArtifactRecord:
        attempt = self.catalogs[who].begin_attempt(signature, "model")
        self.catalogs[who].leases.release(attempt.attempt)  # by a writer that nobody knows of
        assert attempt.path is not None
        attempt.path.mkdir(parents=True)
        (attempt.path / "data").write_bytes(b"x" * size)
        self.unpublished[attempt.attempt] = attempt
        return ArtifactRecord(
            signature, attempt.attempt, "model", "published", "census", "model", 1, 0.0, bytes=size
        )

    @rule(who=st.integers(0, 1), record=consumes(written))
    def publish(self, who: int, record: ArtifactRecord) -> None:
        if self.unpublished.pop(record.attempt, None) is None:
            return  # taken by gc
        assert self.catalogs[who].publish(record) == self.live.setdefault(record.signature, record)

    @rule(who=st.integers(0, 1), record=consumes(written))
    def abandon(self, who: int, record: ArtifactRecord) -> None:
        if (attempt := self.unpublished.pop(record.attempt, None)) is not None:
            self.catalogs[who].abandon(attempt)

    @rule(who=st.integers(0, 1), signature=SIGNATURES)
    def evict(self, who: int, signature: str) -> None:
        live = self.live.pop(signature, None)
        assert self.catalogs[who].evict_all({signature: "no room"}) == (() if live is None else (live,))

    @rule(who=st.integers(0, 1), signature=SIGNATURES, right=st.booleans())
    def quarantine(self, who: int, signature: str, right: bool) -> None:
        live = self.live.get(signature)
        attempt = live.attempt if live and right else "0" * 32
        ended = self.catalogs[who].quarantine(signature, "bad page", attempt=attempt)
        assert ended == (self.live.pop(signature, None) if right else None)

    @rule(who=st.integers(0, 1))
    def collect(self, who: int) -> None:
        taken = self.catalogs[who].gc(dry_run=False, grace_seconds=-1)
        assert {leftover.attempt.attempt for leftover in taken} == set(self.unpublished)
        self.unpublished.clear()

    @rule(who=st.integers(0, 1))
    def maintain(self, who: int) -> None:
        self.catalogs[who].maintain()

    @rule(who=st.integers(0, 1))
    def forget(self, who: int) -> None:
        self.catalogs[who]._records.forget_index()  # the records are read from the first on

    @rule(who=st.integers(0, 1), index=st.sampled_from(["mine", "yours"]))
    def open_again(self, who: int, index: str) -> None:
        self.catalogs[who] = Catalog.open(self.root / "catalog", create=True)
        self.catalogs[who]._records._index_file = lambda: self.root / index

    @invariant()
    def both_see_the_same(self) -> None:
        for catalog in self.catalogs:
            view = catalog.snapshot("census")
            assert dict(view.artifacts) == self.live
            assert view.missing == ()
            data = sum(record.bytes for record in self.live.values())
            assert view.artifact_bytes == data
            records = (catalog.root / "records").total_bytes()
            waiting = {each: each.path.total_bytes() for each in self.unpublished.values() if each.path}
            assert catalog.bytes_used() == data + sum(waiting.values()) + records
            apart = sum(size for each, size in waiting.items() if each.signature not in self.live)
            assert view.bytes_used == data + apart + records


CatalogMachine.TestCase.settings = settings(
    max_examples=settings().max_examples // 4, stateful_step_count=25, suppress_health_check=[HealthCheck.too_slow]
)
TestCatalog = CatalogMachine.TestCase
