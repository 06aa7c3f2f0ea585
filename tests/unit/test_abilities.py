"""Disks that cannot do all that a catalog rests on."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from doubled import workflow
from warned import Warned

import helix_spark as hx
from helix_spark.catalog.places.abilities import shortcomings
from helix_spark.engine.spark.checks import doctor
from helix_spark.errors import CatalogError


def refuses(number: int) -> Callable[..., Any]:
    def call(*given: Any, **named: Any) -> Any:
        raise OSError(number, os.strerror(number))

    return call


def test_a_disk_that_can_do_everything_lacks_nothing(tmp_path: Path) -> None:
    assert shortcomings(tmp_path) == ()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("module", "call", "number", "told", "refused"), [
    (os, "link", errno.ENOTSUP, "hard links", True),
    (os, "fsync", errno.EINVAL, "way to sync", False),
    (os, "utime", errno.EPERM, "times of files", False),
])
def test_what_a_disk_lacks_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: Any, call: str, number: int, told: str, refused: bool
) -> None:
    monkeypatch.setattr(module, call, refuses(number))
    (found,) = shortcomings(tmp_path)
    assert told in str(found)
    assert found.refused is refused


def test_without_links_there_is_no_catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "link", refuses(errno.EPERM))
    with hx.Helix(tmp_path / "catalog", observer=Warned()) as helix, pytest.raises(CatalogError) as caught:
        helix.run(workflow())
    assert "no hard links" in str(caught.value)
    assert not (tmp_path / "catalog").exists()
    check = doctor(tmp_path / "catalog")[-1]
    assert (check.name, check.ok) == ("catalog", False)
    assert "another disk" in check.remedy
