"""What starting Spark costs, and how likely the next iteration is to have to. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from statistics import fmean

USUAL_START = 2.5
"""Seconds that a start is taken for until one is on record; about what a small machine takes."""

REMEMBERED_STARTS = 5
"""How many of the latest starts count: machines change, and one slow start says little."""

_FIRST_WORK, _FIRST_WORK_AT_MOST = 1.2, 10.0
"""What the first work of a new session takes longer, whatever it is, as a share of the session's start: both load
classes and compile. Iterations in processes of their own took about 3 s (census, flights, genomics; starts of about
2.5 s) and 8 s (flights, where a start took 6.5 s) longer than the start and `costs.model.with_warm_up` explain. A start
that waits for a cluster says nothing of that, so it is bounded (seconds)."""

_ONE_RUN = {True: 0.9, False: 0.1, None: 0.5}
"""Probability that the next iteration runs in a process of its own while nothing is on record; worth one iteration."""


def start_price(starts: Sequence[float]) -> float:
    """Seconds that an iteration takes longer because it has to start Spark.

    Args:
        starts: seconds of the starts on record, oldest first.

    >>> round(start_price([]), 2), round(start_price([6.0, 7.0]), 2), start_price([60.0])
    (5.5, 14.3, 70.0)
    """
    start = fmean(starts[-REMEMBERED_STARTS:]) if starts else USUAL_START
    return start + min(_FIRST_WORK * start, _FIRST_WORK_AT_MOST)


def fresh_process(writers: Sequence[str], one_run: bool | None) -> float:
    """Probability that the next iteration runs in another process than this one.

    Args:
        writers: the processes of the iterations so far, oldest first, this one's included.
        one_run: whether this process is for one run alone; None if nobody can say.

    >>> fresh_process(["a"], True), fresh_process(["a", "b", "c"], None), fresh_process(["a"] * 10, False)
    (0.9, 0.8333333333333334, 0.01)
    """
    pairs = [before != after for before, after in pairwise(writers)]
    return (_ONE_RUN[one_run] + sum(pairs)) / (1 + len(pairs))
