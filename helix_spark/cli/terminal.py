"""What the commands say: every line goes through here, or through `tables.console`, so that no text that somebody else
wrote tells the terminal what to do."""

from __future__ import annotations

import sys

from helix_spark.visible_text import visible


def say(text: str = "", *, to_stderr: bool = False) -> None:
    """Prints a text, at once."""
    stream = sys.stderr if to_stderr else sys.stdout
    print(visible(text, getattr(stream, "encoding", None) or "utf-8"), file=stream, flush=True)
