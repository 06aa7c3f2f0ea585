"""Whose code something is: of which installed distribution, and of which version."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from helix_spark.signature import origin
from helix_spark.signature.origin import Package, package_of_file


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of installed packages."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    origin.forget_versions()
    yield folder
    origin.forget_versions()


def install(site: Path, name: str, version: str, top: str, **files: str) -> None:
    """What an installer notes of a distribution; `files` by their names there."""
    folder = site / f"{name.replace('-', '_')}-0.dist-info"
    folder.mkdir(exist_ok=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (folder / "top_level.txt").write_text(top)
    for file, text in files.items():
        (folder / file.replace("_json", ".json")).write_text(text)


def package_of(file: Path) -> Package | None:
    origin.forget_versions()
    return package_of_file(str(file), None)


def test_all_distributions_that_share_a_folder_count(site: Path) -> None:
    (site / "shared").mkdir()
    (site / "shared" / "one.py").write_text("")
    install(site, "shared-one", "1.0", "shared")
    install(site, "shared-two", "1.0", "shared")
    assert package_of(site / "shared" / "one.py") == Package("shared", "shared-one 1.0, shared-two 1.0")
    install(site, "shared-two", "2.0", "shared")
    assert package_of(site / "shared" / "one.py") == Package("shared", "shared-one 1.0, shared-two 2.0")
    assert package_of(site / "shared") == package_of(site / "shared" / "one.py")


def test_a_distribution_that_is_called_as_a_shared_folder_does_not_stand_for_the_others(site: Path) -> None:
    (site / "shared").mkdir()
    install(site, "shared", "1.0", "shared")
    install(site, "shared-one", "1.0", "shared")
    assert package_of(site / "shared" / "one.py") == Package("shared", "shared 1.0, shared-one 1.0")


def test_a_package_that_one_distribution_provides_is_known_by_that_alone(site: Path) -> None:
    (site / "whole").mkdir()
    (site / "whole" / "__init__.py").write_text("")
    install(site, "whole", "1.0", "whole", RECORD="whole/__init__.py,sha256=a,1\n")
    assert package_of(site / "whole" / "__init__.py") == Package("whole", "1.0")


def test_other_code_under_the_same_version_counts_where_it_is_no_release(site: Path) -> None:
    def version(code: str, more: str = "", **files: str) -> str:
        (site / "built.py").write_text("")
        install(site, "built", "1.0", "built", RECORD=f"built.py,sha256={code},1\n{more}", **files)
        found = package_of(site / "built.py")
        assert found is not None
        return found.version

    assert version("one") == version("two") == "1.0"
    first = version("one", direct_url_json="{}")
    assert first.startswith("1.0 ")
    assert version("two", direct_url_json="{}") != first
    elsewhere = "../../bin/built,sha256=x,1\nbuilt-0.dist-info/direct_url.json,sha256=y,1\n__pycache__/built.pyc,,\n"
    assert version("one", elsewhere, direct_url_json='{"url": "file:///elsewhere"}') == first
