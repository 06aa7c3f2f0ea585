"""What the commands print of a workflow with twelve metrics and two output tables, at 80 and 140 columns, as it is on
record in `terminal/`. Times are masked.

    HELIX_GOLDEN=write python -m pytest tests/unit/test_terminal.py     # writes them anew
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from helix_spark import sizes
from helix_spark.cli.main import helix
from helix_spark.views import comparison_view

FOLDER = Path(__file__).with_name("terminal")
JOB = """
import pandas as pd
import helix_spark as hx

ROWS = pd.DataFrame({"word": [f"word {n}" for n in range(60)], "gold": [n % 3 for n in range(60)]})

def tagging(shift: int = 2) -> hx.Workflow:
    wf = hx.Workflow("tagging")
    wf.source("sentences", hx.table(ROWS))

    @wf.scanner
    def tagged(sentences: pd.DataFrame) -> pd.DataFrame:
        said = (sentences.gold * shift + sentences.index % 2) % 3
        return sentences.assign(said=said, confidence=(sentences.index + 1) / 60)

    @wf.reducer(output=True, metrics=[hx.metric("macro_f1", better="higher", primary=True)])
    def scores(tagged: pd.DataFrame) -> dict:
        right = tagged.gold == tagged.said
        found = {"accuracy": float(right.mean()), "log_loss": 1 - float(right.mean()) / 2}
        for label in range(3):
            said, gold = tagged.said == label, tagged.gold == label
            both = float((said & gold).sum())
            found |= {f"precision_{label}": both / max(1, said.sum()), f"recall_{label}": both / max(1, gold.sum())}
        found["support"] = {f"class_{label}": int((tagged.gold == label).sum()) for label in range(3)}
        return found | {"macro_f1": float(right.mean()) * 0.9}

    @wf.reducer(output=True)
    def confusion(tagged: pd.DataFrame) -> pd.DataFrame:
        return pd.crosstab(tagged.gold, tagged.said)

    @wf.reducer(output=True)
    def errors(tagged: pd.DataFrame) -> pd.DataFrame:
        return tagged[tagged.gold != tagged.said].reset_index(drop=True)

    return wf
"""


@pytest.fixture(autouse=True)
def _without_times_and_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everybody has these functions by name, so it is their code that is another one."""
    for function, told in (
        (sizes.format_seconds, lambda seconds: "" if seconds is None else "0.0"),
        (sizes.seconds_text, lambda seconds: "" if seconds is None else "0.0 s"),
        (sizes.format_size, lambda size: "1 B"),
    ):
        monkeypatch.setattr(function, "__code__", told.__code__)
    monkeypatch.setattr(comparison_view, "LEAST_SECONDS", 1e9)


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder whose path fits a line of 80 columns, which that of `tmp_path` may not."""
    with tempfile.TemporaryDirectory(prefix="h") as folder:
        yield Path(folder)


def masked(text: str) -> str:
    """Without days, folders, and what the machine's speed decides."""
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d", "2026-01-01 00:00", text)
    text = re.sub(r"\d\d-\d\d \d\d:\d\d ", "01-01 00:00 ", text)
    text = re.sub(r"(?m)^  /\S+study\.py$", "  study.py", text)
    text = re.sub(r"; saves .*? of ", "; saves 0.0 s of ", text)
    text = re.sub(r", \d+ ms\)|, 0\.0 s\)", ", 0 ms)", text)
    return re.sub(r"(?m) +$", "", text)


@pytest.mark.parametrize("width", [80, 140])
def test_what_is_printed_is_as_it_was(short_folder: Path, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.chdir(short_folder)
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("LOGNAME", "ada")
    Path("study.py").write_text(JOB)

    def printed(*arguments: str) -> str:
        done = CliRunner().invoke(helix, list(arguments))
        assert done.exit_code == 0, done.stderr
        return f"$ helix {' '.join(arguments)}\n{masked(done.stdout)}\n"

    run = ("run", "study.py", "-q", "--policy", "never")
    printed(*run, "-m", "first")
    said = [printed(*run, "--set", "shift=1"), *(printed(*words.split()) for words in (
        "show 2", "diff 1 2", "log", "plan study.py --policy never",
    ))]
    file = FOLDER / f"{width}.txt"
    if os.environ.get("HELIX_GOLDEN") == "write":
        FOLDER.mkdir(exist_ok=True)
        file.write_text("\n".join(said), encoding="utf-8")
    assert "\n".join(said) == file.read_text(encoding="utf-8")
