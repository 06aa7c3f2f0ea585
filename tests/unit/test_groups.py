"""What of a graph shares a box: what is alike in all that a picture shows, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helix_spark.drawing import groups
from helix_spark.drawing.graph import DrawnGraph, DrawnNode
from helix_spark.drawing.groups import fold_alike, folded
from helix_spark.drawing.notebook import picture
from helix_spark.drawing.svg import svg

ROWS = DrawnNode("rows", (), kind="scanner", state="load")


def fan(names: str = "abcd", **marks: str) -> list[DrawnNode]:
    """Extractors over rows, each with a fit of its own."""
    return [
        node for name in names for node in (
            DrawnNode(f"{name}.fit", ("rows",), kind="extractor", state="compute", seconds=1.0, **marks),  # type: ignore[arg-type]  # texts all
            DrawnNode(name, ("rows", f"{name}.fit"), kind="extractor", state="compute", seconds=0.5, **marks),  # type: ignore[arg-type]  # as above
        )
    ]


def whole(extractors: list[DrawnNode], fading: frozenset[tuple[str, str]] = frozenset()) -> DrawnGraph:
    names = tuple(node.name for node in extractors if "." not in node.name)
    income = DrawnNode("income", ("rows", *names), kind="synthesizer", state="compute")
    model = DrawnNode("model", ("income",), kind="learner", state="compute")
    return DrawnGraph((ROWS, *extractors, income, model), "g", fading)


def altered(graph: DrawnGraph, name: str, **marks: object) -> DrawnGraph:
    return replace(graph, nodes=tuple(replace(n, **marks) if n.name == name else n for n in graph.nodes))  # type: ignore[arg-type]  # any field


def boxes(graph: DrawnGraph) -> dict[str, DrawnNode]:
    return {node.name: node for node in fold_alike(graph).nodes}


def test_a_fan_of_extractors_and_their_fits_is_one_box_with_the_seconds_of_all() -> None:
    drawn = boxes(whole(fan()))
    assert list(drawn) == ["rows", "a", "income", "model"]
    box = drawn["a"]
    assert (box.label, box.kind, box.state, box.seconds) == ("4 extractors", "a … d", "compute", 6.0)
    assert box.members == ("a.fit", "a", "b.fit", "b", "c.fit", "c", "d.fit", "d")
    assert box.inputs == ("rows",)
    assert drawn["income"].inputs == ("rows", "a")


@pytest.mark.parametrize("marks", [{"state": "failed"}, {"stored": "stored"}, {"note": "through its inputs"},
                                   {"css": "hx-output"}, {"kind": "scanner"}], ids=str)
def test_what_differs_stays_beside_the_box(marks: dict[str, str]) -> None:
    graph = whole(fan())
    for name in ("b", "b.fit"):
        graph = altered(graph, name, **marks)
    drawn = boxes(graph)
    assert drawn["a"].label == "3 extractors"
    assert "b" in drawn
    assert "b" not in drawn["a"].members


def test_what_others_read_besides_stays_beside_the_box() -> None:
    graph = altered(whole(fan()), "model", inputs=("income", "b"))
    assert "b" in boxes(graph)
    assert boxes(graph)["model"].inputs == ("income", "b")


def test_a_fit_shares_the_box_of_what_alone_reads_it_unless_it_fared_otherwise() -> None:
    graph = whole(fan("ab"))
    drawn = boxes(graph)
    assert list(drawn) == ["rows", "a", "b", "income", "model"]
    assert (drawn["a"].label, drawn["a"].kind, drawn["a"].members) == ("a", "extractor + fit", ("a.fit", "a"))
    loaded = altered(altered(graph, "a", state="load"), "a.fit", state="prune")
    assert boxes(loaded)["a"].state == "load"
    assert "a.fit" not in boxes(loaded)
    assert "a.fit" in boxes(altered(graph, "a.fit", state="load"))
    assert "a.fit" in boxes(altered(graph, "a.fit", stored="stored"))


def test_an_edge_that_is_gone_keeps_its_ends_apart() -> None:
    assert "b" in boxes(whole(fan(), frozenset({("b", "income")})))


def test_what_had_no_part_in_it_is_one_box_in_a_small_graph_too() -> None:
    unneeded = [replace(node, state="prune", seconds=None) for node in (ROWS, *fan("ab"))]
    graph = DrawnGraph((*unneeded, DrawnNode("income", ("rows", "a", "b"), state="load"), DrawnNode("m", ("income",))))
    drawn = folded(graph).nodes
    assert (drawn[0].label, drawn[0].members) == ("5 not needed", ("rows", "a.fit", "a", "b.fit", "b"))
    assert {node.name: node.inputs for node in drawn} == {"rows": (), "income": ("rows",), "m": ("income",)}
    edited = altered(graph, "a", css="hx-edited")
    assert [node.members for node in folded(edited).nodes if node.members] == [("rows", "a.fit", "b.fit", "b")]


STATES = st.sampled_from(["load", "compute", "prune"])


@given(st.lists(st.tuples(st.sets(st.integers(0, 11), max_size=3), STATES), max_size=12))
def test_every_node_is_in_one_box_and_every_edge_leads_between_the_same(drawn: list[tuple[set[int], str]]) -> None:
    graph = DrawnGraph(tuple(
        DrawnNode(f"n{i}", tuple(f"n{j}" for j in sorted(inputs) if j < i), kind="k", state=state)
        for i, (inputs, state) in enumerate(drawn)
    ))
    with mock.patch.object(groups, "MOST_WITHOUT_FANS", 0):
        small = folded(graph)
    box_of = {member: node.name for node in small.nodes for member in node.members or (node.name,)}
    assert sorted(box_of) == sorted(node.name for node in graph.nodes)
    states = {node.name: node.state for node in small.nodes}
    assert all(states[box_of[node.name]] == node.state for node in graph.nodes)
    idle = {box.name for box in small.nodes if box.members and box.state == "prune"}
    edges = {(box_of[source], box_of[node.name]) for node in graph.nodes for source in node.inputs}
    edges -= {(name, name) for name in idle}
    assert edges == {(source, node.name) for node in small.nodes for source in node.inputs}


def test_a_box_of_several_looks_like_several_and_names_them() -> None:
    graph = whole(fan())
    drawn = svg(fold_alike(graph))
    assert drawn.count("hx-behind") == 2 + 1  # with the rule in its style
    assert "4 extractors: a.fit, a, b.fit" in drawn


def test_a_cell_folds_a_large_graph_and_has_the_whole_of_it_folded_away() -> None:
    names = "abcdefghijklmnopqrstuvw"  # 23, with as many fits
    large, small = picture(whole(fan(names))), picture(whole(fan("abcd")))
    assert f"{len(names)} extractors" in large
    assert "each of the 49 nodes by itself" in large
    assert "<script" not in large
    assert "details" not in small
