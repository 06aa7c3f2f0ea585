"""What a fit gave, as it goes on record: a model's class, parameters, weights, figures and history, so that it is
looked at without Spark, whether or not the model was stored."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from helix_spark.catalog.cells import is_like
from helix_spark.catalog.places.json_text import parsed
from helix_spark.catalog.records import FileRecord

if TYPE_CHECKING:
    from helix_spark.catalog.catalog_reader import CatalogReader

MOST_WEIGHTS, MOST_COLUMNS, MOST_LABELS, MOST_STEPS, MOST_PARTS = 200, 12, 100, 500, 40
"""At most on record of each."""

_LARGEST, _DEEPEST = 256 << 10, 6
_SHAPE = {
    "kind": str, "parameters": [(str, str, bool)], "figures": [(str, float)], "columns": [str],
    "weights": [(str, [float])], "slots": int, "history": [float], "labels": [str], "parts": [{str: object}],
}


@dataclass(frozen=True, slots=True)
class ModelCard:
    """A fitted model in plain values.

    Attributes:
        kind: the name of its class.
        parameters: name, value as text, and whether somebody set it; those that were set first.
        figures: what it says of itself: trees, clusters, steps, the best score of a search.
        columns: heads of what each slot has: one weight, or one a class or cluster.
        weights: a slot's name and its values, the heaviest first.
        slots: how many slots there are, shown or not.
        history: the objective after each step of its training.
        labels: what it learned by heart: categories, words.
        parts: of a pipeline or a search, its models in order.
    """

    kind: str
    parameters: tuple[tuple[str, str, bool], ...] = ()
    figures: tuple[tuple[str, float], ...] = ()
    columns: tuple[str, ...] = ()
    weights: tuple[tuple[str, tuple[float, ...]], ...] = ()
    slots: int = 0
    history: tuple[float, ...] = ()
    labels: tuple[str, ...] = ()
    parts: tuple[ModelCard, ...] = ()

    def text(self) -> str:
        """Return its text for the record.

        >>> card = ModelCard("KMeansModel", slots=3, parts=(ModelCard("PCAModel"),))
        >>> card_from(card.text()) == card
        True
        """
        return json.dumps(asdict(self))

    def record(self, name: str) -> FileRecord | None:
        """Return it as the record of that node, which exists once for each content; None for one that is too large."""
        text = self.text()
        if len(text) > _LARGEST:
            return None
        return FileRecord(sha256(text.encode()).hexdigest(), f"{name[:200]}.model.json", text)


def card_from(text: str) -> ModelCard | None:
    """Return what `ModelCard.text` wrote; None for anything else, for a catalog may be from anybody.

    >>> card_from('{"kind": 3}') is None
    True
    """
    try:
        return _card(parsed(text), _DEEPEST) if len(text) <= _LARGEST else None
    except ValueError:
        return None


def _card(found: Any, deepest: int) -> ModelCard | None:
    if not deepest or not isinstance(found, dict) or not is_like({**found, "parts": []}, _SHAPE):
        return None
    inside = found.get("parts")
    parts = [_card(one, deepest - 1) for one in inside] if isinstance(inside, list) else [None]
    if None in parts or any(len(values) != len(found["columns"]) for _, values in found["weights"]):
        return None
    return ModelCard(
        found["kind"], tuple((name, value, is_set) for name, value, is_set in found["parameters"]),
        tuple((name, value) for name, value in found["figures"]), tuple(found["columns"]),
        tuple((name, tuple(values)) for name, values in found["weights"]), found["slots"], tuple(found["history"]),
        tuple(found["labels"]), tuple(part for part in parts if part is not None),
    )


def card_of(signature: str, known: CatalogReader) -> ModelCard | None:
    """Return what is on record of the fit of this signature; None where there is nothing. Raises CatalogError."""
    record = known.results((), [signature]).measured.get(signature) if signature else None
    if record is None or not record.trained:
        return None
    return card_from(known.file_text(record.trained) or "")
