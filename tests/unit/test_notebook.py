"""How things show themselves in a notebook: both forms, no scripts, and every name as text."""

from __future__ import annotations

import re
from copy import copy
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import helix_spark as hx
from helix_spark.drawing.graph import DrawnGraph, DrawnNode
from helix_spark.drawing.notebook import picture

EVIL = "<script>alert(1)</script>"


def evil(limit: float = 1.0, note: str = EVIL, more: bool = False) -> hx.Workflow:
    wf = hx.Workflow("shown & <b>bold</b>")
    data = wf.source("data", hx.table(pd.DataFrame({"a": [1.0, 2.0]})))

    @wf.reducer(name=EVIL, output=True)
    def total(data: pd.DataFrame) -> float:
        return float((data.a > limit).sum())

    @wf.reducer(output=True)
    def said(data: pd.DataFrame) -> str:
        return EVIL

    if more:
        @wf.reducer(output=True)
        def longest(data: pd.DataFrame) -> float:
            return float(data.a.max())

    assert data.name == "data"
    return wf


class Tags(HTMLParser):
    """Collects tags and attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}


def shown(thing: Any) -> tuple[str, str]:
    """Plain text and HTML; the HTML is checked for what must never be in it."""
    bundle = thing._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "text/html"}
    html = bundle["text/html"]
    seen = Tags()
    seen.feed(html)
    assert not {"script", "b", "iframe", "object", "link", "img"} & set(seen.tags)
    assert not [name for name in seen.attributes if name.startswith("on") or name == "src"]
    assert not re.search(r"https?://(?!www\.w3\.org/)|url\(|@import", html)
    return bundle["text/plain"], html


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with hx.Helix(tmp_path_factory.mktemp("notebook") / "catalog") as helix:
        first = helix.run(evil())
        helix.wait()
        second = helix.run(evil(limit=0.0, more=True))
        yield helix, first, second


def test_a_plan(runs: Any) -> None:
    helix, *_ = runs
    plan = helix.plan(evil())
    text, html = shown(plan)
    assert text == str(plan)
    assert "hx-load" in html
    assert "stored by iteration 1" in html


def test_an_iteration(runs: Any) -> None:
    _, first, second = runs
    text, html = shown(first)
    assert "3 computed; " in text
    assert "hx-compute" in html
    assert EVIL in text
    assert "closure value `limit` 1.0 -&gt; 0.0" in shown(second)[1]


def test_an_iteration_says_what_spark_s_start_took_and_how_long_it_took(runs: Any) -> None:
    made = copy(runs[2])
    made.session_seconds, made.seconds = 2.0, 150.0
    assert "; 150 s to answer (Spark's start 2.0 s)" in shown(made)[0]
    assert repr(made).endswith(" in 2.5 min>")


def test_a_later_iteration_says_how_outputs_went_and_draws_what_was_computed(tmp_path: Path) -> None:
    def scored(weight: int) -> hx.Workflow:
        wf = hx.Workflow("scored")
        wf.source("data", hx.table(pd.DataFrame({"a": [1.0, 2.0]})))

        @wf.scanner
        def weighed(data: pd.DataFrame) -> pd.DataFrame:
            return data * weight

        @wf.reducer(output=True)
        def total(weighed: pd.DataFrame) -> float:
            return float(weighed.a.sum())

        @wf.reducer(output=True)
        def worst(data: pd.DataFrame) -> pd.DataFrame:
            return data.assign(text=EVIL)

        return wf

    with hx.Helix(tmp_path / "catalog", observer=hx.Silent()) as helix:
        first, second = helix.run(scored(1)), helix.run(scored(2))
        assert "<th>before</th>" not in shown(first)[1]
        _, html = shown(second)
        assert ">6</td><td>3</td><td>+3</td>" in html
        assert "worst: 2 rows" in html
        assert 'data-node="worst"' in html
        assert "worst: 2 rows" in shown(helix.iteration(2))[1]


def test_an_iteration_on_record(runs: Any) -> None:
    helix, first, _ = runs
    past = helix.iteration(1)
    text, html = shown(past)
    assert text.splitlines()[:2] == shown(first)[0].splitlines()[:2], "as what has just run"
    assert re.search(r"\n3 computed; [\d.]+ s to answer\Z", text)
    assert "hx-compute" in html
    assert "never run before" in html
    stored = helix.catalog.live_among({node.signature for node in past.nodes})
    assert html.count('class="hx-drum"') == len(stored) > 0


def test_an_iteration_on_record_that_failed_says_why(tmp_path: Path) -> None:
    wf = hx.Workflow("failing")
    wf.source("data", hx.table(pd.DataFrame({"a": [1.0]})))

    @wf.reducer(output=True)
    def total(data: pd.DataFrame) -> float:
        raise ValueError(EVIL)

    with hx.Helix(tmp_path / "catalog", observer=hx.Silent()) as helix:
        with pytest.raises(hx.NodeError):
            helix.run(wf, "an attempt")
        text, html = shown(helix.iteration(1))
    assert "an attempt" in text
    assert "\nfailed: reducer 'total' failed: ValueError" in text
    assert "reducer &#39;total&#39; failed: ValueError" in html
    assert ">failed</td>" in html, "the node, in the table of what ran"


def test_a_comparison(runs: Any) -> None:
    helix, first, second = runs
    compared = helix.compare(first, second)
    text, html = shown(compared)
    assert "  parameter limit: 1 -> 0" in text
    assert "  + longest" in text
    assert "hx-added" in html
    assert "hx-changed" in html
    assert helix.compare(1, 2).parameters == compared.parameters == {"limit": (1.0, 0.0), "more": (False, True)}
    assert "no difference" in shown(helix.compare(2, second))[1]


def test_comparing_what_there_is_not(runs: Any) -> None:
    helix, *_ = runs
    with pytest.raises(hx.HelixError, match="there is no iteration 9"):
        helix.compare(1, 9)


def test_a_graph_too_large_for_a_cell_is_said_to_be() -> None:
    nodes = [DrawnNode("data"), *(DrawnNode(f"column_{number}", ("data",)) for number in range(700))]
    html = picture(DrawnGraph(tuple(nodes)))
    assert "701 nodes are too many to draw here" in html
    assert "<svg" not in html
