"""Every fault of `benchmarks.faults` that takes no JVM, a few times each: once where that takes seconds."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.faults.row import Fault
from benchmarks.faults.rows import FAULTS

_SECONDS = 2.0
"""After that a fault is not injected once more. `make faults` has the time for all."""

QUICK = [each for each in FAULTS if each.short and not each.spark]


@pytest.mark.parametrize("fault", QUICK, ids=lambda fault: fault.name)
def test_what_must_happen_happens(fault: Fault, tmp_path: Path) -> None:
    tally = fault.run(tmp_path / "fault", short=True, seconds=_SECONDS)
    if tally.not_here:
        pytest.skip(tally.not_here)
    assert tally.injected > 0
    assert tally.right == tally.injected, tally.wrong
