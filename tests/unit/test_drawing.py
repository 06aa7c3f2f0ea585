"""Layout and SVG: every edge leads onwards, boxes keep their distance, texts stay texts, large graphs take no time."""

from __future__ import annotations

import random
import time
import xml.etree.ElementTree as ET
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from helix_spark.drawing.graph import WORDS, DrawnGraph, DrawnNode
from helix_spark.drawing.layout import layout
from helix_spark.drawing.markup import stylesheet
from helix_spark.drawing.svg import svg


def some_graph(size: int, seed: int = 0, reads: int = 3) -> list[tuple[str, list[str]]]:
    chance = random.Random(seed)
    return [
        (f"n{i}", [f"n{j}" for j in sorted(chance.sample(range(max(0, i - 40), i), min(i, chance.randint(1, reads))))])
        for i in range(size)
    ]


@given(st.integers(0, 40), st.integers(0, 10_000))
def test_edges_lead_onwards_and_boxes_keep_their_distance(size: int, seed: int) -> None:
    nodes = some_graph(size, seed)
    drawn = layout(nodes)
    assert list(drawn.nodes) == [name for name, _ in nodes]
    for name, inputs in nodes:
        for source in inputs:
            points = drawn.edges[source, name]
            assert [after[0] - before[0] for before, after in pairwise(points)] == [1] * (len(points) - 1)
    across: dict[int, list[float]] = {}
    for layer, position in drawn.nodes.values():
        across.setdefault(layer, []).append(position)
    for positions in across.values():
        assert all(after - before > 0.99 for before, after in pairwise(sorted(positions)))


def test_the_same_graph_gives_the_same_picture() -> None:
    assert layout(some_graph(60)) == layout(some_graph(60))


def test_circles_unknown_inputs_and_nodes_that_read_themselves_are_drawn() -> None:
    drawn = layout([("a", ["b", "a", "gone"]), ("b", ["a"])])
    assert set(drawn.nodes) == {"a", "b"}
    assert set(drawn.edges) == {("a", "b"), ("b", "a")}
    assert svg(DrawnGraph((DrawnNode("a", ("b", "a")), DrawnNode("b", ("a",)))))


def test_nothing_is_drawn_for_nothing() -> None:
    assert layout([]).nodes == {}
    ET.fromstring(svg(DrawnGraph(())))


@given(st.text(), st.text(), st.text())
def test_any_text_stays_text(name: str, kind: str, state: str) -> None:
    root = ET.fromstring(svg(DrawnGraph((DrawnNode(name, (), kind=kind, state=state, css=kind, href=name),), name)))
    tags = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert tags <= {"svg", "style", "g", "a", "rect", "text", "title", "path"}
    assert not any(key.startswith("on") for element in root.iter() for key in element.attrib)


def test_signs_say_what_colours_say() -> None:
    states = tuple(WORDS)
    signs = {svg(DrawnGraph((DrawnNode("n", state=state),)), styled=False).split('aria-hidden="true">')[1][0]
             for state in states}
    assert len(signs) == len(states)
    assert [state for state in states if state != "same" and f".hx-{state} .hx-" not in stylesheet("graph.css")] == []


def test_a_box_says_seconds_as_the_tables_beside_it_do() -> None:
    drawn = svg(DrawnGraph((DrawnNode("a", kind="learner", seconds=150.0), DrawnNode("b", seconds=0.02))), styled=False)
    assert "learner · 2.5 min" in drawn
    assert "20 ms" in drawn


def test_stored_and_evicted_have_drums() -> None:
    plain, stored, evicted = (
        svg(DrawnGraph((DrawnNode("n", stored=mark),)), styled=False) for mark in ("", "stored", "evicted")
    )
    assert "hx-drum" not in plain
    assert "hx-drum" in stored
    assert "hx-strike" not in stored
    assert "hx-strike" in evicted


def test_300_nodes_take_less_than_a_second() -> None:
    nodes = tuple(DrawnNode(name, tuple(inputs), state="compute") for name, inputs in some_graph(300))
    began = time.process_time()
    svg(DrawnGraph(nodes))
    assert time.process_time() - began < 1
