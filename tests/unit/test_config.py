"""Who says what the commands are set to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

import helix_spark as hx
from helix_spark.cli.config import settings_for
from helix_spark.cli.main import helix
from helix_spark.cli.options import read_settings
from helix_spark.errors import ParameterError


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "x"\n\n[tool.helix_spark]\ncatalog = "results"\nbudget = "1 GB"\npolicy = "always"\n'
    )
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "a.py").write_text("")
    return tmp_path


def test_arguments_come_before_the_environment_before_the_project_before_defaults(project: Path) -> None:
    environ = {"HELIX_POLICY": "never", "HELIX_BUDGET": "2 GB"}
    found = settings_for(project / "jobs" / "a.py", {"budget": "3 GB", "policy": None}, environ)
    file = project / "pyproject.toml"
    assert {name: (one.value, one.origin) for name, one in found.items()} == {
        "catalog": (str(project / "results"), f"[tool.helix_spark] in {file}"),
        "budget": ("3 GB", "argument --budget"), "policy": ("never", "environment HELIX_POLICY"),
        "mlflow": (None, "default"), "cut_off": ("on", "default"),
        "audit": ("idle", "default"), "audit_seconds": ("60", "default"),
        "server": ("auto", "default"), "server_idle": ("900", "default"),
        "server_memory": ("0.25", "default"), "keep_small": ("16 MiB", "default"),
        "retention.iterations": (None, "default"), "retention.days": (None, "default"), "shared": (None, "default"),
    }


def test_a_setting_that_there_is_not(project: Path) -> None:
    (project / "pyproject.toml").write_text('[tool.helix_spark]\ncatlog = "x"\n')
    with pytest.raises(ParameterError, match="has an unknown setting 'catlog'") as caught:
        settings_for(project, {}, {})
    assert "did you mean 'catalog'?" in str(caught.value)
    assert str(project / "pyproject.toml") in str(caught.value)


def test_a_table_by_the_name_of_the_distribution_is_refused(project: Path) -> None:
    file = project / "pyproject.toml"
    file.write_text('[project]\nname = "x"\n[tool.helix-spark]\ncatalog = "x"\n')
    with pytest.raises(ParameterError, match=r"nothing reads the table \[tool.helix-spark\]") as caught:
        settings_for(project, {}, {})
    assert str(file) in str(caught.value)
    assert "write [tool.helix_spark]" in str(caught.value)


@pytest.mark.parametrize(
    ("line", "words"), [("policy = true", "must be text or a number, not True"), ("policy = ", "cannot be read")]
)
def test_settings_that_make_no_sense(project: Path, line: str, words: str) -> None:
    (project / "pyproject.toml").write_text(f"[tool.helix_spark]\n{line}\n")
    with pytest.raises(ParameterError, match=words):
        settings_for(project, {}, {})


@pytest.mark.parametrize(("said", "meant"), [("on", True), ("off", False), ("2.5", 2.5)])
def test_cut_off_is_on_off_or_a_number_of_seconds(said: str, meant: object, project: Path) -> None:
    assert read_settings(project, cut_off=said).cut_off == meant


def test_cut_off_is_nothing_else(project: Path) -> None:
    with pytest.raises(ParameterError, match="'perhaps' is not a value of cut_off"):
        assert read_settings(project, cut_off="perhaps").cut_off


def test_the_command_shows_origins(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CATALOG", "BUDGET", "POLICY", "MLFLOW"):
        monkeypatch.delenv(f"HELIX_{name}", raising=False)
    monkeypatch.chdir(project / "jobs")
    monkeypatch.setenv("HELIX_MLFLOW", "http://h:5000")
    done = CliRunner().invoke(helix, ["config", "--show-origin", "--policy", "always"])
    assert done.exit_code == 0
    assert "policy   always  (argument --policy)" in done.stdout
    assert "mlflow   http://h:5000  (environment HELIX_MLFLOW)" in done.stdout
    printed = json.loads(CliRunner().invoke(helix, ["config", "--json"]).stdout)
    assert printed["budget"] == {"value": "1 GB", "origin": f"[tool.helix_spark] in {project / 'pyproject.toml'}"}


def test_a_password_is_not_shown(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    monkeypatch.setenv("HELIX_MLFLOW", "http://me:secret@h:5000")
    for words in (["config"], ["config", "--json"]):
        done = CliRunner().invoke(helix, words)
        assert done.exit_code == 0
        assert "http://me:***@h:5000" in done.stdout
        assert "secret" not in done.output


def test_a_negative_budget_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="the budget is negative: -5 bytes") as caught:
        hx.Helix(tmp_path, budget=-5)
    assert "0 stores nothing" in str(caught.value)


def test_when_audits_are_made_is_one_of_three_words(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HELIX_AUDIT")
    file = project / "pyproject.toml"
    file.write_text('[tool.helix_spark]\naudit = "idle"\naudit_seconds = 20\ncut_off = 2.5\n')
    settings = read_settings(project)
    assert (settings.audit, settings.audit_seconds, settings.cut_off) == ("idle", 20.0, 2.5)
    assert read_settings(project, audit="off").audit == "off"
    with pytest.raises(ParameterError, match="'often' is not a value of audit"):
        _ = read_settings(project, audit="often").audit
