"""What pages are made of, without a server and without templates: states, differences, lists, numbers, selections."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest

from helix_spark.catalog.records import ArtifactRecord, IterationRecord, NodeRecord, ResultRecord, Status
from helix_spark.cli.printing import print_comparison
from helix_spark.drawing.graph import DrawnGraph, DrawnNode
from helix_spark.drawing.svg import svg
from helix_spark.history.comparison import Comparison, compare
from helix_spark.history.states import shown_states
from helix_spark.identity.difference import parts_to_json
from helix_spark.identity.parts import Group, Part, digest
from helix_spark.ui import rendering
from helix_spark.ui.iteration_page import select
from helix_spark.ui.links import Links
from helix_spark.ui.listing import Listing, Order, Trend, listing, listing_rows
from helix_spark.ui.pages import Pages
from helix_spark.views.comparison_view import ComparisonView, Pair
from helix_spark.views.notebook_views import comparison_html, comparison_text
from helix_spark.views.storage_view import StorageView, storage_of


def iteration(number: int, status: Status = "done", **given: Any) -> IterationRecord:
    return IterationRecord(f"{number:032x}", "w", number, status, 0.0, **given)


def node(name: str, *inputs: str, declared: str = "", signature: str = "", **given: Any) -> NodeRecord:
    made = NodeRecord("0" * 32, "w", 1, name, "scanner", inputs, "compute", "", declared or name, "", "[]", seconds=1.0)
    return replace(made, signature=signature or made.declared, **given)


class Records:
    """The nodes of iterations 1 and 2."""

    def __init__(self, old: Sequence[NodeRecord], new: Sequence[NodeRecord]) -> None:
        self._nodes = {1: tuple(old), 2: tuple(new)}

    def nodes(self, iteration: IterationRecord) -> tuple[NodeRecord, ...]:
        return self._nodes[iteration.number]

    def file_text(self, digest: str) -> str | None:
        return None


def compared(
    before: IterationRecord, old: Sequence[NodeRecord], after: IterationRecord, new: Sequence[NodeRecord],
    whole: bool = False,
) -> ComparisonView:
    return ComparisonView(compare(Records(old, new), before, after), shows_equal=whole)


def recorded(old: Sequence[NodeRecord], new: Sequence[NodeRecord], *statuses: Status) -> Comparison:
    """Of iterations that differ in a parameter, too."""
    before, after = statuses or ("done", "done")
    return compare(
        Records(old, new), iteration(1, before, parameters='{"reg": 1, "bins": 3}'),
        iteration(2, after, parameters='{"reg": 2, "bins": 3}'),
    )


# States


def test_one_node_is_blamed_for_a_failure() -> None:
    nodes = [
        node("rows"), node("gone", state="prune", seconds=None), node("model", "rows", seconds=None),
        node("auc", "model", seconds=None),
    ]
    record = iteration(1, "failed", error="learner 'model' failed: `rows` and `auc` do not fit; neither does 'gone'")
    assert shown_states(record, nodes) == {"rows": "compute", "gone": "prune", "model": "failed", "auc": "waiting"}


def test_of_two_names_at_one_place_the_longer_is_blamed() -> None:
    nodes = [node("x", seconds=None), node("x'y", seconds=None)]
    assert shown_states(iteration(1, "failed", error="'x'y' failed"), nodes) == {"x": "waiting", "x'y": "failed"}


def test_an_error_that_names_no_node_blames_none() -> None:
    record = iteration(1, "interrupted", error="KeyboardInterrupt: ")
    assert shown_states(record, [node("rows", seconds=None)]) == {"rows": "waiting"}


# Differences


def test_a_comparison_shows_the_state_that_each_iteration_shows() -> None:
    old, new = [node("model", declared="a")], [node("model", declared="b", seconds=None)]
    failed = compared(iteration(1), old, iteration(2, "failed", error="'model' failed"), new)
    assert failed.compared.states == ({"model": "compute"}, {"model": "failed"})
    assert compared(iteration(1), [], iteration(2), new).compared.states == ({}, {"model": "compute"})


def outputs(before: str, after: str) -> tuple[Pair, ...]:
    return compared(iteration(1, outputs=before), [], iteration(2, outputs=after), []).outputs


def test_a_metric_that_becomes_nan_is_one_row() -> None:
    assert outputs('{"auc": 0.8}', '{"auc": NaN}') == (Pair("auc", "0.8", "nan", True),)
    assert outputs('{"auc": NaN}', '{"auc": NaN}') == ()


def test_an_output_that_is_there_no_more_is_one_row() -> None:
    assert outputs('{"auc": 0.5, "by": {"f": 1, "note": "x"}}', '{"by": {"f": 1, "note": "y"}}') == (
        Pair("by.note", "x", "y", True), Pair("auc", "0.5", None, True, "missing"),
    )
    assert outputs('{"by": {"f": 1}}', '{"by": "none"}') == (
        Pair("by", None, "none", True, "added"), Pair("by.f", "1", None, True, "missing"),
    )


def test_what_is_drawn_by_chance_is_drawn_anew_and_what_reads_it_changed_through_it() -> None:
    old = [node("sample", signature="s1"), node("model", "sample", declared="m1")]
    new = [node("sample", signature="s2"), node("model", "sample", declared="m2")]
    assert [(one.name, one.word) for one in compared(iteration(1), old, iteration(2), new).nodes] == [
        ("sample", "nondeterministic"), ("model", "changed through its inputs"),
    ]
    told = recorded(old, new)
    assert [told.differences[name].state for name in ("sample", "model")] == ["drawn", "affected"]
    assert "~ sample: nondeterministic" in comparison_text(told)
    assert "~ model: through its inputs" in comparison_text(told)
    html = comparison_html(told)
    assert "hx-node hx-drawn" in html
    assert "hx-node hx-affected" in html


def test_a_command_says_what_is_drawn_anew(capsys: pytest.CaptureFixture[str]) -> None:
    print_comparison(ComparisonView(recorded([node("sample", signature="s1")], [node("sample", signature="s2")])))
    assert re.search(r"^\* sample +nondeterministic", capsys.readouterr().out, flags=re.MULTILINE)


def cleaning(code: str) -> list[NodeRecord]:
    """A function of this text that computes what it always did, and what reads it."""
    parts = parts_to_json([Part(Group.CODE, "clean", digest(code))])
    return [node("clean", declared=digest(code), signature="s", code=code, parts=parts), node("model", "clean")]


def test_new_code_of_an_equal_result_is_the_same_and_told_as_such(capsys: pytest.CaptureFixture[str]) -> None:
    old, new = cleaning("return 1 + 1\n"), cleaning("return 2\n")
    words = "code of `clean` changed; the result is the same"
    view = compared(iteration(1), old, iteration(2), new)
    (found,) = view.nodes
    assert (found.name, found.state, "; ".join(found.sentences), view.same_nodes) == ("clean", "same", words, 1)
    assert view.code == {found.name: (("removed", "return 1 + 1"), ("added", "return 2"))}
    assert [(one.name, one.state, one.note) for one in view.graph.nodes] == [
        ("clean", "same", "rewritten"), ("model", "same", ""),
    ]
    told = recorded(old, new)
    assert (told.differences["clean"].state, told.differences["clean"].rewritten, told.nodes) == ("same", True, {})
    assert f"  = clean: {words}" in comparison_text(told).splitlines()
    assert words in comparison_html(told)
    print_comparison(ComparisonView(told))
    printed = capsys.readouterr().out
    assert re.search(rf"^= clean +{words}", printed, flags=re.MULTILINE)
    assert "+return 2" in printed


def test_a_node_that_is_the_same_altogether_is_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    same = cleaning("return 2\n")
    assert compared(iteration(1), same, iteration(2), same).nodes == ()
    assert "clean" not in comparison_text(recorded(same, same))
    print_comparison(ComparisonView(recorded(same, same)))
    assert "clean" not in capsys.readouterr().out


def test_nodes_are_told_from_each_other_alike_on_pages_and_elsewhere() -> None:
    old = [node("gone"), node("a", declared="a1"), node("b", "a", declared="b1"), node("c", signature="c1"), node("d")]
    new = [node("a", declared="a2", parts=parts_to_json([Part(Group.CODE, "a", "0")])), node("b", "a", declared="b2"),
           node("c", signature="c2"), node("d"), node("come")]
    view = compared(iteration(1), old, iteration(2), new, whole=True)
    told = recorded(old, new)
    assert [(one.name, one.state) for one in view.nodes] == [
        ("gone", "removed"), ("a", "changed"), ("b", "affected"), ("c", "drawn"), ("d", "same"), ("come", "added"),
    ]
    assert {one.name: one.state for one in view.nodes} == {name: one.state for name, one in told.differences.items()}


def test_what_reads_others_says_which() -> None:
    old = [node("a"), node("b"), node("model", "a", declared="m1")]
    new = [node("a"), node("b"), node("model", "b", declared="m2")]
    (found,) = compared(iteration(1), old, iteration(2), new).nodes
    assert (found.state, found.sentences) == ("changed", ("no longer reads a", "reads b"))
    assert "~ model: no longer reads a; reads b" in comparison_text(recorded(old, new))


def test_without_nodes_on_record_parameters_alone_are_compared() -> None:
    old = [node("rows")]
    found = compared(iteration(1, outputs='{"auc": 1}'), old, iteration(2, "died", parameters='{"reg": 1}'), [])
    assert found.compared.unrecorded == "iteration 2 died before its nodes were recorded"
    assert (found.nodes, found.outputs) == ((), ())
    assert [pair.name for pair in found.parameters] == ["reg"]
    told = recorded(old, [], "done", "running")
    assert (told.removed, told.outputs, told.parameters) == ((), {}, {"reg": (1, 2)})
    sentence = "iteration 2 is still running; its nodes are recorded when it ends"
    assert comparison_text(told).splitlines()[1:3] == [f"  {sentence}", "  parameter reg: 1 -> 2 (+1)"]
    assert sentence in comparison_html(told)


# Lists


def listed(*statuses: Status, query: str = "", order: Order = "number", page: int = 1, paged: bool = True) -> Listing:
    """Iterations of these statuses, numbered from 1."""
    records = [iteration(number, status) for number, status in enumerate(statuses, 1)]
    return listing(listing_rows(records[::-1], []), query=query, order=order, page=page, paged=paged)


def test_the_first_choice_to_compare_is_of_the_page_and_has_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("helix_spark.ui.listing.PAGE", 3)
    assert listed("done", "failed", "died", "done", "running").preselected == (None, None)
    assert listed("done", "failed", "done", "died", "done").preselected == (3, 5)
    assert listed("done", "failed", "died", "done", "running", page=2).preselected == (1, 2)
    assert listed("done", "failed", "died", "done", query="failed").preselected == (None, None)


def test_a_list_without_pages_has_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("helix_spark.ui.listing.PAGE", 2)
    whole = listed(*["done"] * 5, paged=False)
    assert ([row.number for row in whole.rows], whole.pages) == ([5, 4, 3, 2, 1], 1)
    assert listed(*["done"] * 5).pages == 3
    assert listed(paged=False).rows == ()


# Numbers


def over_iterations(*values: float, breaks: frozenset[int] = frozenset()) -> Trend:
    return Trend("rows", dict(enumerate(values, 1)), False, True, False, None, breaks)


def test_a_line_is_broken_where_other_code_begins_to_measure() -> None:
    drawn = rendering.trend(over_iterations(0.1, 0.2, 0.7, 0.8, breaks=frozenset({3})), lambda number: "", {})
    assert [line.count(",") for line in re.findall(r'class="line" points="([^"]*)"', drawn)] == [2, 2]


def marks(*values: float) -> list[str]:
    drawn = rendering.trend(over_iterations(*values), lambda number: "", {})
    return re.findall(r'text-anchor="end">([^<]*)<', drawn)


def test_an_axis_marks_the_least_and_the_greatest_value() -> None:
    assert marks(123456.0, 123459.0, 123460.0) == ["123,456", "123,460"]
    assert marks(0.81, 0.89) == ["0.81", "0.89"]
    assert marks(3.0, 3.0) == ["3"]


def test_a_long_mark_has_room() -> None:
    drawn = rendering.trend(over_iterations(1e9, 1e9 + 3), lambda number: "", {})
    longest = max(map(len, re.findall(r'text-anchor="end">([^<]*)<', drawn)))
    assert int(re.findall(r'text class="tick" x="(\d+)"', drawn)[0]) >= 7 * longest


# Selections

CENSUS: Mapping[str, Sequence[str]] = {
    "data": [], "marital status": ["data"], "+c": ["data"], "c++": ["+c"], "all": ["marital status", "c++"],
}


@pytest.mark.parametrize(("wanted", "names"), [
    ("marital status", ["marital status"]), ("+marital status", ["data", "marital status"]),
    (" marital status+1 ", ["marital status", "all"]), ("1+marital status+", ["data", "marital status", "all"]),
    ("+c", ["+c"]), ("++c", ["data", "+c"]), ("+c+", ["+c", "c++", "all"]), ("c++", ["c++"]), ("c+++", ["c++", "all"]),
    ("1+c++", ["+c", "c++"]), ("data+1", ["data", "marital status", "+c"]),
])
def test_a_node_of_any_name_is_selected(wanted: str, names: list[str]) -> None:
    assert select(CENSUS, wanted) == tuple(names)


@pytest.mark.parametrize("wanted", ["marital", "+", "data all", "data ++"])
def test_what_names_no_node_selects_none(wanted: str) -> None:
    assert select(CENSUS, wanted) == ()


# Storage


@dataclass(frozen=True)
class Measured:
    """Records of what is stored: nodes by the number of their iteration, and what results took."""

    newest: Sequence[Sequence[NodeRecord]]
    measured: Mapping[str, ResultRecord]

    def nodes(self, one: IterationRecord) -> Sequence[NodeRecord]:
        return self.newest[one.number]

    def results(self, names: object, wanted: object) -> Measured:
        return self

    def bytes_used(self) -> int:
        return 0


def stored(
    artifacts: Mapping[str, ArtifactRecord], measured: Mapping[str, ResultRecord], *newest: Sequence[NodeRecord]
) -> StorageView:
    """What is stored of a catalog whose workflows have ended with these nodes."""
    records = Measured(newest, measured)
    iterations = [[iteration(number, "done")] for number in range(len(newest))]
    return storage_of(records, artifacts, {}, iterations)  # type: ignore[arg-type]  # no more of it is asked


def test_to_have_a_result_again_counts_what_two_workflows_share() -> None:
    def of(workflow: str, own: str) -> list[NodeRecord]:
        shared = node("rows", signature="shared", workflow=workflow)
        return [shared, node(own, "rows", signature=own, workflow=workflow)]

    newest = of("one", "a"), of("other", "b")
    artifacts = {
        name: ArtifactRecord(name, "0" * 32, "value", "published", workflow, name, 1, 0.0)
        for workflow, name in (("one", "a"), ("other", "b"))
    }
    measured = {
        name: ResultRecord(name, name, "one", name, "scanner", 1, compute_seconds=seconds)
        for name, seconds in (("shared", 10.0), ("a", 1.0), ("b", 2.0))
    }
    view = stored(artifacts, measured, *newest)
    assert {each.artifact.node: each.recompute_seconds for each in view.stored} == {"a": 11.0, "b": 12.0}
    unmeasured = {name: costs for name, costs in measured.items() if name != "shared"}
    view = stored(artifacts, unmeasured, *newest)
    seconds = {row.artifact.node: row.recompute_seconds for row in view.stored}
    assert seconds == {"a": 1.0, "b": 2.0}, "counted as nothing"
    view = stored(artifacts, {})
    assert [each.recompute_seconds for each in view.stored] == [None, None]


# What is kept


class Versioned:
    """Records of a version, which say no more than which."""

    def __init__(self) -> None:
        self.now = "1"

    def version(self) -> str:
        return self.now

    def workflows(self) -> tuple[str, ...]:
        return (f"of version {self.now}",)

    last_events = loads = iterations = workflows


def test_what_was_read_of_an_older_version_is_not_kept_under_a_newer_one() -> None:
    records = Versioned()
    kept = Pages(records, Links())  # type: ignore[arg-type]  # no more of it is asked
    slow = kept.snapshot()
    assert slow.workflows() == ("of version 1",)
    records.now = "2"
    quick = kept.snapshot()
    assert quick.workflows() == ("of version 2",)
    assert slow.workflows() == ("of version 1",)
    assert kept.snapshot() is quick


# Pictures


def test_an_edge_says_where_it_leads_and_no_more() -> None:
    drawn = svg(DrawnGraph((DrawnNode("a"), DrawnNode("b", ("a",), state="load"))), styled=False)
    assert re.findall(r'<g class="([^"]*)" data-from="a" data-to="b">', drawn) == ["hx-link"]
