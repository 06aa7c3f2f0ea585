"""How many fits of a search run at a time. A fit of little data leaves cores idle between its many small jobs: where
its author says nothing of `parallelism`, as many run side by side as this machine has cores."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from functools import wraps
from typing import Any

MOST_BYTES = 256 << 20
"""Of the data that a search is made of. What is larger keeps all cores busy by itself, and takes room for each fit."""

MOST_FITS = 8

_PLAIN: dict[type, Any] = {}


def spread_searches(fits_at_a_time: Callable[[Any], int]) -> None:
    """Run the fits of pyspark's searches side by side from now on."""
    from pyspark.ml.classification import OneVsRest
    from pyspark.ml.tuning import CrossValidator, TrainValidationSplit

    kinds: tuple[Any, ...] = (CrossValidator, TrainValidationSplit, OneVsRest)
    for kind in kinds:
        kind._fit = _spread(_PLAIN.setdefault(kind, kind._fit), fits_at_a_time)


def _spread(fit: Callable[[Any, Any], Any], fits_at_a_time: Callable[[Any], int]) -> Callable[[Any, Any], Any]:
    from pyspark.ml.param import Params

    @wraps(fit)
    def spread(search: Any, dataset: Any) -> Any:
        # A search within a search runs in a thread of the outer one's.
        is_outermost = threading.current_thread() is threading.main_thread()
        if is_outermost and not search.isSet(search.parallelism) and is_sparks(search):
            # `search.copy` would copy the estimator, too, which the fitted model holds; models have no `parallelism`.
            search = Params.copy(search, {search.parallelism: fits_at_a_time(dataset)})
        return fit(search, dataset)
    return spread


def is_sparks(stage: Any) -> bool:
    """Return whether a stage, and all in it, is Spark's own: what is written in Python may not be able to run in
    parallel."""
    from pyspark.ml.param import Params

    values = stage.extractParamMap().values()
    parts = [one for value in values for one in (value if isinstance(value, list) else [value])]
    is_own = re.fullmatch(r"pyspark\.ml\.\w+", type(stage).__module__) is not None  # what is deeper is Python's
    return is_own and all(is_sparks(one) for one in parts if isinstance(one, Params))


def cores_of(master: str, machine: int) -> int:
    """Return how many fits may run at a time beside a master; 1 if it is not on this machine.

    >>> [cores_of(one, 4) for one in ("local", "local[2]", "local[*]", "local[2, 3]", "spark://host:7077")]
    [1, 2, 4, 2, 1]
    """
    found = re.match(r"local\[(\d+|\*)", master)
    if found is None:
        return 1
    return min(machine if found[1] == "*" else int(found[1]), MOST_FITS)
