"""Catalogs that came from somebody else and are hostile, looked at by commands, each a process of its own; all commands
on all of them: `python -m tests.faults --only hostile`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from helix_spark.catalog.places.place import LocalPath
from tests.faults.row import all_faults
from tests.faults.shared_catalogs import HOSTILES, LOOKS, RUN, Home, Hostile, tried
from tests.faults.verbs import Verbs

all_faults()  # which adds the hostile catalogs
ALL = [each for group in HOSTILES.values() for each in group]
QUICK = ("a class of ours", "a file that leads elsewhere, by a link as long as the file")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Home, Verbs]]:
    home = Home(LocalPath(tmp_path_factory.mktemp("hostile")))
    with home.opened() as verbs:
        yield home, verbs


def test_there_are_hostile_catalogs_of_all_kinds() -> None:
    assert len(ALL) >= 100
    assert {
        "records", "models", "tables", "logs of records", "places and links", "names and metadata",
    } == HOSTILES.keys()


@pytest.mark.parametrize("each", [one for one in ALL if one.name in QUICK], ids=lambda one: one.name)
def test_nothing_comes_of_a_hostile_catalog(home: tuple[Home, Verbs], each: Hostile) -> None:
    assert tried(home[0], each, home[1], [("show", "2"), RUN]).wrong == ()


@pytest.mark.long
@pytest.mark.parametrize("each", [one for one in ALL if one.short], ids=lambda one: one.name)
def test_nor_of_others_whatever_is_looked_at(home: tuple[Home, Verbs], each: Hostile) -> None:
    assert tried(home[0], each, home[1], [*LOOKS, RUN]).wrong == ()
