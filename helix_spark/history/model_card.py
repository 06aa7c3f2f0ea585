"""Model cards: what is recorded of models, stored or not, and shown without Spark: classes, weights, histories."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from helix_spark.catalog.places.json_text import Finite, parsed_as
from helix_spark.catalog.records import FileRecord, ResultRecord

if TYPE_CHECKING:
    from helix_spark.catalog.catalog_reader import CatalogReader

MOST_WEIGHTS, MOST_COLUMNS, MOST_LABELS, MOST_STEPS, MOST_PARTS = 200, 12, 100, 500, 40
"""Limits of what a card holds."""

_LARGEST, _DEEPEST = 256 << 10, 6


@dataclass(frozen=True, slots=True)
class ModelCard:
    """A fitted model in plain values.

    Attributes:
        kind: name of its class.
        parameters: name, value as text, and True if it was set explicitly; those come first.
        figures: numbers of the model: trees, clusters, steps, the best score of a search.
        columns: headings of a slot's values: one weight, or one for each class or cluster.
        weights: name and values of each slot, the heaviest first.
        slots: count of slots, also those that are not in `weights`.
        history: objective after each step of training.
        labels: learned categories or words.
        parts: models of a pipeline or a search, in order.
    """

    kind: str
    parameters: tuple[tuple[str, str, bool], ...] = ()
    figures: tuple[tuple[str, Finite], ...] = ()
    columns: tuple[str, ...] = ()
    weights: tuple[tuple[str, tuple[Finite, ...]], ...] = ()
    slots: int = 0
    history: tuple[Finite, ...] = ()
    labels: tuple[str, ...] = ()
    parts: tuple[ModelCard, ...] = ()

    def text(self) -> str:
        """Return the card as JSON.

        >>> card = ModelCard("KMeansModel", slots=3, parts=(ModelCard("PCAModel"),))
        >>> card_from(card.text()) == card
        True
        """
        return json.dumps(asdict(self))

    def record(self, name: str) -> FileRecord | None:
        """Return the card as a record for a node, which is stored once for each content; None if it is too large."""
        text = self.text()
        if len(text) > _LARGEST:
            return None
        return FileRecord(sha256(text.encode()).hexdigest(), f"{name[:200]}.model.json", text)


def card_from(text: str) -> ModelCard | None:
    """Parse what `ModelCard.text` wrote; None for anything else, since catalogs are untrusted input.

    >>> card_from('{"kind": 3}') is None
    True
    """
    try:
        card = parsed_as(text, ModelCard) if len(text) <= _LARGEST else None
    except ValueError:
        return None
    return card if card is not None and _is_valid(card, _DEEPEST) else None


def _is_valid(card: ModelCard, deepest: int) -> bool:
    """Return whether each slot has a value in each column, and models are nested at most so deep."""
    return (
        deepest > 0 and all(len(values) == len(card.columns) for _, values in card.weights)
        and all(_is_valid(part, deepest - 1) for part in card.parts)
    )


def card_of(signature: str, records: CatalogReader) -> ModelCard | None:
    """Return the recorded card of the fit with this signature; None without one. Raises CatalogError."""
    record = records.results((), [signature]).measured.get(signature) if signature else None
    return None if record is None else recorded_card(record, records)


def recorded_card(record: ResultRecord, records: CatalogReader) -> ModelCard | None:
    """Return the card to which a record refers; None without one. Raises CatalogError."""
    return card_from(records.file_text(record.trained) or "") if record.trained else None
