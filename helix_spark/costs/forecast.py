"""Forecast of the next edit: probabilities from priors by kind of node and from the workflow's own history.

Pure: names, kinds and past edits in, `Prospect`s out, without costs or storage.

People do not edit their workflows uniformly. They work in one of three phases (data preparation, learning,
post-processing), in proportions that differ between fields (Xin et al., "How Developers Iterate on Machine Learning
Workflows", arXiv 1803.10311; PVLDB 12(4), section 6, also draws the phase first). Within a phase a few nodes get most
edits. So the forecast has two levels, the phase and the node within it. Both are Dirichlet: past edits are added to
pseudo-counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

PHASES: Mapping[str, str] = {
    "source": "preparation", "scanner": "preparation", "extractor": "preparation", "synthesizer": "preparation",
    "learner": "learning", "predict": "learning", "reducer": "post-processing",
}
"""Phase by kind of node; other kinds count as preparation."""

PHASE_PRIOR = 1.0
"""Pseudo-edits of a phase: Laplace's prior, under which every mix of the phases is equally likely."""

NODE_PRIOR = 0.5
"""Pseudo-edits of a node within its phase: Jeffreys' prior, which leans to few nodes with most of the edits."""

KIND_WEIGHT: Mapping[str, float] = {"source": 0.3, "predict": 0.3}
"""Factor on `NODE_PRIOR`. Sources and predictions have little to edit; growing data is a prospect of its own."""

FRESHNESS = 0.97
"""Weight of an edit relative to the next one; it halves in 23 iterations."""

PRIOR_STRENGTH = 4.0
RERUN_PRIOR, BACK_PRIOR, GROWTH_PRIOR = 0.03, 0.06, 0.03
"""Prior shares of iterations that edit nothing, that go back to an earlier iteration, and that find grown data. They
weigh `PRIOR_STRENGTH` iterations in all, so a workflow's own counts soon outweigh them."""

BEST_SHARE = 0.5
"""Share of returns that go to the best iteration; the others go to the previous one (an undo)."""


@dataclass(frozen=True, slots=True)
class Edit:
    """The change between two iterations.

    Attributes:
        hit: names of the nodes whose own definition changed.
        back: True if an earlier iteration came back.
        grew: True if only sources changed.
    """

    hit: frozenset[str] = frozenset()
    back: bool = False
    grew: bool = False


@dataclass(frozen=True, slots=True)
class Prospect:
    """A possible next iteration.

    Attributes:
        probability: its probability; those of all prospects sum to 1.
        hit: names of the nodes that lose their results, with everything downstream.
        label: a description.
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
        kinds: kinds of the current version's nodes, by name.
        history: edits so far, newest last. Other nodes are ignored.
        best: number of the best earlier iteration, if it is known and differs from the current version.
        previous: number of the previous iteration, if it differs from the current version.

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
"""Signatures and names of inputs of an iteration's nodes, by name."""


def edits(iterations: Sequence[Signed], kinds: Mapping[str, str]) -> tuple[Edit, ...]:
    """Return the edits between each iteration and the next, from their signatures.

    A node was hit if its signature changed but its inputs' did not. (If both changed, the node may be edited too, but
    only the input matters: everything downstream of it is lost.) If only sources were hit, the data grew.

    Args:
        iterations: signed iterations, oldest first.
        kinds: known kinds by node name.

    >>> first = {"rows": ("r1", ()), "model": ("m1", ("rows",))}
    >>> second = {"rows": ("r1", ()), "model": ("m2", ("rows",))}
    >>> [(sorted(edit.hit), edit.back) for edit in edits([first, second, second, first], {})]
    [(['model'], False), ([], False), ([], True)]
    """
    result, earlier = list[Edit](), set[frozenset[tuple[str, str]]]()
    signed = [frozenset((name, signature) for name, (signature, _) in nodes.items()) for nodes in iterations]
    for index, (before, after) in enumerate(pairwise(iterations)):
        changed = {name for name, (signature, _) in after.items() if before.get(name, ("",))[0] != signature}
        hit = frozenset(name for name in changed if changed.isdisjoint(after[name][1]))
        if hit and signed[index + 1] in earlier:
            result.append(Edit(back=True))
        else:
            result.append(Edit(hit, grew=bool(hit) and all(kinds.get(name) == "source" for name in hit)))
        earlier.add(signed[index])
    return tuple(result)


def horizon(iterations: int) -> float:
    """Return the number of further iterations to plan for after a number of iterations.

    After n iterations about n more follow (Gott, Nature 363, 1993: without other knowledge, the present is a random
    moment of the total time). At least 8, because a new workflow is usually edited; at most 30, because few results
    stay valid for longer.

    >>> horizon(1), horizon(12), horizon(500)
    (8.0, 12.0, 30.0)
    """
    return float(min(30, max(8, iterations)))


@dataclass(slots=True)
class _Counts:
    """Counts of past edits by event, node and set of nodes, weighed by freshness."""

    events: dict[str, float] = field(default_factory=dict)
    nodes: dict[str, float] = field(default_factory=dict)
    several: dict[frozenset[str], float] = field(default_factory=dict)

    def add(self, edit: Edit, kinds: Mapping[str, str], weight: float) -> None:
        """Count an edit. An edit of several nodes counts as an event of its own and for each node."""
        hit = frozenset(edit.hit & kinds.keys())
        event = "back" if edit.back else "grew" if edit.grew else "edit" if edit.hit else "rerun"
        if event == "edit" and len(hit) > 1:
            event = "several"
            self.several[hit] = self.several.get(hit, 0.0) + weight
        if event in ("edit", "several"):
            for name in hit:
                self.nodes[name] = self.nodes.get(name, 0.0) + weight / len(hit)
        self.events[event] = self.events.get(event, 0.0) + weight

    def shares(self, *, grows: bool, back: bool) -> dict[str, float]:
        """Return the probability of each event."""
        prior = {"rerun": RERUN_PRIOR, "several": 0.0}
        prior |= {"grew": GROWTH_PRIOR} if grows else {}
        prior |= {"back": BACK_PRIOR} if back else {}
        prior["edit"] = 1 - sum(prior.values())
        counts = {event: PRIOR_STRENGTH * share + self.events.get(event, 0.0) for event, share in prior.items()}
        return {event: count / sum(counts.values()) for event, count in counts.items()}

    def node_shares(self, kinds: Mapping[str, str]) -> dict[str, float]:
        """Return the probability that an edit hits each node: that of its phase, times that of the node within it."""
        phases: dict[str, list[str]] = {}
        for name, kind in kinds.items():
            phases.setdefault(PHASES.get(kind, "preparation"), []).append(name)
        counts = {phase: sum(self.nodes.get(name, 0.0) for name in names) for phase, names in phases.items()}
        total = sum(counts.values()) + PHASE_PRIOR * len(phases)
        shares: dict[str, float] = {}
        for phase, names in phases.items():
            prior = {name: NODE_PRIOR * KIND_WEIGHT.get(kinds[name], 1.0) for name in names}
            for name in names:
                within = (prior[name] + self.nodes.get(name, 0.0)) / (sum(prior.values()) + counts[phase])
                shares[name] = (PHASE_PRIOR + counts[phase]) / total * within
        return shares


def _edited(hit: frozenset[str], probability: float) -> Prospect:
    names = " and ".join(f"`{name}`" for name in sorted(hit))
    return Prospect(probability, hit, f"{names} {'is' if len(hit) == 1 else 'are'} edited")
