"""Signs and words of what a drawn graph shows, and its look.

Colours are variables that a page may set. A state never shows by colour alone: it has a sign in the box, and its
own line around the box.
"""

from importlib.resources import files

SIGNS = {
    "compute": "▶", "load": "↓", "prune": "○", "failed": "✕", "running": "…", "waiting": "·", "added": "+",
    "removed": "\u2212", "changed": "≠", "affected": "≈", "drawn": "↻", "same": "=", "died": "†",
}
"""What stands in the box before its label."""

WORDS = {
    "compute": "computed", "load": "loaded", "prune": "not needed", "failed": "failed", "running": "running",
    "waiting": "not run yet", "added": "added", "removed": "removed", "changed": "changed",
    "affected": "changed through its inputs", "drawn": "drawn anew", "same": "the same",
    "died": "was running when it died",
}
"""The same in words, for legends and for those who listen."""

PROOFS = {
    "verified": "an audit computed it again, and it came out the same",
    "unproven": "no audit has computed it again yet (`helix audit`)",
    "chance": "it may be another one each time",
}
"""What is known of whether a result comes out the same when it is computed again."""

STYLE = (files("helix_spark.drawing") / "graph.css").read_text(encoding="utf-8").strip()
"""The look of a drawn graph, for a page's own sheet or inside the picture."""
