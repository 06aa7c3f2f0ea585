"""Scripts of edits that people make to a job, of three kinds in a mix, as text: a file for each job.

An edit replaces places of the *original* text of the job, and the corresponding places of the same job in plain
PySpark. A later edit of a place replaces the earlier one, and going back restores an earlier text; so edits make sense
in any order, and scripts can be drawn at random.

The mix: of script 0's ten edits three prepare data, three learn, three look at results, and one goes back to an earlier
text, because something that was tried did not help. Xin et al. ("How Developers Iterate on Machine Learning Workflows",
arXiv 1803.10311) estimate from applied papers that all three kinds are part of how people work, in shares that differ
from one field to another; no share stands for all fields, so each kind has the same. Helix's own evaluation (PVLDB
12(4), section 6) draws the kind first and then the edit within it, as the drawn scripts here do. Going back is not in
the survey, whose papers report what was kept; one in ten is a guess.

A file has the kept results, the settings of the job and script 0, and then the pool of edits. The sections of an edit,
`--- job` and `--- plain`, have lines `OLD ==> NEW` for the two texts, in which `\\n` is a line break.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.harness import ROOT
from benchmarks.reuse.cases import EditError, replacements, sections

NAMES = ("census", "extraction", "flights", "genomics", "mnist")
KINDS = ("preparation", "learning", "post-processing")
BACK_SHARE = 0.1
LENGTH = 10
DRAWN = (1, 2, 3, 4, 5)
"""Seeds of the drawn scripts; script 0 is designed."""

_FIELD = re.compile(r"^(kept|settings|main|kind|stale): (.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Edit:
    """One edit of a job.

    Attributes:
        kind: one of `KINDS`.
        changes: new texts by the text that they are in ("job" or "plain") and the old text.
        stale: the kept results of the plain job that the edit makes stale. The author of a file that is named after
            its content has to see this without help.
    """

    name: str
    kind: str
    changes: Mapping[tuple[str, str], str]
    stale: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Workload:
    """A job to be edited.

    Attributes:
        name: of the job's module, and of the plain one.
        kept: results that a careful person keeps in the plain job.
        pool: all edits; `main` names those of script 0 in order, with "back N" for the text after edit N.
        settings: parameters of the job for the measurement, as `--set` takes them; the plain job has the same.
    """

    name: str
    kept: tuple[str, ...]
    pool: tuple[Edit, ...]
    main: tuple[str, ...]
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Version:
    """The texts after an edit, the current names of the plain job's kept results, and the settings of both jobs.

    Attributes:
        kind: of the edit, "first" or "back".
    """

    edit: str
    kind: str
    job: str
    plain: str
    keys: Mapping[str, str]
    settings: Mapping[str, str]

    @property
    def options(self) -> list[str]:
        """The settings as options of the command line."""
        return [word for name, value in self.settings.items() for word in ("--set", f"{name}={value}")]


def workload_named(name: str) -> Workload:
    """Return the workload of a job."""
    head, *edits = Path(__file__).with_name(f"{name}.txt").read_text().split("\n=== ")
    fields = _fields(head)
    settings = dict(setting.split("=", 1) for setting in fields.get("settings", ()))
    return Workload(name, fields["kept"], tuple(map(_edit, edits)), fields["main"], settings)


def _fields(text: str) -> dict[str, tuple[str, ...]]:
    return {name: tuple(values.split(", ")) for name, values in _FIELD.findall(text.partition("\n--- ")[0])}


def _edit(text: str) -> Edit:
    fields = _fields(text)
    changes = {(which, old): new for which, body in sections(text) for old, new in replacements(body)}
    return Edit(text.partition("\n")[0], fields["kind"][0], changes, fields.get("stale", ()))


def original_texts(name: str) -> dict[str, str]:
    """Return the texts of a job and of the plain one, by "job" and "plain"."""
    return {
        "job": (ROOT / "jobs" / f"{name}.py").read_text(),
        "plain": (ROOT / "benchmarks" / "plain" / f"plain_{name}.py").read_text(),
    }


def versions(workload: Workload, script: int) -> Iterator[Version]:
    """Give the texts of a script, first the unedited ones.

    Raises:
        EditError: an edit does not fit.
    """
    texts, pool = original_texts(workload.name), {edit.name: edit for edit in workload.pool}
    history: list[dict[tuple[str, str], Edit]] = [{}]  # the edit of each place
    yield _version("as it is", "first", workload, texts, {})
    for name in order(workload, script):
        if name.startswith("back "):
            places, kind = history[int(name.removeprefix("back "))], "back"
        else:
            places, kind = {**history[-1], **dict.fromkeys(pool[name].changes, pool[name])}, pool[name].kind
        history.append(places)
        yield _version(name, kind, workload, texts, places)


def _version(
    name: str, kind: str, workload: Workload, originals: Mapping[str, str], places: Mapping[tuple[str, str], Edit]
) -> Version:
    texts = dict(originals)
    for (which, old), edit in places.items():
        if texts[which].count(old) != 1:
            raise EditError(f"{workload.name}, {name}: {texts[which].count(old)} times in the {which} text: {old!r}")
        texts[which] = texts[which].replace(old, edit.changes[which, old])
    stale = {edit.name: edit.stale for edit in places.values()}
    keys = {
        kept: "-".join([kept, *(edit for edit in sorted(stale) if kept in stale[edit])]).replace(" ", "_")
        for kept in workload.kept
    }
    return Version(name, kind, texts["job"], texts["plain"], keys, workload.settings)


def order(workload: Workload, script: int) -> Sequence[str]:
    """Return the names of a script's edits: 0 is the main one, others are drawn by their number as the seed."""
    return workload.main if script == 0 else draw(workload, script)


def draw(workload: Workload, seed: int) -> list[str]:
    """Draw ten edits: first the kind, then an edit of it that was not made yet; some go back."""
    chance = random.Random(f"{workload.name} {seed}")
    unused = {kind: [edit.name for edit in workload.pool if edit.kind == kind] for kind in KINDS}
    names: list[str] = []
    while len(names) < LENGTH:
        if len(names) >= 3 and chance.random() < BACK_SHARE:
            names.append(f"back {chance.randrange(1, len(names) - 1)}")
            continue
        kind = chance.choice([kind for kind in KINDS if unused[kind]])
        names.append(unused[kind].pop(chance.randrange(len(unused[kind]))))
    return names
