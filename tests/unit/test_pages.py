"""The pages, asked in-process: what they say, what they refuse, and that every text of a catalog stays a text."""

from __future__ import annotations

import dataclasses
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote

import pytest

pytest.importorskip("starlette", reason="the extra `ui` is not installed")
pytest.importorskip("httpx2", reason="requests in-process need httpx2")

from click.testing import CliRunner
from starlette.testclient import TestClient

from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.history import Progress, RunningNode
from helix_spark.catalog.records import IterationRecord
from helix_spark.cli.main import helix
from helix_spark.drawing.groups import folded
from helix_spark.history.comparison import Comparison, node_differences
from helix_spark.ui.app import asset, make_app
from helix_spark.ui.links import Links
from helix_spark.ui.one_file import export_pages
from helix_spark.ui.pages import Pages
from helix_spark.views.comparison_view import ComparisonView
from tests.fakes.page_fuzzer import fuzz
from tests.fakes.shown_catalogs import HOSTILE, family_catalog, graph_catalog, hostile_catalog, run_id

W = quote(f"w {HOSTILE}", safe="")
AUC = quote(f"auc {HOSTILE}", safe="")
MODEL = quote(f"model+ {HOSTILE}", safe="")
DATA = quote(f"data {HOSTILE}", safe="")

PAGES = {
    "iterations": f"/?workflow={W}", "done": f"/iteration?workflow={W}&number=2",
    "failed": f"/iteration?workflow={W}&number=3", "running": f"/iteration?workflow={W}&number=4",
    "value": f"/node?workflow={W}&number=2&node={AUC}", "table": f"/node?workflow={W}&number=2&node={DATA}",
    "evicted": f"/node?workflow={W}&number=2&node={MODEL}", "compare": f"/compare?workflow={W}&a=1&b=2",
    "same": f"/compare?workflow={W}&a=2&b=2", "metrics": f"/metrics?workflow={W}", "storage": f"/storage?workflow={W}",
}
ELEMENTS = {
    "html", "head", "meta", "title", "link", "script", "body", "a", "header", "nav", "details", "summary", "ul", "li",
    "main", "div", "h1", "h2", "h3", "p", "form", "input", "label", "select", "option", "button", "table", "thead",
    "tbody", "tr", "th", "td", "abbr", "span", "b", "time", "section", "figure", "figcaption", "svg", "g", "path",
    "rect", "text", "circle", "line", "polyline", "dl", "dt", "dd", "pre", "code", "meter", "progress", "q",
}


def asking(catalog: Path) -> TestClient:
    return TestClient(make_app(Catalog.open(catalog, create=False)), base_url="http://localhost")


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> TestClient:
    catalog = hostile_catalog(tmp_path_factory.mktemp("shown") / "catalog")
    return asking(catalog.root)


