"""What starting Spark and its first work cost, and how likely the next iteration runs in a process of its own."""

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
classes and compile. Iterations in processes of their own took at least 3 s (census, flights, genomics; starts of about
2.5 s) and 8 s (flights, where a start took 6.5 s) longer than the start explains. A start that waits for a cluster says
nothing of that, so it is bounded (seconds)."""

_UNTOLD = {False: 0.1, None: 0.5}
"""Probability that the next iteration runs in a process of its own while nothing is on record, by whether this process
is for one run alone; worth one iteration."""

_FRESHNESS = 0.7
"""Weight of what the process of an iteration was against that of the one after it, half forgotten after two. A guess:
people change from runs of their own to a session, or back, in one step, and stay with it for a while."""


def start_seconds(starts: Sequence[float]) -> float:
    """Return seconds that starting Spark is expected to take.

    Args:
        starts: seconds of the starts on record, oldest first.

    >>> start_seconds([]), start_seconds([6.0, 7.0])
    (2.5, 6.5)
    """
    return fmean(starts[-REMEMBERED_STARTS:]) if starts else USUAL_START


def session_seconds(starts: Sequence[float], *, runs: bool = False, worked: bool = False) -> float:
    """Return seconds that an iteration takes longer if it needs Spark. Argument as for `start_seconds`.

    Args:
        runs: True if Spark is started.
        worked: True if its session has run something.

    >>> session_seconds([], runs=True), session_seconds([60.0], runs=True), round(session_seconds([6.0, 7.0]), 2)
    (3.0, 10.0, 14.3)
    """
    start = start_seconds(starts)
    first_work = min(_FIRST_WORK * start, _FIRST_WORK_AT_MOST)
    return (0.0 if runs else start) + (0.0 if worked else first_work)


def fresh_process(writers: Sequence[str], one_run: bool | None) -> float:
    """Return probability that the next iteration runs in another process than this one.

    A process that is for one run alone ends after it. Of others it is told from what the iterations so far did, the
    newest first.

    Args:
        writers: the processes of the iterations so far, oldest first, this one's included.
        one_run: whether this process is for one run alone; None if nobody can say.

    >>> fresh_process(["a", "a"], True), fresh_process(["a", "b"], None), round(fresh_process(["a"] * 10, False), 3)
    (1.0, 0.75, 0.024)
    """
    if one_run:
        return 1.0
    weight = differed = 0.0
    for before, after in pairwise(writers):
        weight, differed = _FRESHNESS * weight + 1.0, _FRESHNESS * differed + float(before != after)
    return (_UNTOLD[one_run] + differed) / (1.0 + weight)
