"""What it takes to have a stored result again: back to what else is stored, each step once."""

from __future__ import annotations

from helix_spark.planner.storage import NodeCosts, ResultCosts, lineage_of, seconds_again

VERSION = (
    NodeCosts("rows", "scanner", "r", (), 40.0, 2.0, 1.0, 10),
    NodeCosts("left", "extractor", "l", ("rows",), 3.0, 0.5, 1.0, 10),
    NodeCosts("right", "extractor", "x", ("rows",), 4.0, 0.5, 1.0, 10),
    NodeCosts("both", "synthesizer", "b", ("left", "right"), 1.0, 0.5, 1.0, 10),
)
LINEAGE = lineage_of(VERSION)


def test_a_lineage_is_by_signature() -> None:
    assert LINEAGE["b"] == ResultCosts(("l", "x"), 1.0, 0.5)


def test_what_two_are_made_of_is_made_once() -> None:
    assert seconds_again(LINEAGE, "b", {"b"}) == 48.0


def test_what_is_stored_is_loaded_and_nothing_beyond_it_is_needed() -> None:
    assert seconds_again(LINEAGE, "b", {"b", "r"}) == 10.0
    assert seconds_again(LINEAGE, "b", {"b", "l", "x"}) == 2.0


def test_the_result_itself_counts_as_lost() -> None:
    assert seconds_again(LINEAGE, "r", {"r", "l"}) == 40.0


def test_where_something_on_the_way_is_unknown_so_are_the_seconds() -> None:
    hole = {name: made for name, made in LINEAGE.items() if name != "r"}
    assert seconds_again(hole, "b", {"b"}) is None
    assert seconds_again(hole, "b", {"b", "l", "x"}) == 2.0, "what is loaded is asked for no lineage beyond its own"