class Reader(HTMLParser):
    """What a browser makes of a page: elements with their attributes, and texts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.texts))


def read(client: TestClient, address: str, status: int = 200) -> Reader:
    answer = client.get(address)
    assert answer.status_code == status, answer.text
    return Reader(answer.text)


@pytest.mark.parametrize("page", PAGES)
def test_every_text_of_the_catalog_stays_a_text(client: TestClient, page: str) -> None:
    found = read(client, PAGES[page])
    assert {tag for tag, _ in found.elements} | {"title"} <= ELEMENTS | {"style"}
    assert [attributes["src"] for tag, attributes in found.elements if tag == "script"] == ["/assets/page.js"]
    for tag, attributes in found.elements:
        assert not [name for name in attributes if name.startswith("on") or name == "style"], (tag, attributes)
        for name in ("href", "src", "action"):
            assert (attributes.get(name) or "/").startswith(("/", "#")), (tag, attributes)
    assert "alert(1)" in found.text
    assert "49" not in found.text or "{{7*7}}" in found.text


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(client: TestClient, page: str) -> None:
    links = {attributes["href"] for tag, attributes in read(client, PAGES[page]).elements if tag in ("a", "link")}
    for link in links:
        if link and link.startswith("/"):
            assert client.get(link).status_code == 200, link


def test_answers_carry_what_protects_them(client: TestClient) -> None:
    for answer in (client.get("/"), client.get("/nothing"), client.get("/assets/page.js"), client.post("/")):
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert client.post("/").status_code == 405
    assert client.get("/", headers={"host": "evil.example"}).status_code == 421
    assert client.get("/", headers={"host": "127.0.0.1:8760"}).status_code == 200


def test_a_page_says_that_its_iteration_is_pinned_and_how_that_is_changed(tmp_path: Path) -> None:
    catalog = hostile_catalog(tmp_path / "catalog")
    iteration = next(one for one in catalog.iterations() if one.number == 1)
    command = shlex.join(["helix", "pin", "1", iteration.workflow])
    address, client = Links().iteration(iteration.workflow, 1), asking(catalog.root)
    assert f"pin {command} keeps all" in read(client, address).text
    catalog.pin(iteration, pinned=True)
    pinned = read(client, address).text
    assert f"pin {command} --remove" in pinned
    assert "Iteration 1 pinned" in pinned


def test_iterations_are_listed_like_a_log(client: TestClient) -> None:
    text = read(client, PAGES["iterations"]).text
    assert re.search(r"#4.*latest.*running.*#3.*failed.*#2.*best.*#1", text)
    assert "reg 0.1 → 0.05" in text


def test_a_metric_is_better_higher_or_lower_and_a_part_of_a_graph_is_explained(client: TestClient) -> None:
    assert "higher is better" in read(client, PAGES["iterations"]).text
    assert re.search(r"Better is.*higher", read(client, PAGES["metrics"]).text)
    hints = [a["title"] for tag, a in read(client, PAGES["done"]).elements if tag == "input" and "title" in a]
    assert "+model: the node and all that it reads" in (hints[0] or "")


def test_a_filter_finds_words_of_a_row_and_keeps_its_state_in_the_address(client: TestClient) -> None:
    found = read(client, f"/?workflow={W}&q=failed")
    numbers = [text for text in found.texts if re.fullmatch(r"#\d", text)]
    assert numbers == ["#2", "#3"]  # the best, which is named above, and what was found
    links = [a["href"] or "" for tag, a in found.elements if tag == "a" and "order=seconds" in (a.get("href") or "")]
    assert links
    assert all("q=failed" in link for link in links)


def test_an_order_by_a_metric_puts_what_has_none_last(client: TestClient) -> None:
    found = read(client, f"/?workflow={W}&order=metric&metric=auc")
    rows = [a["value"] for tag, a in found.elements if tag == "input" and a.get("name") == "a"]
    assert rows == ["2", "1", "4", "3"]


def test_an_iteration_shows_states_with_signs_and_says_what_is_stored(client: TestClient) -> None:
    found = read(client, PAGES["done"])
    classes = [a.get("class") or "" for tag, a in found.elements if tag == "a" and "hx-node" in (a.get("class") or "")]
    assert [name for name in classes if "hx-load" in name and "hx-stored" in name]
    assert [name for name in classes if "hx-compute" in name and "hx-evicted" in name]
    assert "no longer stored" in found.text
    assert "saves 5.0 s of 9.0 s (optimal" in found.text
    assert "stored 1.0 kB of 2.0 MB (policy joint)" in found.text


def test_a_failed_iteration_shows_which_node_failed_and_what_did_not_run(client: TestClient) -> None:
    found = read(client, PAGES["failed"])
    classes = [a.get("class") or "" for tag, a in found.elements if tag == "a" and "hx-node" in (a.get("class") or "")]
    assert [sum(state in name for name in classes) for state in ("hx-failed", "hx-waiting", "hx-load")] == [1, 1, 1]
    assert "at jobs/x.py:3" in found.text
    assert "Nothing had to run" not in found.text


def test_a_running_iteration_is_followed(client: TestClient) -> None:
    found = read(client, PAGES["running"])
    (address,) = [a["data-live"] for _, a in found.elements if "data-live" in a]
    assert client.get(address or "").json()["status"] == "running"


def test_a_stored_table_shows_its_first_rows(client: TestClient) -> None:
    text = read(client, PAGES["table"]).text
    assert "3 rows" in text
    assert "null" in text


def test_a_node_shows_its_code_with_its_difference_and_what_its_fit_gave(client: TestClient) -> None:
    fit = read(client, f"/node?workflow={W}&number=2&node={MODEL}").text
    assert "The 2 heaviest of 300 slots" in fit
    assert "0.7 → 0.4 in 2 steps" in fit
    assert "\u2212 return 1" in re.sub(r"\s+", " ", fit)


def test_two_iterations_show_only_what_differs_unless_asked(client: TestClient) -> None:
    text = read(client, PAGES["compare"]).text
    assert "return 1" in text
    assert "return 2" in text
    assert "1 more is the same" in text
    assert "added" in text
    assert "0.81 0.82" in text
    assert "better" in text
    assert "the same" in read(client, PAGES["compare"] + "&whole=1").text
    assert "No difference but the time it took" in read(client, PAGES["same"]).text


def test_what_is_not_there_is_said_with_what_is(client: TestClient) -> None:
    assert "there is no iteration 99" in read(client, f"/iteration?workflow={W}&number=99", 404).text
    assert "the catalog has no workflow 'othre'" in read(client, "/?workflow=othre", 404).text
    assert "did you mean 'auc'" in read(client, "/node?workflow=other&number=1&node=acu", 404).text
    assert "must be a number" in read(client, "/compare?workflow=other&a=x&b=1", 400).text


def test_a_new_record_shows_without_a_restart(tmp_path: Path) -> None:
    graph_catalog(tmp_path / "c", "one", 3)
    client = asking(tmp_path / "c")
    assert "two" not in client.get("/").text
    graph_catalog(tmp_path / "c", "two", 3)
    assert "two" in client.get("/").text


@pytest.mark.long
def test_a_large_graph_is_drawn_when_asked_for(tmp_path: Path) -> None:
    graph_catalog(tmp_path / "c", "large", 2000)
    client = asking(tmp_path / "c")
    page = "/iteration?workflow=large&number=1"
    assert "draw it anyway" in client.get(page).text
    assert "hx-node" not in client.get(page).text
    assert client.get(f"{page}&whole=1").text.count('class="hx-node') == 2000
    around = client.get(f"{page}&nodes=1%2Bnode_50%2B1").text
    assert 2 <= around.count('class="hx-node') < 50


def test_an_export_does_not_ask_what_a_file_cannot_answer(tmp_path: Path) -> None:
    graph_catalog(tmp_path / "c", "large", 2000)
    text = Reader(export_pages(Catalog.open(tmp_path / "c", create=False))).text
    assert "more than most can read at once" in text
    assert "Name some of them above" not in text


def test_an_empty_catalog_says_what_to_do(tmp_path: Path) -> None:
    from helix_spark.catalog.places.catalog_folder import Layout, make_catalog

    make_catalog(Layout(tmp_path / "c"))
    client = asking(tmp_path / "c")
    assert "Run a workflow on it" in client.get("/").text
    assert client.get("/metrics").status_code == 404
    assert "No iterations yet" in export_pages(Catalog.open(tmp_path / "c", create=False))


def test_records_that_are_damaged_are_said_to_be_left_out(tmp_path: Path) -> None:
    graph_catalog(tmp_path / "c", "w", 3)
    assert "left out" not in asking(tmp_path / "c").get("/").text
    shutil.rmtree(os.environ["HELIX_INDEX"])
    min((tmp_path / "c" / "records").glob("*.segment")).write_bytes(b"no segment")
    assert "0000000001.segment is damaged" in asking(tmp_path / "c").get("/").text


def test_a_catalog_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    graph_catalog(tmp_path / "c", "w", 3)
    client = asking(tmp_path / "c")
    shutil.rmtree(tmp_path / "c" / "records")
    (tmp_path / "c" / "records").write_text("no folder")
    answer = client.get("/iteration?workflow=w&number=1")
    assert answer.status_code == 503
    assert "cannot be read" in answer.text


@pytest.mark.parametrize("requests", [150, pytest.param(10_000, marks=pytest.mark.long)])
def test_odd_requests_get_plain_answers(tmp_path: Path, requests: int) -> None:
    found = fuzz(tmp_path, requests, seed=7)
    assert found["wrong"] == []
    assert found["statuses"][200] > requests // 5


def test_the_export_is_one_file_whose_links_stay_inside(tmp_path: Path) -> None:
    hostile_catalog(tmp_path / "c")
    done = CliRunner().invoke(helix, ["ui", "--catalog", str(tmp_path / "c"), "--export", str(tmp_path / "all.html")])
    assert done.exit_code == 0, done.output
    text = (tmp_path / "all.html").read_text(encoding="utf-8")
    found = Reader(text)
    (script,) = re.findall(r"(?s)<script[^>]*>(.*?)</script>", text)
    (policy,) = (a["content"] for tag, a in found.elements if tag == "meta" and "http-equiv" in a)
    digest = b64encode(sha256(script.encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-{digest}'"
    assert script == asset("plots.js") + asset("exported.js")
    assert [tag for tag, _ in found.elements].count("script") == 1
    places = [attributes["id"] for _, attributes in found.elements if "id" in attributes]
    assert len(places) == len(set(places))
    for tag, attributes in found.elements:
        link = attributes.get("href") or attributes.get("src")
        if link and link != "data:,":
            assert link.startswith("#"), (tag, link)
            assert link[1:] in places, link
    beside = [attributes for tag, attributes in found.elements if tag == "aside"]
    drawn = [a.get("href") for tag, a in found.elements if tag == "a" and "hx-node" in (a.get("class") or "")]
    assert {f"#{one['id']}" for one in beside} >= set(filter(None, drawn)) != set()


def test_an_export_opens_as_many_nodes_as_a_file_can_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("helix_spark.ui.one_file.MOST_PANELS", 4)
    text = export_pages(Catalog.open(hostile_catalog(tmp_path / "c").root, create=False))
    assert 0 < text.count('<aside class="hx-panel"') <= 4


def test_a_taken_port_is_told(tmp_path: Path) -> None:
    graph_catalog(tmp_path / "c", "w", 3)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = CliRunner().invoke(helix, ["ui", "--catalog", str(tmp_path / "c"), "--port", str(port)])
    assert done.exit_code == 3
    assert f"port {port}" in done.output


def test_no_catalog_is_told(tmp_path: Path) -> None:
    done = CliRunner().invoke(helix, ["ui", "--catalog", str(tmp_path / "nothing")])
    assert done.exit_code == 3
    assert "there is no catalog" in done.output


def test_a_running_iteration_shows_how_far_it_is(tmp_path: Path) -> None:
    catalog = hostile_catalog(tmp_path / "c")
    client = asking(catalog.root)
    nodes = tuple(
        RunningNode(f"{name} {HOSTILE}", "scanner", (), "compute", HOSTILE, 1.0, False) for name in ("a", "b", "c")
    )
    names = [node.name for node in nodes]
    progress = Progress(f"w {HOSTILE}", 4, nodes).with_times(names[0], started=0.0, ended=0.4)
    catalog.note_progress(progress.with_times(names[1], started=0.5))
    found = read(client, PAGES["running"])
    assert "Running: 1 now, 1 to come" in found.text
    assert f"{names[1]} about 2.0 s left" in " ".join(found.text.split())
    assert {tag for tag, _ in found.elements} <= ELEMENTS
    ((address, shown),) = [(a["data-live"] or "", a["data-state"]) for _, a in found.elements if "data-live" in a]
    answer = client.get(address)
    assert answer.text == shown
    assert list(answer.json()["nodes"].values()) == ["waiting", "running", "compute"]


def test_an_iteration_whose_process_is_gone_has_died_and_shows_how_far_it_came(tmp_path: Path) -> None:
    catalog = hostile_catalog(tmp_path / "c")
    client = asking(catalog.root)
    nodes = tuple(RunningNode(name, "scanner", (), "compute", "", 1.0, False) for name in ("a", "b"))
    progress = Progress(f"w {HOSTILE}", 4, nodes).with_times("a", started=0.0, ended=0.4)
    catalog.note_progress(progress.with_times("b", started=0.5))
    assert "died" not in read(client, f"/?workflow={W}").text
    catalog.leases.release(run_id(4))
    assert "died" in read(client, f"/?workflow={W}").text
    found = read(client, PAGES["running"])
    assert "died" in found.text
    assert not [a for _, a in found.elements if "data-live" in a]
    assert names_drawn(found) == ["a", "b"]
    assert "1 computed, 1 was running when it died" in found.text
    assert "node=" not in str(found.elements)  # they have no pages, for nothing of them is on record


def names_drawn(found: Reader) -> list[str]:
    return [a.get("data-node") or "" for _, a in found.elements if "hx-node" in (a.get("class") or "")]


def test_alike_nodes_of_a_large_graph_share_a_box_unless_each_is_asked_for(tmp_path: Path) -> None:
    client = asking(family_catalog(tmp_path / "c", "wide", 30).root)
    found = read(client, "/iteration?workflow=wide&number=1")
    assert names_drawn(found) == ["rows", "column_0", "column_1", "examples", "model", "auc"]
    assert "29 extractors" in found.text
    assert "column_0 extractor + fit" in found.text
    (unfold,) = [a["href"] or "" for tag, a in found.elements if tag == "a" and "#graph" in (a.get("href") or "")]
    opened = read(client, unfold)
    assert len(names_drawn(opened)) == 64
    (fold,) = [a["href"] or "" for tag, a in opened.elements if tag == "a" and "#graph" in (a.get("href") or "")]
    assert names_drawn(read(client, fold)) == names_drawn(found)


@pytest.mark.long
def test_a_graph_that_folding_makes_readable_needs_no_guard(tmp_path: Path) -> None:
    client = asking(family_catalog(tmp_path / "c", "wide", 1000).root)
    assert len(names_drawn(read(client, "/iteration?workflow=wide&number=1"))) == 6


def test_an_export_folds_and_has_the_whole_graph_folded_away(tmp_path: Path) -> None:
    found = Reader(export_pages(Catalog.open(family_catalog(tmp_path / "c", "wide", 30).root, create=False)))
    assert "Each of the 64 nodes by itself" in found.text
    assert len(names_drawn(found)) == 6 + 64


def test_records_are_read_once_until_something_is_recorded(tmp_path: Path) -> None:
    catalog = hostile_catalog(tmp_path / "c")
    looked = Catalog.open(catalog.root, create=False)
    asked: list[str] = []

    class Counted:
        rejections = ()

        def __getattr__(self, name: str) -> Callable[..., object]:
            return lambda *given: (asked.append(name), getattr(looked, name)(*given))[1]

    pages = Pages(Counted(), Links())  # type: ignore[arg-type]  # it has all that a catalog has
    first = pages.render_page(pages.iterations())
    assert sorted(asked) == ["concluded", "iterations", "last_events", "version", "workflows"]
    asked.clear()
    assert pages.render_page(pages.iterations()) == first
    assert sorted(asked) == ["concluded", "version"]
    graph_catalog(catalog.root, "another", 3)
    assert "another" in pages.render_page(pages.iterations())
    assert "iterations" in asked


def test_a_first_page_loads_what_it_needs_alone(tmp_path: Path) -> None:
    hostile_catalog(tmp_path / "c")
    script = f"""
