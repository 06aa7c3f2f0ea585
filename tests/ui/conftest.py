"""A real Chromium, and `helix ui` as a person starts it. Without a browser these tests are skipped."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import helix_spark as hx
from tests.fakes.filled_catalog import filled_catalog
from tests.fakes.shown_catalogs import HOSTILE, family_catalog, graph_catalog, hostile_catalog

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")


@pytest.fixture(scope="session")
def screenshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where pictures of the pages are kept: HELIX_SCREENSHOTS, else among pytest's own folders."""
    given = os.environ.get("HELIX_SCREENSHOTS")
    folder = Path(given) if given else tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def browser() -> Iterator[webdriver.Chrome]:
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    driver = shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("no Chromium and its driver are installed")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    # The sandbox needs rights that containers seldom give; what is opened here is our own.
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    chrome = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    chrome.set_script_timeout(120)
    yield chrome
    chrome.quit()


@contextmanager
def serving(catalog: Path) -> Iterator[str]:
    """The address of `helix ui` on a catalog, in a process of its own."""
    command = [sys.executable, "-m", "helix_spark", "ui", "--catalog", str(catalog), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        line = server.stdout.readline()
        try:
            yield line.split(" at ")[1].split()[0].rstrip("/")
        finally:
            server.terminate()


def some_workflow(folder: Path) -> hx.Workflow:
    """A workflow of some breadth over a small file."""
    data = folder / "people.csv"
    data.write_text("age,city,job,income\n1,a,b,2\n")
    wf = hx.Workflow("people")
    rows = wf.source("rows", hx.csv(str(data), schema="age double, city string, job string, income double"))
    columns = [wf.extractor(f"{name}_is", hx.OneHot(name), on=rows) for name in ("city", "job")]
    columns.append(wf.extractor("age_bucket", hx.Bucketizer("age", bins=3), on=rows))
    examples = wf.synthesizer(
        "examples", rows, features=columns, label="income > 1", split=hx.HashSplit(test=0.2, seed=1)
    )
    model = wf.learner("model", "pyspark.ml.classification.LogisticRegression", on=examples, regParam=0.1)
    wf.predict("predictions", model, examples)
    wf.output("predictions")
    return wf


def outputs_catalog(root: Path) -> None:
    """Iterations with metrics in a dict, a matrix, a curve, weights and other tables among their outputs."""
    with hx.Helix(root, observer=hx.Silent()) as helix:
        for right, factor in ((40, 1), (45, 1), (45, 2)):
            helix.run(_outputs(right, factor))


def _outputs(right: int, factor: int) -> hx.Workflow:
    wf = hx.Workflow("outputs")

    @wf.reducer(output=True, metrics=[hx.metric("f1", better="higher", primary=True)])
    def scores() -> dict[str, float]:
        return {"f1": right / 50 * factor, "loss": 1 / right, **{f"recall_{name}": right / 60 for name in "abcd"}}

    @wf.reducer(output=True)
    def confusion() -> pd.DataFrame:
        return pd.DataFrame({"gold": ["a", HOSTILE], "a": [right, 3], HOSTILE: [50 - right, 47]})

    @wf.reducer(output=True)
    def roc() -> pd.DataFrame:
        return pd.DataFrame({"fpr": [0.0, 0.2, 1.0], "tpr": [0.0, right / 60, 1.0]})

    @wf.reducer(output=True)
    def weights() -> pd.DataFrame:
        return pd.DataFrame({"feature": ["age", HOSTILE], "weight": [1.5, -right / 50]})

    @wf.reducer(output=True)
    def by_age() -> dict[str, Any]:
        rows = {"age": [20.0, 40.0, 60.0], "rich": [0.1, right / 60, 0.4], "town": ["a", HOSTILE, "a"]}
        return hx.plot("point", rows, x="age", y="rich", color="town", title=f"By age {HOSTILE}")

    @wf.reducer(output=True)
    def curious() -> dict[str, Any]:
        made = hx.plot("bar", {"age": [1.0]}, x="age")
        return {**made, "data": {"url": "/assets/style.css", "format": {"type": "csv"}}}

    @wf.reducer(output=True)
    def errors() -> pd.DataFrame:
        words = [f"a long word, number {n}" for n in range(40)]
        return pd.DataFrame({"word": words, **{f"column {n}": [right + n] * 40 for n in range(12)}})

    return wf


@pytest.fixture(scope="session")
def catalogs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("catalogs")
    filled_catalog(folder / "people", some_workflow(folder), 12)
    graph_catalog(folder / "graph", "graph", 300)
    family_catalog(folder / "graph", "wide", 30)
    hostile_catalog(folder / "hostile")
    outputs_catalog(folder / "outputs")
    return {name: folder / name for name in ("people", "graph", "hostile", "outputs")}


@pytest.fixture(scope="session")
def served(catalogs: dict[str, Path]) -> Iterator[Callable[[str], str]]:
    """The address of a server for each catalog, by name."""
    with serving(catalogs["people"]) as people, serving(catalogs["graph"]) as graph, \
            serving(catalogs["hostile"]) as hostile, serving(catalogs["outputs"]) as outputs:
        yield {"people": people, "graph": graph, "hostile": hostile, "outputs": outputs}.__getitem__
