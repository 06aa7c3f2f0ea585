"""What is evicted from a catalog that holds more than its budget: enough, and no more than needed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from helix_spark.planner.eviction import StoredResult, choose_evictions
from helix_spark.planner.lineage import ResultCosts

SIZES = st.lists(st.tuples(st.integers(0, 1_000), st.floats(0, 100)), max_size=8)


@given(SIZES, st.integers(-10, 3_000))
def test_enough_goes_and_nothing_in_vain(sizes: list[tuple[int, float]], excess: int) -> None:
    held = [StoredResult(str(number), size, seconds) for number, (size, seconds) in enumerate(sizes)]
    size_of = {one.signature: one.bytes for one in held}
    gone = choose_evictions(held, excess)
    freed = sum(size_of[signature] for signature in gone)
    assert len(set(gone)) == len(gone)
    assert freed >= min(excess, sum(size_of.values()))
    assert all(size_of[signature] for signature in gone)
    assert not gone or freed - size_of[gone[-1]] < excess, "the last one was needed"


@given(SIZES, st.integers(1, 1_000))
def test_where_one_is_enough_the_quickest_to_have_again_goes(sizes: list[tuple[int, float]], excess: int) -> None:
    held = [StoredResult(str(number), size, seconds) for number, (size, seconds) in enumerate(sizes)]
    enough = [one for one in held if one.bytes >= excess]
    if enough:
        (gone,) = choose_evictions(held, excess)
        assert held[int(gone)].recompute_seconds == min(one.recompute_seconds for one in enough)


def test_what_its_author_insists_on_goes_last() -> None:
    insisted = StoredResult("insisted", 900, 0.1, insisted=True)
    free = [StoredResult("a", 300, 60.0), StoredResult("b", 300, 30.0)]
    assert choose_evictions([insisted, *free], 500) == ("b", "a")
    assert choose_evictions([insisted, *free], 700) == ("b", "a", "insisted")


LINEAGE = {
    "rows": ResultCosts((), 40.0, 1.0), "parse": ResultCosts(("rows",), 600.0, 2.0),
    "pairs": ResultCosts(("parse",), 30.0, 1.0), "sums": ResultCosts(("pairs",), 1.0, 0.1),
}


def held(*names: str) -> list[StoredResult]:
    """Each with its seconds from nothing, as its record has them."""
    from_nothing = {"rows": 40.0, "parse": 640.0, "pairs": 670.0, "sums": 671.0}
    return [StoredResult(name, 1_000, from_nothing[name]) for name in names]


def test_what_is_made_quickly_from_what_stays_goes_before_what_it_is_made_from() -> None:
    assert choose_evictions(held("parse", "pairs", "sums"), 10) == ("parse",), "by seconds from nothing"
    assert choose_evictions(held("parse", "pairs", "sums"), 10, LINEAGE) == ("sums",)


def test_what_went_is_reckoned_with_by_what_is_made_from_it() -> None:
    assert choose_evictions(held("parse", "pairs", "sums"), 2_000, LINEAGE) == ("sums", "pairs")
    # `sums` takes 2 seconds beside `pairs`, and 33 without: longer than `unknown`.
    beside = [StoredResult("pairs", 10_000, 670.0), StoredResult("sums", 500, 671.0), StoredResult("parse", 300, 640.0)]
    assert choose_evictions([*beside, StoredResult("unknown", 1_000, 20.0)], 10_400, LINEAGE) == ("pairs", "unknown")


def test_where_nobody_knows_what_a_result_is_made_from_its_seconds_from_nothing_count() -> None:
    unknown = StoredResult("unknown", 1_000, 20.0)
    assert choose_evictions([unknown, *held("parse", "pairs")], 10, LINEAGE) == ("unknown",)


def test_draws_go_after_what_can_be_had_again_and_those_of_today_last_of_all() -> None:
    past, drawn = StoredResult("past", 900, 0.1, fixed=True), StoredResult("drawn", 900, 0.2, insisted=True, fixed=True)
    wished, free = StoredResult("wished", 900, 9.0, insisted=True), StoredResult("free", 100, 60.0)
    assert choose_evictions([drawn, wished, past, free], 100) == ("free",)
    assert choose_evictions([drawn, wished, past, free], 2_800) == ("free", "past", "wished", "drawn")
