"""A slow disk is learnt from what its artifacts took to read, and shows in what loads are expected to take."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helix_spark.catalog.records import ArtifactRecord, ResultRecord
from helix_spark.costs.model import LOAD, READ, WRITE, loads_from_reads
from helix_spark.run.preparation import calibrated_loads, calibrated_writes

LARGE = 200_000_000


def artifact(number: int, kind: str = "table") -> ArtifactRecord:
    return ArtifactRecord(
        f"{number:064x}", "a" * 32, kind, "published", "w", "rows", number, 0.0, bytes=LARGE,  # type: ignore[arg-type]  # one of two
    )


def by_signature(artifacts: list[ArtifactRecord]) -> dict[str, ArtifactRecord]:
    return {one.signature: one for one in artifacts}


def known(found: dict[str, ArtifactRecord], seconds: float | None) -> dict[str, ResultRecord]:
    record = ResultRecord("d", "s", "w", "rows", "scanner", 1, load_seconds=99.0, read_seconds=seconds)
    return {signature: replace(record, signature=signature) for signature in found}


def test_what_was_never_read_by_itself_says_nothing() -> None:
    found = by_signature([artifact(number) for number in range(3)])
    assert calibrated_loads(found, known(found, None)) == calibrated_loads(found, {}) == LOAD


@pytest.mark.parametrize("kind", ["table", "model"])
def test_a_slow_disk_makes_loads_slow(kind: str) -> None:
    found = by_signature([artifact(number, kind) for number in range(10)])
    slow = 10 * READ[kind].seconds(LARGE)
    loads = calibrated_loads(found, known(found, slow))
    assert loads[kind].seconds(LARGE) > 5 * LOAD[kind].seconds(LARGE)
    assert {other: loads[other] for other in LOAD if other != kind} == {
        other: LOAD[other] for other in LOAD if other != kind
    }


@pytest.mark.parametrize("kind", ["table", "model"])
def test_one_read_that_stalled_does_not_become_what_is_usual(kind: str) -> None:
    found = by_signature([artifact(0, kind)])
    once = calibrated_loads(found, known(found, 60.0))
    assert LOAD[kind].seconds(LARGE) < once[kind].seconds(LARGE) < 4 * LOAD[kind].seconds(LARGE)


def test_a_fast_disk_makes_loads_fast_but_starts_no_spark_job_sooner() -> None:
    found = by_signature([artifact(number) for number in range(10)])
    loads = calibrated_loads(found, known(found, READ["table"].seconds(LARGE) / 4))
    assert loads["table"].seconds(LARGE) < 0.7 * LOAD["table"].seconds(LARGE)
    assert loads["table"].seconds(0) > 0.8 * LOAD["table"].fixed


def test_writes_that_computed_what_they_wrote_say_nothing_of_the_disk() -> None:
    written = [replace(artifact(number), write_seconds=WRITE["table"].seconds(LARGE)) for number in range(3)]
    computed = [replace(artifact(number), write_seconds=0.0) for number in range(3, 20)]
    assert calibrated_writes(computed) == WRITE
    assert calibrated_writes([*written, *computed])["table"].seconds(LARGE) == pytest.approx(
        WRITE["table"].seconds(LARGE)
    )


@given(st.lists(st.tuples(st.integers(0, 10**12), st.floats(0, 1e6)), max_size=20))
def test_loads_are_never_negative(samples: list[tuple[int, float]]) -> None:
    for throughput in loads_from_reads({"table": samples, "model": samples}).values():
        assert throughput.fixed >= 0
        assert throughput.per_byte >= 0
