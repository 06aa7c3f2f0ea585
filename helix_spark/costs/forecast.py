"""What will be edited next: probabilities from priors by kind of node and from the workflow's own history.

Pure: names, kinds and past edits in, `Prospect`s out. It does not know what nodes cost, nor what is stored.

People do not edit their workflows uniformly: work goes on in one of three phases (data preparation, learning,
post-processing), in proportions that differ from one field to another (Xin et al., "How Developers Iterate on Machine
Learning Workflows", arXiv 1803.10311; PVLDB 12(4), section 6, draws its iterations phase first), and within a phase a
few nodes get most of the edits. So the forecast has two levels: which phase, then which of its nodes. Both are
Dirichlet: pseudo-counts to which the edits seen so far are added.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

PHASES: Mapping[str, str] = {
    "source": "preparation", "scanner": "preparation", "extractor": "preparation", "synthesizer": "preparation",
    "learner": "learning", "predict": "learning", "reducer": "post-processing",
}
"""Phase by kind of node; a kind that is not listed counts as preparation."""

PHASE_PRIOR = 1.0
"""Pseudo-edits of a phase: Laplace's, under which every mix of the three is equally likely beforehand."""

NODE_PRIOR = 0.5
"""Pseudo-edits of a node within its phase: Jeffreys' prior, which leans to few nodes with most of the edits."""

KIND_WEIGHT: Mapping[str, float] = {"source": 0.3, "predict": 0.3}
"""Factor on `NODE_PRIOR`. There is little to edit in a source (its data may grow, which is a prospect of its own) and
in a prediction."""

FRESHNESS = 0.97
"""Weight of an edit against the one that followed it: half is forgotten in 23 iterations, as work moves on."""

PRIOR_STRENGTH = 4.0
RERUN_PRIOR, BACK_PRIOR, GROWTH_PRIOR = 0.03, 0.06, 0.03
"""Prior shares, worth `PRIOR_STRENGTH` iterations in all, of iterations that edit nothing, that go back to an earlier
iteration, and that find grown data. Rare, but not never: the counts of a workflow that runs daily on new data soon
outweigh them."""

BEST_SHARE = 0.5
"""Of the iterations that go back: to the best one; the others go to the one just before (an undo)."""


@dataclass(frozen=True, slots=True)
class Edit:
    """What happened between two iterations.

    Attributes:
        hit: names of the nodes whose own definition changed; empty if none did.
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
    kinds: Mapping[str, str], history: Sequence[Edit] = (), *, best: int | None = None, previous: int | None = None
) -> tuple[Prospect, ...]:
    """Return the possible next iterations and their probabilities.

    Args:
        kinds: kind of each node of the current version, by name.
        history: edits so far, newest last. Nodes that are gone are ignored.
        best: number of the best earlier iteration, where one is known and differs from the current version.
        previous: number of the iteration before this one, where it differs from the current version.

    >>> edits = [Edit(frozenset({"model"}))] * 4
    >>> for prospect in forecast({"rows": "scanner", "model": "learner"}, edits):
    ...     print(f"{prospect.probability:.2f} {prospect.label}")
    0.82 `model` is edited
    0.17 `rows` is edited
    0.02 nothing is edited
    """
    if not kinds:
        return ()
    counts = _Counts()
    for age, edit in enumerate(reversed(history)):
        counts.add(edit, kinds, FRESHNESS**age)
    shares = counts.shares(
        grows=any(kind == "source" for kind in kinds.values()), back=best is not None or previous is not None
    )
    prospects = [Prospect(shares["rerun"], frozenset(), "nothing is edited")]
    several = sum(counts.several.values())
    prospects += [_edited(hit, shares["several"] * (count / several)) for hit, count in counts.several.items()]
    prospects += [
        _edited(frozenset({name}), shares["edit"] * share) for name, share in counts.node_shares(kinds).items()
    ]
    if "grew" in shares:
        sources = frozenset(name for name, kind in kinds.items() if kind == "source")
        prospects.append(Prospect(shares["grew"], sources, "the data grows"))
    if "back" in shares:
        to_best = 0.0 if best is None else 1.0 if previous in (None, best) else BEST_SHARE
        targets = [(best, to_best, "the best iteration"), (previous, 1 - to_best, "the iteration before")]
        prospects += [
            Prospect(shares["back"] * share, frozenset(), f"back to {which} ({number})", number)
            for number, share, which in targets if number is not None and share
        ]
    likely = [prospect for prospect in prospects if prospect.probability > 0]
    return tuple(sorted(likely, key=lambda prospect: (-prospect.probability, prospect.label)))


Signed = Mapping[str, tuple[str, tuple[str, ...]]]
"""An iteration's nodes: name -> (signature, names of inputs)."""


