"""The tallies as Markdown and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.faults.elsewhere import ELSEWHERE
from tests.faults.row import Fault, Tally

_SHOWN = 3


def as_data(
    faults: Sequence[Fault], tallies: Mapping[str, Tally], command: str, earlier: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """All rows in the order of the table.

    Args:
        earlier: rows of an earlier run, for faults that were not injected now.
    """
    before = {row["fault"]: row for row in earlier}
    rows = [
        _row(each, tallies[each.name]) if each.name in tallies else before[each.name]
        for each in faults if each.name in tallies or each.name in before
    ]
    return {
        "command": command, "rows": rows,
        "injected": sum(row["injected"] for row in rows), "right": sum(row["right"] for row in rows),
        "not_injected": [each.name for each in faults if each.name not in tallies and each.name not in before],
    }


def _row(each: Fault, tally: Tally) -> dict[str, Any]:
    return {
        "fault": each.name, "expected": each.expected, "injected": tally.injected, "right": tally.right,
        "note": tally.note, "wrong": tally.wrong[:_SHOWN], "seconds": round(tally.seconds, 1),
    }


def markdown(data: Mapping[str, Any]) -> str:
    """A table of all faults, what was wrong with which, and the sum as the last line."""
    lines = [
        "# Faults", "", f"`{data['command']}`", "",
        "An injection is right if no wrong answer was given, nothing that was stored or recorded was lost that could",
        "be saved, nothing hung, and the catalog is usable afterwards, by itself or after one `helix repair`. A",
        "refusal of a catalog that people would have lost is wrong. Rows of processes end early where their time is",
        "over.", "",
        "| fault | must happen | injected | right | seconds | figures |", "|---|---|---|---|---|---|",
        *(
            f"| {row['fault']} | {row['expected']} | {row['injected']} | {row['right']} | {row['seconds']:.0f} "
            f"| {row['note']} |" for row in data["rows"]
        ),
        "",
    ]
    for row in data["rows"]:
        lines += [f"- wrong, {row['fault']}: {text}" for text in row["wrong"]]
    if data["not_injected"]:
        lines += ["", f"Not injected: {'; '.join(data['not_injected'])}."]
    lines += ["", "Faults that are no row here:", "", *(f"- {each}" for each in ELSEWHERE)]
    lines += ["", f"{data['injected']} injected, {data['right']} right"]
    return "\n".join(lines)
