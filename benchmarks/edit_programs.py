"""A program of pandas, and edits of it that change code or data and no result."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import helix_spark as hx

Table = pd.DataFrame

WORDS = ["wind", "rain", "sun", "snow", "cloud", "storm", "mist", "frost", "dew", "hail"]
LINES = [f"{n},{WORDS[n % 10]} {WORDS[(n * 7) % 10]},{(n * 37) % 91}" for n in range(20_000)]


@dataclass(frozen=True, slots=True)
class Edit:
    """Attributes:
        node: the one that it touches.
        parts: by node, the function that it has instead.
        text: what is put after the file's text.
    """

    name: str
    node: str
    parts: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    text: str = ""


def program(text: Path, edit: Edit | None = None) -> hx.Workflow:
    """The program, edited or not, over a file that is written for it where it does not hold the same."""
    content = "\n".join(LINES) + "\n" + (edit.text if edit is not None else "")
    if not text.exists() or text.read_text() != content:
        text.write_text(content)
    parts = edit.parts if edit is not None else {}
    return _of_pandas(text, parts)


def parse(data: Table, path: str) -> Table:
    rows = [line.split(",") for line in Path(path).read_text().splitlines() if line]
    return pd.DataFrame(rows, columns=["id", "text", "age"]).astype({"id": int, "age": int})


def clean(rows: Table) -> Table:
    return rows[rows.age > 17]


def tokens(clean: Table) -> Table:
    counted = {f"is_{word}": clean.text.str.count(word) for word in WORDS}
    return pd.DataFrame({"age": clean.age, **counted})


def _of_pandas(text: Path, parts: Mapping[str, Callable[..., Any]]) -> hx.Workflow:
    wf = hx.Workflow("pandas")
    wf.source("data", hx.table(pd.DataFrame({"a": [1]})))
    path = str(text)
    parsing: Callable[[Table, str], Table] = parts.get("rows", parse)

    @wf.scanner(depends_on=[text, parsing])
    def rows(data: pd.DataFrame) -> pd.DataFrame:
        return parsing(data, path)

    wf.scanner(name="clean")(parts.get("clean", clean))
    wf.scanner(name="tokens")(parts.get("tokens", tokens))

    @wf.scanner
    def features(tokens: pd.DataFrame) -> pd.DataFrame:
        numbers = tokens.to_numpy(dtype="float64")
        wide = np.concatenate([np.cos(numbers * k) for k in range(1, 16)], axis=1)
        return pd.DataFrame(wide, columns=[f"f{k}" for k in range(wide.shape[1])]).assign(label=tokens.age.to_numpy())

    @wf.reducer
    def weights(features: pd.DataFrame) -> list[float]:
        x, y = features.drop(columns="label").to_numpy(), features.label.to_numpy()
        found = [np.linalg.lstsq(x[k::5], y[k::5], rcond=None)[0] for k in range(5)]
        return [float(one) for one in np.mean(found, axis=0)]

    @wf.reducer(output=True)
    def answer(weights: list[float]) -> float:
        return float(np.linalg.norm(weights))

    return wf


# Variants: each makes what the unedited function makes.

def parse_in_a_loop(data: Table, path: str) -> Table:
    made = []
    with Path(path).open() as file:
        for line in file:
            if line.strip():
                number, text, age = line.rstrip("\n").split(",")
                made.append((int(number), text, int(age)))
    return pd.DataFrame(made, columns=["id", "text", "age"])


def parse_stripped(data: Table, path: str) -> Table:
    rows = [line.strip().split(",") for line in Path(path).read_text().splitlines() if line.strip()]
    return pd.DataFrame(rows, columns=["id", "text", "age"]).astype({"id": int, "age": int})


def clean_by_query(rows: Table) -> Table:
    return rows.query("age >= 18")


def clean_in_steps(rows: Table) -> Table:
    old = rows["age"] > 17
    return rows.loc[old]


def clean_without_doubles(rows: Table) -> Table:
    return rows[rows.age > 17].drop_duplicates()


def clean_without_gaps(rows: Table) -> Table:
    return rows.dropna().loc[lambda kept: kept.age > 17]


def clean_with_a_bound(rows: Table) -> Table:
    return rows[(rows.age > 17) & (rows.age < 200)]


def clean_asserted(rows: Table) -> Table:
    kept = rows[rows.age > 17]
    assert len(kept) > 0, "no rows are left"
    return kept


def clean_lower(rows: Table) -> Table:
    return rows[rows.age > 17].assign(text=lambda kept: kept.text.str.lower())


def clean_cast(rows: Table) -> Table:
    return rows[rows.age > 17].astype({"age": "int64"})


def tokens_in_a_loop(clean: Table) -> Table:
    made = pd.DataFrame({"age": clean["age"]})
    for word in WORDS:
        made[f"is_{word}"] = clean["text"].str.count(word)
    return made


def tokens_with_a_rule(clean: Table) -> Table:
    text = clean.text.str.replace("#", " ", regex=False)
    return pd.DataFrame({"age": clean.age, **{f"is_{word}": text.str.count(word) for word in WORDS}})


def tokens_by_pattern(clean: Table) -> Table:
    patterns = {word: re.compile(word) for word in WORDS}
    return pd.DataFrame({"age": clean.age, **{
        f"is_{word}": clean.text.map(lambda text, one=one: len(one.findall(text)))  # type: ignore[misc]  # mypy infers no default
        for word, one in patterns.items()
    }})


EDITS = (
    Edit("a loop for a comprehension, in the parse", "rows", {"rows": parse_in_a_loop}),
    Edit("lines are stripped", "rows", {"rows": parse_stripped}),
    Edit("a newline at the file's end", "rows", text="\n"),
    Edit("blank lines at the file's end", "rows", text="\n\n\n"),
    Edit("a query for a mask", "clean", {"clean": clean_by_query}),
    Edit("steps for an expression", "clean", {"clean": clean_in_steps}),
    Edit("doubles are dropped where there are none", "clean", {"clean": clean_without_doubles}),
    Edit("gaps are dropped where there are none", "clean", {"clean": clean_without_gaps}),
    Edit("a bound that nothing passes", "clean", {"clean": clean_with_a_bound}),
    Edit("an assertion", "clean", {"clean": clean_asserted}),
    Edit("lower case for what is in lower case", "clean", {"clean": clean_lower}),
    Edit("a cast to the type that it has", "clean", {"clean": clean_cast}),
    Edit("a loop for a comprehension, in the tokens", "tokens", {"tokens": tokens_in_a_loop}),
    Edit("a rule of the tokens that hits nothing", "tokens", {"tokens": tokens_with_a_rule}),
    Edit("patterns for texts", "tokens", {"tokens": tokens_by_pattern}),
)
