"""The jobs' data: found, checked byte by byte, and the same whichever way it came."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zipfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

import helix_spark as hx
from helix_spark.errors import SourceError
from helix_spark.workflow.operators import Read
from helix_spark.workflow.sources import FileSource, ReaderSource, Source
from jobs.datasets import CRAFT, FEWREL, GENES, KNOWLEDGENET, MNIST, SPOUSES
from jobs.providing import Dataset, _member, provide

CONTENT = b"1, a\n2, b\n"
TINY = Dataset("tiny", "no-such-release==0", {"tiny.csv": "pkg/tiny.csv"}, {"tiny.csv": sha256(CONTENT).hexdigest()})


@pytest.fixture(autouse=True)
def _folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELIX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HELIX_DATA", str(tmp_path / "given"))
    (tmp_path / "given" / "tiny").mkdir(parents=True)


@pytest.mark.parametrize(
    ("end", "pack"), [("", bytes), (".gz", gzip.compress), (".xz", lzma.compress), (".bz2", bz2.compress)]
)
def test_a_given_folder_is_used_and_unpacked(tmp_path: Path, end: str, pack: Callable[[bytes], bytes]) -> None:
    (tmp_path / "given" / "tiny" / f"tiny.csv{end}").write_bytes(pack(CONTENT))
    folder = provide(TINY)
    assert [file.name for file in folder.iterdir()] == ["tiny.csv"]
    assert (folder / "tiny.csv").read_bytes() == CONTENT


def test_what_is_there_needs_no_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "given" / "tiny" / "tiny.csv").write_bytes(CONTENT)
    folder = provide(TINY)
    monkeypatch.setenv("HELIX_DATA", str(tmp_path / "gone"))
    assert provide(TINY) == folder


def test_other_bytes_are_refused_and_not_kept(tmp_path: Path) -> None:
    (tmp_path / "given" / "tiny" / "tiny.csv").write_bytes(b"something else")
    with pytest.raises(SourceError, match="not the file it should be"):
        provide(TINY)
    assert list((tmp_path / "cache" / "data" / "tiny").iterdir()) == []


def test_a_folder_without_the_file_is_named() -> None:
    with pytest.raises(SourceError, match=r"HELIX_DATA has no tiny\.csv"):
        provide(TINY)


def test_data_that_no_registry_carries_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    by_hand = Dataset("by_hand", "", {}, dict(TINY.digests), "the tiny table of the handbook")
    monkeypatch.delenv("HELIX_DATA")
    with pytest.raises(SourceError, match="no package registry carries it") as caught:
        provide(by_hand)
    assert "handbook" in str(caught.value)
    assert "HELIX_DATA" in str(caught.value)


@pytest.mark.parametrize(
    "dataset", [KNOWLEDGENET, FEWREL, SPOUSES, CRAFT, GENES, MNIST], ids=lambda dataset: str(dataset.name)
)
@pytest.mark.parametrize("given", [False, True])
def test_what_no_registry_carries_is_described_file_by_file(
    monkeypatch: pytest.MonkeyPatch, dataset: Dataset, given: bool
) -> None:
    if not given:
        monkeypatch.delenv("HELIX_DATA")
    with pytest.raises(SourceError) as caught:
        provide(dataset)
    text = str(caught.value)
    assert set(dataset.forms) == set(dataset.digests)
    assert "it is made from a public " in text or "it is a public " in text or "it is made from public " in text
    for words in (dataset.home, f"--set {dataset.own}", *(f"{name}: {form}" for name, form in dataset.forms.items())):
        assert words in text


def sources(workflow: hx.Workflow) -> list[Source]:
    return [one.operator.source for one in workflow.declarations if isinstance(one.operator, Read)]


def test_files_of_ones_own_are_read_as_they_are(tmp_path: Path) -> None:
    from jobs.extraction import extraction
    from jobs.genomics import genomics

    own = str(tmp_path / "own")
    for workflow in (extraction(folder=own), genomics(path=own)):
        paths = [path for source in sources(workflow) if isinstance(source, FileSource) for path in source.paths]
        assert len(paths) == 3
        assert {str(Path(path).parent) for path in paths} == {own}


def test_images_of_ones_own_are_known_by_what_is_in_them(tmp_path: Path) -> None:
    from jobs.mnist import mnist_digits

    def version() -> str:
        (source,) = sources(mnist_digits(path=str(tmp_path)))
        assert isinstance(source, ReaderSource)
        return source.version

    for name in MNIST.digests:
        (tmp_path / name).write_bytes(name.encode())
    before = version()
    assert before == ",".join(sha256(name.encode()).hexdigest() for name in MNIST.digests)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(b"other labels")
    assert version() != before


def test_a_zip_within_the_release_is_opened(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "tiny.csv.zip", "w") as inner:
        inner.writestr("tiny.csv", CONTENT)
    with zipfile.ZipFile(tmp_path / "release.whl", "w") as wheel:
        wheel.write(tmp_path / "tiny.csv.zip", "pkg/tiny.csv.zip")
    assert _member(tmp_path / "release.whl", "pkg/tiny.csv.zip") == CONTENT
