"""What is published: a wheel and an sdist, built from this tree, installed elsewhere, and run from there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
JOB = """
import pandas as pd
import helix_spark as hx

def doubled() -> hx.Workflow:
    wf = hx.Workflow("doubled")
    wf.source("data", hx.table(pd.DataFrame({"a": [1.0, 2.0]})))

    @wf.reducer(output=True)
    def total(data: pd.DataFrame) -> float:
        return float(data.a.sum()) * 2

    return wf
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-m", "build", "--outdir", str(folder), str(PROJECT)], check=True)
    return folder


@pytest.mark.long
@pytest.mark.parametrize("ending", [".whl", ".tar.gz"])
def test_what_is_built_installs_and_runs(built: Path, ending: str, tmp_path: Path) -> None:
    (archive,) = (path for path in built.iterdir() if path.name.endswith(ending))
    installed = tmp_path / "installed"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(installed), str(archive)],
        check=True,
    )
    (tmp_path / "doubled.py").write_text(JOB)
    environ = {**os.environ, "PYTHONPATH": str(installed), "HELIX_CATALOG": str(tmp_path / "catalog")}

    def helix(*arguments: str) -> str:
        command = [sys.executable, "-m", "helix_spark", *arguments]
        return subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=True).stdout

    where = subprocess.run(
        [sys.executable, "-c", "import helix_spark; print(helix_spark.__file__)"], cwd=tmp_path, env=environ,
        capture_output=True, text=True, check=True,
    )
    assert where.stdout.startswith(str(installed))
    assert "total  6" in helix("run", "doubled.py", "-q")
    helix("ui", "--export", "pages.html")
    assert "doubled" in (tmp_path / "pages.html").read_text()


@pytest.mark.long
def test_a_wheel_has_all_that_is_no_python(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    package = PROJECT / "helix_spark"
    wanted = {
        path.relative_to(PROJECT).as_posix() for path in package.rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc", ".md")
    }
    assert wanted <= names
    assert not [name for name in names if not name.startswith(("helix_spark/", "helix_spark-"))]


@pytest.mark.long
@pytest.mark.parametrize("extras", ["", "[ui]"])
def test_a_wheel_installs_into_a_fresh_environment(built: Path, extras: str, tmp_path: Path) -> None:
    (wheel,) = built.glob("*.whl")
    bin_folder = tmp_path / "fresh" / "bin"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(bin_folder.parent)], check=True)
    subprocess.run(
        [str(Path(sys.executable).with_name("uv")), "pip", "install", "--quiet", "--python", str(bin_folder / "python"),
         "--constraint", str(PROJECT / "constraints.txt"), f"{wheel}{extras}"],
        check=True,
    )
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def helix(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(bin_folder / "helix"), *arguments]
        return subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)

    assert helix("--version").stdout == f"helix, version {version('helix-spark')}\n"
    checks = {check["name"]: check for check in json.loads(helix("doctor", "--json").stdout)}
    assert checks["solver"]["ok"]
    (tmp_path / "doubled.py").write_text(JOB)
    assert "total  6" in helix("run", "doubled.py", "-q").stdout
    if not extras:
        assert "install the extra `ui`" in helix("ui").stderr
