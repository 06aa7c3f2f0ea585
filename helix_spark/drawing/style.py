"""The look of a drawn graph: one text of CSS, for a page's own sheet or inside the picture.

Colours are variables that a page may set. A state never shows by colour alone: it has a sign in the box, and its
own line around the box.
"""

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

STYLE = """
.hx-graph {
  --hx-ink: #1f2328; --hx-faint: #59636e; --hx-paper: #ffffff; --hx-line: #b1b8c0;
  --hx-compute: #a04100; --hx-compute-paper: #fff1e5; --hx-load: #0a57b0; --hx-load-paper: #e8f2fd;
  --hx-failed: #b3181f; --hx-failed-paper: #ffebe9; --hx-good: #13692c; --hx-good-paper: #e3f6e7;
  --hx-changed: #7a5200; --hx-changed-paper: #fff6d6;
  font: 13px/1.2 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
}
.hx-graph text { fill: var(--hx-ink); }
.hx-graph .hx-small { font-size: 11px; fill: var(--hx-faint); }
.hx-graph .hx-sign { font-weight: 700; text-anchor: middle; }
.hx-graph .hx-box { fill: var(--hx-paper); stroke: var(--hx-line); stroke-width: 1.25; }
.hx-graph .hx-behind { stroke-width: 1; opacity: .6; }
.hx-graph .hx-edge { fill: none; stroke: var(--hx-line); stroke-width: 1.25; }
.hx-graph .hx-tip { fill: var(--hx-line); stroke: none; }
.hx-graph .hx-fading { stroke-dasharray: 4 3; }
.hx-graph .hx-drum { fill: var(--hx-paper); stroke: var(--hx-ink); stroke-width: 1.25; }
.hx-graph .hx-drum-top { fill: none; }
.hx-graph .hx-evicted .hx-drum, .hx-graph .hx-evicted .hx-drum-top { stroke: var(--hx-faint); stroke-dasharray: 2 2; }
.hx-graph .hx-strike { stroke: var(--hx-faint); stroke-width: 1.5; }
.hx-graph .hx-compute .hx-box, .hx-graph .hx-running .hx-box {
  fill: var(--hx-compute-paper); stroke: var(--hx-compute); stroke-width: 2; }
.hx-graph .hx-compute .hx-sign, .hx-graph .hx-running .hx-sign { fill: var(--hx-compute); }
.hx-graph .hx-load .hx-box { fill: var(--hx-load-paper); stroke: var(--hx-load); }
.hx-graph .hx-load .hx-sign { fill: var(--hx-load); }
.hx-graph .hx-prune .hx-box, .hx-graph .hx-waiting .hx-box { stroke-dasharray: 3 3; }
.hx-graph .hx-prune text, .hx-graph .hx-waiting text, .hx-graph .hx-same text { fill: var(--hx-faint); }
.hx-graph .hx-failed .hx-box { fill: var(--hx-failed-paper); stroke: var(--hx-failed); stroke-width: 2.5; }
.hx-graph .hx-failed .hx-sign { fill: var(--hx-failed); }
.hx-graph .hx-died .hx-box {
  fill: var(--hx-failed-paper); stroke: var(--hx-failed); stroke-width: 2; stroke-dasharray: 10 3 2 3; }
.hx-graph .hx-died .hx-sign { fill: var(--hx-failed); }
.hx-graph .hx-added .hx-box { fill: var(--hx-good-paper); stroke: var(--hx-good); stroke-width: 2; }
.hx-graph .hx-added .hx-sign { fill: var(--hx-good); }
.hx-graph .hx-removed .hx-box {
  fill: var(--hx-failed-paper); stroke: var(--hx-failed); stroke-width: 1.5; stroke-dasharray: 6 3; }
.hx-graph .hx-removed .hx-sign { fill: var(--hx-failed); }
.hx-graph .hx-changed .hx-box { fill: var(--hx-changed-paper); stroke: var(--hx-changed); stroke-width: 2; }
.hx-graph .hx-changed .hx-sign { fill: var(--hx-changed); }
.hx-graph .hx-affected .hx-box { stroke: var(--hx-changed); stroke-dasharray: 2 2; stroke-width: 1.5; }
.hx-graph .hx-affected .hx-sign { fill: var(--hx-changed); }
.hx-graph .hx-drawn .hx-box { stroke: var(--hx-changed); stroke-dasharray: 6 2 2 2; stroke-width: 1.5; }
.hx-graph .hx-drawn .hx-sign { fill: var(--hx-changed); }
.hx-graph .hx-edited .hx-small { fill: var(--hx-changed); font-weight: 700; }
.hx-graph a { text-decoration: none; cursor: pointer; }
.hx-graph a:hover .hx-box { stroke: var(--hx-ink); }
.hx-graph a:focus-visible { outline: none; }
.hx-graph a:focus-visible .hx-box { stroke: var(--hx-ink); stroke-width: 3; stroke-dasharray: none; }
@media (prefers-color-scheme: dark) {
  .hx-graph {
    --hx-ink: #e6edf3; --hx-faint: #9aa4af; --hx-paper: #161b22; --hx-line: #4b545e;
    --hx-compute: #f0a35e; --hx-compute-paper: #33210f; --hx-load: #79b8ff; --hx-load-paper: #10243d;
    --hx-failed: #ff8f8a; --hx-failed-paper: #3c1618; --hx-good: #63d182; --hx-good-paper: #11301b;
    --hx-changed: #e3c052; --hx-changed-paper: #332a0c;
  }
}
""".strip()
