"""Scripts of edits: what people change in a job, as old text and new text, of three kinds in a mix.

An edit replaces a place of the *original* text of the job, and the corresponding place of the same job written in plain
PySpark. Another edit of that place takes the place of the first, and going back restores what the text was then; so
edits make sense in any order, and scripts can be drawn at random.

The mix: of script 0's ten edits three prepare data, three learn, three look at results, and one goes back to an earlier
text, because something that was tried did not help. Xin et al. ("How Developers Iterate on Machine Learning Workflows",
arXiv 1803.10311) estimate from applied papers that all three kinds are part of how people work, in shares that differ
from one field to another; no share stands for all fields, so each kind has the same. Helix's own evaluation (PVLDB
12(4), section 6) draws the kind first and then the edit within it, and so do the drawn scripts here. That people go
back is not in the survey, whose papers report what was kept; one in ten is a guess.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["first", "preparation", "learning", "post-processing", "back"]
Change = tuple[str, str]

KINDS: tuple[Kind, ...] = ("preparation", "learning", "post-processing")
BACK_SHARE = 0.1
LENGTH = 10
DRAWN = (1, 2, 3, 4, 5)
"""Seeds of the scripts that are drawn; script 0 is the one that was thought out."""


@dataclass(frozen=True, slots=True)
class Edit:
    """One edit of a job.

    Attributes:
        job, plain: places of the original texts and what to put there.
        stale: the kept results of the plain job that the edit makes stale; who names a file after what is in it has
            to see this without help.
    """

    name: str
    kind: Kind
    job: tuple[Change, ...]
    plain: tuple[Change, ...]
    stale: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Workload:
    """A job to be edited.

    Attributes:
        name: of the job's module, and of the plain one.
        kept: results that a careful person keeps in the plain job.
        settings: parameters of the job for the measurement, as `--set` takes them; the plain job has the same.
        pool: all edits; `main` names those of script 0 in order, with "back N" for the text after edit N.
    """

    name: str
    kept: tuple[str, ...]
    pool: tuple[Edit, ...]
    main: tuple[str, ...]
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Version:
    """The texts after an edit, what the plain job's kept results are called now, and the settings of both jobs."""

    edit: str
    kind: Kind
    job: str
    plain: str
    keys: Mapping[str, str]
    settings: Mapping[str, str]


class EditError(Exception):
    """A place that an edit is about is not in the text once."""


def versions(workload: Workload, script: int, job: str, plain: str) -> Iterator[Version]:
    """The texts, first the unedited ones.

    Raises:
        EditError: an edit does not fit.
    """
    made: dict[tuple[str, str], tuple[str, Edit]] = {}
    history = [dict(made)]
    yield _version("as it is", "first", workload, job, plain, made)
    for name in order(workload, script):
        if name.startswith("back "):
            made, kind = dict(history[int(name.removeprefix("back "))]), "back"
        else:
            edit = next(edit for edit in workload.pool if edit.name == name)
            made, kind = {**made, **_places(edit)}, edit.kind
        history.append(dict(made))
        yield _version(name, kind, workload, job, plain, made)  # type: ignore[arg-type]  # one of the kinds


def order(workload: Workload, script: int) -> Sequence[str]:
    """The names of a script's edits: 0 is the main one, others are drawn by their number as the seed."""
    return workload.main if script == 0 else draw(workload, script)


def draw(workload: Workload, seed: int) -> list[str]:
    """Ten edits at random: first the kind, then an edit of it that was not made yet; some go back."""
    chance = random.Random(f"{workload.name} {seed}")
    left = {kind: [edit.name for edit in workload.pool if edit.kind == kind] for kind in KINDS}
    chosen: list[str] = []
    while len(chosen) < LENGTH:
        if len(chosen) >= 3 and chance.random() < BACK_SHARE:
            chosen.append(f"back {chance.randrange(1, len(chosen) - 1)}")
            continue
        kind = chance.choice([kind for kind in KINDS if left[kind]])
        chosen.append(left[kind].pop(chance.randrange(len(left[kind]))))
    return chosen


def _places(edit: Edit) -> dict[tuple[str, str], tuple[str, Edit]]:
    """What an edit puts where: (which text, old text) -> (new text, the edit)."""
    changes = [("job", change) for change in edit.job] + [("plain", change) for change in edit.plain]
    return {(which, old): (new, edit) for which, (old, new) in changes}


def _version(
    name: str, kind: Kind, workload: Workload, job: str, plain: str, made: Mapping[tuple[str, str], tuple[str, Edit]]
) -> Version:
    texts = {"job": job, "plain": plain}
    for (which, old), (new, _) in made.items():
        if texts[which].count(old) != 1:
            raise EditError(f"{workload.name}, {name}: {texts[which].count(old)} times in the {which} text: {old!r}")
        texts[which] = texts[which].replace(old, new)
    active = {edit.name: edit for _, edit in made.values()}
    keys = {
        kept: "-".join([kept, *(one for one in sorted(active) if kept in active[one].stale)]).replace(" ", "_")
        for kept in workload.kept
    }
    return Version(name, kind, texts["job"], texts["plain"], keys, dict(workload.settings))
