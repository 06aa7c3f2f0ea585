"""The verdicts as Markdown and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from benchmarks.edit_cases.verdicts import Verdict, summary

_SHOWN = 4


def markdown(verdicts: Sequence[Verdict], command: str, rows: int) -> str:
    """A table of all edits, what was wrong with which, and the count as the last line."""
    figures = summary(verdicts)
    lines = [
        "# Edits", "",
        f"`{command}`, on {rows:,} rows.", "",
        "Each edit is made to the text of a job and run in a warm session; then the text is put back and run again,",
        "which may compute nothing. Answers are compared with those of another session, which starts from scratch.",
        "Seconds are to the answer.", "",
        "| job | edit | ran | had to | verdict | going back | answer | second chance | seconds | from scratch |",
        "|---|---|---|---|---|---|---|---|---|---|",
        *(_row(verdict) for verdict in verdicts), "",
    ]
    remarks = [remark for verdict in verdicts for remark in _remarks(verdict)]
    if remarks:
        lines += ["Found:", "", *remarks, ""]
    lines += [
        f"Second chance: {figures['second_chances_seen']} of {figures['second_chances']} refactorings recognised by "
        "their query plans; what the others ran does not count as needless.", "",
    ]
    if figures["failed"] or figures["suspicious"]:
        lines += [f"{figures['failed']} failed, {figures['suspicious']} did to the answer what they should not.", ""]
    lines.append(
        f"{figures['edits']} edits: false reuse {figures['false_reuse']}, "
        f"needless recomputation {figures['needless_recomputation']}"
    )
    return "\n".join(lines)


def as_data(verdicts: Sequence[Verdict], command: str, rows: int) -> dict[str, Any]:
    """The same for programs."""
    return {"command": command, "rows": rows, **summary(verdicts), "cases": [_entry(verdict) for verdict in verdicts]}


def _row(verdict: Verdict) -> str:
    case = verdict.case
    cells = (
        case.job, case.name.replace("|", "\\|"), _names(verdict.ran), _names(case.must_run), _verdict(verdict),
        "failed" if verdict.error else _names(verdict.back or ()) if verdict.back else "all reused",
        "wrong" if verdict.wrong else "?" if verdict.error else "equal", verdict.second_chance,
        f"{verdict.seconds:.1f}", f"{verdict.scratch_seconds:.1f}",
    )
    return f"| {' | '.join(cells)} |"


def _verdict(verdict: Verdict) -> str:
    if verdict.error:
        return "failed"
    if verdict.false_reuse:
        return "**false reuse**"
    if verdict.needless_recomputation:
        return "needless"
    return "suspicious" if verdict.suspicious else "right"


def _remarks(verdict: Verdict) -> Iterable[str]:
    name = f"- {verdict.case.job}, {verdict.case.name}:"
    if verdict.error:
        yield f"{name} failed: {verdict.error.splitlines()[0]}"
    if verdict.missed:
        yield f"{name} not run: {_names(verdict.missed, len(verdict.missed))}"
    if verdict.wrong:
        yield f"{name} other than from scratch: {', '.join(verdict.wrong)}"
    for node, reason in (verdict.needless or {}).items():
        yield f"{name} `{node}` ran: {reason}"
    for node, reason in (verdict.back or {}).items():
        yield f"{name} going back, `{node}` ran: {reason}"
    if verdict.suspicious:
        yield f"{name} {verdict.suspicious}"


def _names(names: Iterable[str], shown: int = _SHOWN) -> str:
    known = sorted(names)
    if not known:
        return "nothing"
    return ", ".join(known[:shown]) + (f" and {len(known) - shown} more" if len(known) > shown else "")


def _entry(verdict: Verdict) -> Mapping[str, Any]:
    return {
        "job": verdict.case.job, "edit": verdict.case.name, "verdict": _verdict(verdict).strip("*"),
        "must_run": sorted(verdict.case.must_run), "ran": sorted(verdict.ran), "missed": sorted(verdict.missed),
        "needless": dict(verdict.needless or {}), "wrong": list(verdict.wrong), "back": dict(verdict.back or {}),
        "second_chance": verdict.second_chance, "suspicious": verdict.suspicious, "error": verdict.error,
        "seconds": round(verdict.seconds, 3), "scratch_seconds": round(verdict.scratch_seconds, 3),
        "warnings": list(verdict.warnings),
    }
