"""What `verify`, `gc`, `repair` and `audit` print: findings in, text or JSON's types out."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from helix_spark.catalog.leftovers import Leftover
from helix_spark.catalog.repair import Repair
from helix_spark.catalog.verification import Verification
from helix_spark.errors import ParameterError
from helix_spark.sizes import format_seconds, format_size

if TYPE_CHECKING:
    from helix_spark.run.audit import Audit

_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def parse_grace(text: str) -> float:
    """Seconds of a time such as "10m"; a bare number is seconds.

    Raises ParameterError for anything else.

    >>> parse_grace("10m"), parse_grace("3d"), parse_grace("0")
    (600.0, 259200.0, 0.0)
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd]?)", text.strip())
    if found is None:
        raise ParameterError(f"{text!r} is not a time", remedy="write a number and s, m, h or d, such as 24h")
    return float(found[1]) * _SECONDS[found[2] or "s"]


def verify_text(found: Verification) -> str:
    """A line for each result that is not sound, and what was looked at."""
    lines = [f"  {finding}" for finding in found.findings if finding.verdict != "sound"]
    looked = "every page and checksum" if found.deep else "logs, sizes and footers; --deep reads every page"
    counts = Counter(finding.verdict for finding in found.findings)
    told = ", ".join(f"{counts[verdict]} {verdict}" for verdict in ("sound", "partly checked", "not reached", "damaged")
                     if counts[verdict])
    lines.append(f"{len(found.findings)} stored results: {told or 'none'} ({looked})")
    lines.append(f"{found.iterations} iterations recorded")
    if found.answers:
        older = f", {found.older_answers} of them without a digest, which are requested again"
        lines.append(f"{found.answers} answers recorded{older if found.older_answers else ''}")
    lines += [f"  a record does not fit: {why}" for why in found.rejections]
    if any(finding.bad for finding in found.findings):
        lines.append("damaged results are never used: a run that needs one puts it aside and computes it again")
    return "\n".join(lines)


def verify_json(found: Verification) -> dict[str, Any]:
    """The same for programs."""
    return {
        "sound": found.sound, "deep": found.deep, "iterations": found.iterations, "left_out": list(found.rejections),
        "results": [
            {
                "workflow": each.record.workflow, "iteration": each.record.iteration, "node": each.record.node,
                "kind": each.record.kind, "signature": each.record.signature, "bytes": each.record.bytes,
                "verdict": each.verdict, "why": each.why,
            }
            for each in found.findings
        ],
    }


def gc_text(leftovers: Sequence[Leftover], *, dry_run: bool) -> str:
    """A line a folder, and the sum."""
    lines = []
    for each in leftovers:
        folder = f"{each.attempt.kind} {each.attempt.signature[:12]}/{each.attempt.attempt[:8]}"
        lines.append(f"  {format_size(each.bytes):>8}  {folder}  {each.why}")
    done = "would be deleted" if dry_run else "deleted"
    total = format_size(sum(each.bytes for each in leftovers))
    folders = "1 folder" if len(leftovers) == 1 else f"{len(leftovers)} folders"
    lines.append(f"{folders}, {total}, {done}" if leftovers else "nothing to delete")
    return "\n".join(lines)


def gc_json(leftovers: Sequence[Leftover], *, dry_run: bool) -> dict[str, Any]:
    """The same for programs."""
    return {
        "deleted": not dry_run, "bytes": sum(each.bytes for each in leftovers),
        "leftovers": [
            {
                "kind": each.attempt.kind, "signature": each.attempt.signature, "attempt": each.attempt.attempt,
                "path": str(each.attempt.path), "bytes": each.bytes, "why": each.why,
            }
            for each in leftovers
        ],
    }


def repair_text(found: Repair) -> str:
    """Return what is damaged, what is taken up again, and what is lost."""
    if not found.is_needed:
        return "nothing to repair"
    lines = []
    for title, sentences in (
        ("damaged:", found.damage),
        ("taken up again:" if found.done else "would be taken up again:", found.saved),
        ("lost:" if found.done else "would be lost:", found.lost),
    ):
        if sentences:
            lines += [title, *(f"  {sentence}" for sentence in sentences)]
    if not found.lost:
        lines.append("nothing is lost")
    if found.aside:
        lines.append(f"what was unsound lies in {found.aside}")
    lines.append("repaired" if found.done else "nothing was changed; `helix repair` does this")
    return "\n".join(lines)


def repair_json(found: Repair) -> dict[str, Any]:
    """The same for programs."""
    return {
        "needed": found.is_needed, "repaired": found.done, "damage": list(found.damage), "saved": list(found.saved),
        "lost": list(found.lost), "lost_history": found.lost_history, "aside": found.aside or None,
    }


def audit_text(found: Audit, what: str) -> str:
    """A line for each result that is not verified, and what was looked at.

    Args:
        what: was computed again.
    """
    lines = []
    for one in found.results:
        if one.verdict != "verified":
            lines.append(f"  {one.node}: {one.verdict}: {one.why}")
        if one.heirs:
            lines.append(f"    never reused again, nor what is made of it: {', '.join(one.heirs)}")
    counts = Counter(one.verdict for one in found.results)
    told = ", ".join(f"{counts[one]} {one}" for one in ("verified", "different", "not compared") if counts[one])
    lines.append(f"{len(found.results)} {what} computed again in {format_seconds(found.seconds)} s"
                 + (f": {told}" if told else ""))
    if found.verified:
        lines.append(f"verified before: {', '.join(found.verified)} (--all looks again)")
    if found.left:
        lines.append(f"not looked at within the time: {', '.join(found.left)}")
    return "\n".join(lines)


def audit_json(found: Audit) -> dict[str, Any]:
    """The same for programs."""
    return {
        "sound": found.sound, "seconds": found.seconds, "verified": list(found.verified), "left": list(found.left),
        "results": [
            {"node": one.node, "signature": one.signature, "verdict": one.verdict, "why": one.why,
             "to_blame": one.to_blame, "heirs": list(one.heirs)}
            for one in found.results
        ],
    } | ({"error": found.ended} if found.ended else {})
