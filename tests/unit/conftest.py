"""What tests without Spark share."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from helix_spark.catalog.catalog import Catalog
from helix_spark.plans import current_program, program_client
from helix_spark.plans.current_program import own_session, set_own_session
from tests.unit.project import Project

if TYPE_CHECKING:
    from tests.fakes.programs import Runs


@contextmanager
def without_session() -> Iterator[None]:
    """These tests are of processes without a session of Helix's own; a test with Spark may have left one in this."""
    left, clients = own_session(), sys.modules.get("pyspark.sql.connect.session")
    by_default = None if clients is None else clients.SparkSession._default_session
    active = None if clients is None else getattr(clients.SparkSession._active_session, "session", None)
    set_own_session(None)
    if clients is not None:
        clients.SparkSession._default_session = clients.SparkSession._active_session.session = None
    with current_program._working(current_program._Work()):
        yield
    set_own_session(left)
    if clients is not None:
        clients.SparkSession._default_session = by_default
        clients.SparkSession._active_session.session = active


@pytest.fixture(autouse=True)
def of_no_session() -> Iterator[None]:
    with without_session():
        yield


@pytest.fixture(scope="module", autouse=True)
def _no_other_test_modules(request: pytest.FixtureRequest) -> Iterator[None]:
    """Hide the other test modules: each would count as the author's, whose modules every action searches for caches."""
    others = {
        name: sys.modules.pop(name) for name in list(sys.modules)
        if name.startswith("tests.unit.test_") and name != request.module.__name__
    }
    with without_session():  # in fixtures of the module, too
        yield
    sys.modules.update(others)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    monkeypatch.syspath_prepend(str(tmp_path))
    # No bytecode files: they are valid by size and whole seconds, and two edits here are closer than that.
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    made = Project(tmp_path)
    yield made
    made.forget()


@pytest.fixture
def control_draws(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """As a program does that begins, until the test ends: stages of other tests draw identifiers of their own."""
    from pyspark.ml.util import Identifiable

    monkeypatch.setattr(Identifiable, "_randomUID", vars(Identifiable)["_randomUID"])
    return program_client.control_draws


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    """A new catalog."""
    return Catalog.open(tmp_path / "catalog", create=True)


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    """Runs of plain programs in a folder with `rows.csv`."""
    from tests.fakes.programs import Runs

    (tmp_path / "rows.csv").write_text("a,b\n1,2\n")
    return Runs(tmp_path)