def edits(iterations: Sequence[Signed], kinds: Mapping[str, str]) -> tuple[Edit, ...]:
    """Return the edits between each iteration and the next, by their signatures.

    A node was hit itself if its signature changed though its inputs' did not. (One that changed together with an input
    may have been edited, too; the input is what matters, as everything below it is lost.) When sources alone were hit,
    the data grew.

    Args:
        iterations: oldest first.
        kinds: by name, where known.

    >>> first = {"rows": ("r1", ()), "model": ("m1", ("rows",))}
    >>> second = {"rows": ("r1", ()), "model": ("m2", ("rows",))}
    >>> [(sorted(edit.hit), edit.back) for edit in edits([first, second, second, first], {})]
    [(['model'], False), ([], False), ([], True)]
    """
    found, earlier = list[Edit](), set[frozenset[tuple[str, str]]]()
    signed = [frozenset((name, signature) for name, (signature, _) in one.items()) for one in iterations]
    for at, (before, after) in enumerate(pairwise(iterations)):
        changed = {name for name, (signature, _) in after.items() if before.get(name, ("",))[0] != signature}
        hit = frozenset(name for name in changed if changed.isdisjoint(after[name][1]))
        if hit and signed[at + 1] in earlier:
            found.append(Edit(back=True))
        else:
            found.append(Edit(hit, grew=bool(hit) and all(kinds.get(name) == "source" for name in hit)))
        earlier.add(signed[at])
    return tuple(found)


def horizon(iterations: int) -> float:
    """Return how many further iterations to plan for, when so many have been.

    Work that has gone on for n iterations goes on for about n more (Gott, Nature 363, 1993: with no other knowledge,
    the present is a random moment of the whole). At least 8, because whoever runs a workflow for the first time is
    about to edit it; at most 30, after which little that is stored now is still valid.

    >>> horizon(1), horizon(12), horizon(500)
    (8.0, 12.0, 30.0)
    """
    return float(min(30, max(8, iterations)))


@dataclass(slots=True)
class _Counts:
    """What has happened, each iteration weighed by its freshness."""

    what: dict[str, float] = field(default_factory=dict)
    nodes: dict[str, float] = field(default_factory=dict)
    several: dict[frozenset[str], float] = field(default_factory=dict)

    def add(self, edit: Edit, kinds: Mapping[str, str], weight: float) -> None:
        """Count one edit. Several nodes hit at once are one event that may come again, and each was hit, too."""
        hit = frozenset(edit.hit & kinds.keys())
        what = "back" if edit.back else "grew" if edit.grew else "edit" if edit.hit else "rerun"
        if what == "edit" and len(hit) > 1:
            what = "several"
            self.several[hit] = self.several.get(hit, 0.0) + weight
        if what in ("edit", "several"):
            for name in hit:
                self.nodes[name] = self.nodes.get(name, 0.0) + weight / len(hit)
        self.what[what] = self.what.get(what, 0.0) + weight

    def shares(self, *, grows: bool, back: bool) -> dict[str, float]:
        """Return probability of each sort of iteration."""
        prior = {"rerun": RERUN_PRIOR, "several": 0.0}
        prior |= {"grew": GROWTH_PRIOR} if grows else {}
        prior |= {"back": BACK_PRIOR} if back else {}
        prior["edit"] = 1 - sum(prior.values())
        counts = {what: PRIOR_STRENGTH * share + self.what.get(what, 0.0) for what, share in prior.items()}
        return {what: count / sum(counts.values()) for what, count in counts.items()}

    def node_shares(self, kinds: Mapping[str, str]) -> dict[str, float]:
        """Return probability that an edit of one node hits each: of its phase, times that of the node within it."""
        phases: dict[str, list[str]] = {}
        for name, kind in kinds.items():
            phases.setdefault(PHASES.get(kind, "preparation"), []).append(name)
        seen = {phase: sum(self.nodes.get(name, 0.0) for name in names) for phase, names in phases.items()}
        total = sum(seen.values()) + PHASE_PRIOR * len(phases)
        shares: dict[str, float] = {}
        for phase, names in phases.items():
            prior = {name: NODE_PRIOR * KIND_WEIGHT.get(kinds[name], 1.0) for name in names}
            for name in names:
                within = (prior[name] + self.nodes.get(name, 0.0)) / (sum(prior.values()) + seen[phase])
                shares[name] = (PHASE_PRIOR + seen[phase]) / total * within
        return shares


def _edited(hit: frozenset[str], probability: float) -> Prospect:
    names = " and ".join(f"`{name}`" for name in sorted(hit))
    return Prospect(probability, hit, f"{names} {'is' if len(hit) == 1 else 'are'} edited")
