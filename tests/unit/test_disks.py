"""Disks that cannot do what a catalog rests on."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

import helix_spark as hx
from helix_spark.catalog.catalog import Catalog
from helix_spark.engine.spark.checks import doctor
from helix_spark.errors import CatalogError
from tests.fakes.doubled import workflow
from tests.fakes.observer import Warned


def test_a_disk_with_links_is_left_as_it_was(tmp_path: Path) -> None:
    Catalog.open(tmp_path / "catalog", create=True).check_writable()
    assert list(tmp_path.iterdir()) == []


def test_without_links_there_is_no_catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*given: Any, **named: Any) -> Any:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)
    with hx.Helix(tmp_path / "catalog", observer=Warned()) as helix, pytest.raises(CatalogError) as caught:
        helix.run(workflow())
    assert "no hard links" in str(caught.value)
    assert list(tmp_path.iterdir()) == []
    check = doctor(tmp_path / "catalog")[-1]
    assert (check.name, check.ok) == ("catalog", False)
    assert "another disk" in check.remedy