import sys
from base64 import b64encode
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from helix_spark.catalog.catalog import Catalog
from helix_spark.ui.links import Links
from helix_spark.ui.pages import Pages
import helix_spark.cli.main, helix_spark.ui.app
pages = Pages(Catalog.open({str(tmp_path / "c")!r}, create=False), Links())
assert "Iterations" in pages.render_page(pages.iterations())
print(*sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert loaded & {"pyarrow", "numpy", "pandas", "pulp", "pyspark", "mlflow", "rich", "networkx"} == set()
    assert not [name for name in loaded if name.startswith(("helix_spark.workflow", "helix_spark.engine"))]


def test_what_is_the_same_in_both_shares_a_box_beside_what_differs(tmp_path: Path) -> None:
    looked = Catalog.open(family_catalog(tmp_path / "c", "wide", 50).root, create=False)
    (record,) = looked.iterations("wide")
    old = looked.nodes(record)
    edited = {node.name: replace(node, signature="0" * 64, declared="1" * 64) for node in old}
    touched = ("column_7", "examples", "model", "auc")
    new = [edited[node.name] if node.name in touched else node for node in old]
    later = replace(record, number=record.number + 1)
    graph = ComparisonView(Comparison(record, later, node_differences(old, new))).graph
    drawn = {node.label or node.name: node.state for node in folded(graph).nodes}
    assert drawn == {
        "51 the same": "same", "column_7": "affected", "examples": "affected", "model": "affected", "auc": "affected",
    }


def test_an_answered_iteration_shows_that_it_still_stores_and_then_its_end(tmp_path: Path) -> None:
    catalog = hostile_catalog(tmp_path / "c")
    client = asking(catalog.root)
    running = next(record for record in catalog.iterations() if record.run == run_id(4))
    catalog.append_iteration(dataclasses.replace(running, status="done", seconds=2.0))
    catalog.note_progress(Progress(running.workflow, 4, (), answered=2.0, stored=("rows",)))
    text = read(client, PAGES["running"]).text
    assert "Iteration 4" in text
    assert "storing what is worth keeping (rows so far)" in text
    address = f"/state?workflow={W}&number=4"
    assert client.get(address).json() == {"status": "done", "nodes": {}, "answered": 2.0, "stored": ["rows"]}
    catalog.leases.release(running.run)
    assert "storing what" not in read(client, PAGES["running"]).text
    assert client.get(address).json() == {"status": "done", "nodes": {}}


def one_more(catalog: Catalog, number: int) -> None:
    """A further iteration of the hostile workflow, with the nodes of its second."""
    record = catalog.start_iteration(IterationRecord(run_id(number), f"w {HOSTILE}", number, "running", 1.8e9))
    second = next(one for one in catalog.iterations(record.workflow) if one.number == 2)
    nodes = [replace(node, run=record.run, iteration=number) for node in catalog.nodes(second)]
    catalog.append_iteration(replace(record, status="done", seconds=1.0), nodes)


def checked(found: Reader) -> dict[str, str]:
    """Which two iterations are chosen to be compared."""
    radios = [a for tag, a in found.elements if tag == "input" and a.get("type") == "radio"]
    assert all("required" in a for a in radios)
    return {a["name"] or "": a["value"] or "" for a in radios if "checked" in a}


def links_of(found: Reader) -> list[str]:
    return [a.get("href") or "" for tag, a in found.elements if tag == "a"]


def test_an_iteration_without_recorded_nodes_is_compared_by_its_parameters_alone(tmp_path: Path) -> None:
    catalog = hostile_catalog(tmp_path / "c")
    client = asking(catalog.root)
    found = read(client, f"/compare?workflow={W}&a=2&b=4")
    assert "Iteration 4 is still running; its nodes are recorded when it ends." in found.text
    assert "reg 0.05 none missing" in found.text
    assert "Outputs and seconds" not in found.text
    assert names_drawn(found) == []
    catalog.leases.release(run_id(4))
    assert "Iteration 4 died before its nodes were recorded." in read(client, f"/compare?workflow={W}&a=2&b=4").text
    assert "died before its nodes" in read(client, f"/node?workflow={W}&number=4&node={MODEL}", 404).text


@pytest.mark.long
def test_what_died_is_passed_over_by_comparisons(tmp_path: Path) -> None:
    catalog = hostile_catalog(tmp_path / "c")
    client = asking(catalog.root)
    catalog.leases.release(run_id(4))
    one_more(catalog, 5)
    assert checked(read(client, f"/?workflow={W}")) == {"a": "3", "b": "5"}
    compared = [link for link in links_of(read(client, f"/iteration?workflow={W}&number=5")) if "/compare" in link]
    assert [link.partition("&")[2] for link in compared] == ["a=3&b=5"]
    assert not [link for link in links_of(read(client, f"/iteration?workflow={W}&number=4")) if "/compare" in link]
    assert "Compare iterations 3 and 5" in read(client, f"/node?workflow={W}&number=5&node={MODEL}").text
    exported_page = Reader(export_pages(Catalog.open(catalog.root, create=False)))
    places = [a["id"] or "" for _, a in exported_page.elements if (a.get("id") or "").startswith("compare-1-")]
    assert places == ["compare-1-3-5", "compare-1-2-3", "compare-1-1-2"]


def test_a_comparison_with_a_failed_iteration_shows_what_failed(client: TestClient) -> None:
    text = read(client, f"/compare?workflow={W}&a=2&b=3").text
    assert "computed → failed" in text
    assert "computed → not run yet" in text


def test_a_failed_iteration_that_still_stores_says_so(tmp_path: Path) -> None:
    catalog = hostile_catalog(tmp_path / "c")
    catalog.leases.take(run_id(3))
    catalog.note_progress(Progress(f"w {HOSTILE}", 3, ()))
    text = read(asking(catalog.root), PAGES["failed"]).text
    assert "Ended; storing what was computed before." in text
    assert "Running" not in text


def test_a_long_output_is_cut_visibly_and_has_its_whole_beside_it(client: TestClient) -> None:
    texts = read(client, PAGES["done"]).texts
    assert f"{HOSTILE[:59]}…" in texts
    assert HOSTILE in texts


def test_whole_metrics_are_shown_with_all_their_digits(tmp_path: Path) -> None:
    catalog = graph_catalog(tmp_path / "c", "w", 3)
    (record,) = catalog.iterations()
    later = catalog.start_iteration(replace(record, run=run_id(2), number=2, status="running"))
    catalog.append_iteration(replace(later, status="done", outputs='{"rows": 48842, "auc": 0.123456789}'))
    client = asking(catalog.root)
    for page in ("/", "/metrics", "/iteration?number=2", "/compare?a=1&b=2"):
        text = read(client, page).text
        assert "48,842" in text, page
        assert "0.123457" in text, page


def test_a_file_lists_all_iterations_and_has_no_further_pages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("helix_spark.ui.listing.PAGE", 2)
    looked = Catalog.open(hostile_catalog(tmp_path / "c").root, create=False)
    name = f"w {HOSTILE}"
    found = Reader(Pages(looked, Links({})).iterations(name).body)
    assert {"#1", "#2", "#3", "#4"} <= set(found.texts)
    assert "page 1" not in found.text
    assert "next" in Reader(Pages(looked, Links()).iterations(name).body).text


def test_a_list_keeps_what_was_asked_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("helix_spark.ui.listing.PAGE", 1)
    client = asking(hostile_catalog(tmp_path / "c").root)
    found = read(client, f"/?workflow={W}&q=reg&metric=auc&order=seconds&up=1&page=2")
    kept = {a["name"]: a["value"] for tag, a in found.elements if tag == "input" and a.get("type") == "hidden"}
    assert (kept["order"], kept["up"]) == ("seconds", "1")
    asked = [link for link in links_of(found) if link.startswith("/?") and "metric=auc" in link]
    assert [link for link in asked if "order=number" in link and "q=reg" in link]
    assert [link for link in asked if "page=3" in link and "order=seconds" in link]
    assert [link for link in asked if "q=reg" not in link]
    assert "previous" in found.text
    assert "older" not in found.text


def test_two_iterations_of_the_page_are_chosen_to_be_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("helix_spark.ui.listing.PAGE", 2)
    client = asking(hostile_catalog(tmp_path / "c").root)
    assert checked(read(client, f"/?workflow={W}&page=2")) == {"a": "1", "b": "2"}
    assert checked(read(client, f"/?workflow={W}&order=metric&metric=auc")) == {"a": "1", "b": "2"}
    assert checked(read(client, f"/?workflow={W}")) == {}


def test_the_graph_around_a_node_of_any_name_is_drawn(client: TestClient) -> None:
    for page in ("value", "table", "evicted"):
        (link,) = [link for link in links_of(read(client, PAGES[page])) if "nodes=" in link]
        around = read(client, link)
        assert len(names_drawn(around)) == 3
        assert "No node is named" not in around.text
