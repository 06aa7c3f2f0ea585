"""What will be edited next: probabilities from priors by kind of node and from the workflow's own history.

Pure: names, kinds and past edits in, `Prospect`s out. It does not know what nodes cost, nor what is stored.

People do not edit their workflows uniformly: work on a workflow moves between data preparation, learning and
post-processing, and some nodes are never touched again (Xin et al., "How Developers Iterate on Machine Learning
Workflows", arXiv 1803.10311; PVLDB 12(4), section 6.3, draws its iterations from such frequencies). So each node has a
Dirichlet pseudo-count from its kind, to which the edits seen so far are added.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

PRIOR_STRENGTH = 4.0
"""Pseudo-edits that the priors weigh. With 4, what a person did in the last few iterations outweighs the priors after
about as many; a larger one learns a habit too late, a smaller one takes a first edit for a habit."""

KIND_WEIGHT: Mapping[str, float] = {
    "source": 0.3, "scanner": 1.0, "extractor": 1.0, "synthesizer": 1.0, "learner": 2.5, "predict": 0.2, "reducer": 2.0,
}
"""Relative prior frequency of an edit to one node of a kind. A workflow has many extractors, one or two learners and a
few reducers, so that these weights give each of the three phases (preparation, learning, post-processing) a share
between a quarter and a half. Sources and predictions are rarely edited: there is little to edit in them."""

DEFAULT_WEIGHT = 1.0
"""Of a kind that is not listed."""

FRESHNESS = 0.97
"""Weight of an edit against the one that followed it: half is forgotten in 23 iterations, as work moves on."""

RERUN_PRIOR, BACK_PRIOR, GROWTH_PRIOR = 0.03, 0.06, 0.03
"""Prior shares of iterations that edit nothing, that go back to an earlier iteration, and that find grown data. Rare,
but not never: the counts of a workflow that is run daily on new data soon outweigh them."""

BEST_SHARE = 0.5
"""Of the iterations that go back: to the best one; the others go to the one just before (an undo)."""


@dataclass(frozen=True, slots=True)
class Edit:
    """What happened between two iterations.

    Attributes:
        hit: names of the nodes whose own definition changed; empty if none did.
        back: whether it brought an earlier iteration back.
        grew: whether a source had new data.
    """

    hit: frozenset[str] = frozenset()
    back: bool = False
    grew: bool = False


@dataclass(frozen=True, slots=True)
class Prospect:
    """A possible next iteration.

    Attributes:
        probability: of all prospects, summing to 1.
        hit: the nodes that lose their results, with everything downstream.
        label: in words.
        back_to: the number of the earlier iteration that comes back, or None.
    """

    probability: float
    hit: frozenset[str]
    label: str
    back_to: int | None = None


def forecast(
    kinds: Mapping[str, str],
    history: Sequence[Edit] = (),
    *,
    best: int | None = None,
    previous: int | None = None,
) -> tuple[Prospect, ...]:
    """The possible next iterations and their probabilities.

    Args:
        kinds: kind of each node of the current version, by name.
        history: edits so far, newest last. Nodes that are gone are ignored.
        best: number of the best earlier iteration, where one is known and differs from the current version.
        previous: number of the iteration before this one, where it differs from the current version.

    >>> edits = [Edit(frozenset({"model"}))] * 4
    >>> for prospect in forecast({"rows": "scanner", "model": "learner"}, edits):
    ...     print(f"{prospect.probability:.2f} {prospect.label}")
    0.78 `model` is edited
    0.18 `rows` is edited
    0.02 nothing is edited
    0.02 the data grows
    """
    counts = _prior(kinds, going_back=best is not None or previous is not None)
    for age, edit in enumerate(reversed(history)):
        _count(counts, edit, kinds, FRESHNESS**age)
    total = sum(counts.values())
    if not total:
        return ()
    prospects: list[Prospect] = []
    for (what, hit), count in counts.items():
        prospects += _prospects(what, hit, count / total, best, previous)
    return tuple(sorted(prospects, key=lambda prospect: (-prospect.probability, prospect.label)))


def uniform(names: Iterable[str]) -> tuple[Prospect, ...]:
    """Every node is as likely as any other to be edited next, and nothing else happens.

    >>> [prospect.probability for prospect in uniform(["a", "b"])]
    [0.5, 0.5]
    """
    listed = list(names)
    return tuple(Prospect(1 / len(listed), frozenset({name}), f"`{name}` is edited") for name in listed)


def horizon(iterations: int) -> float:
    """How many further iterations to plan for, when so many have been.

    Work that has gone on for n iterations goes on for about n more (Gott, Nature 363, 1993: with no other knowledge,
    the present is a random moment of the whole). At least 3, because whoever runs a workflow for the first time is
    about to edit it; at most 30, after which nothing that is stored now is expected to be valid.

    >>> horizon(1), horizon(8), horizon(500)
    (3.0, 8.0, 30.0)
    """
    return float(min(30, max(3, iterations)))


Counts = dict[tuple[str, frozenset[str]], float]


def _prior(kinds: Mapping[str, str], going_back: bool) -> Counts:
    weights = {name: KIND_WEIGHT.get(kind, DEFAULT_WEIGHT) for name, kind in kinds.items()}
    special = {"rerun": RERUN_PRIOR, "grew": GROWTH_PRIOR, **({"back": BACK_PRIOR} if going_back else {})}
    edits = PRIOR_STRENGTH * (1 - sum(special.values())) / (sum(weights.values()) or 1.0)
    counts: Counts = {("edit", frozenset({name})): edits * weight for name, weight in weights.items()}
    sources = frozenset(name for name, kind in kinds.items() if kind == "source")
    if not sources:
        del special["grew"]
    for what, share in special.items():
        counts[what, sources if what == "grew" else frozenset()] = PRIOR_STRENGTH * share
    return counts


def _count(counts: Counts, edit: Edit, kinds: Mapping[str, str], weight: float) -> None:
    hit = frozenset(edit.hit & kinds.keys())
    what = "back" if edit.back else "grew" if edit.grew else "edit" if edit.hit else "rerun"
    if what == "edit":
        if hit:
            counts["edit", hit] = counts.get(("edit", hit), 0.0) + weight
        return
    for known in [key for key in counts if key[0] == what]:
        counts[known] += weight


def _prospects(
    what: str, hit: frozenset[str], probability: float, best: int | None, previous: int | None
) -> list[Prospect]:
    if what == "edit":
        names = " and ".join(f"`{name}`" for name in sorted(hit))
        return [Prospect(probability, hit, f"{names} {'is' if len(hit) == 1 else 'are'} edited")]
    if what == "rerun":
        return [Prospect(probability, hit, "nothing is edited")]
    if what == "grew":
        return [Prospect(probability, hit, "the data grows")]
    to_best = 0.0 if best is None else 1.0 if previous in (None, best) else BEST_SHARE
    back = [(best, to_best, "the best iteration"), (previous, 1 - to_best, "the iteration before")]
    return [
        Prospect(probability * share, hit, f"back to {which} ({number})", number)
        for number, share, which in back if number is not None and share
    ]
