"""What the commands say: every line goes through here, or through `printing.console`, so that no text of other people's
tells the terminal what to do."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from helix_spark.visible_text import visible


def hush() -> None:
    """Keep traces of errors that are told anyway out of the terminal."""
    for name in ("py4j", "DataFrameQueryContextLogger"):  # they write traces of what is raised besides
        logging.getLogger(name).setLevel(logging.CRITICAL)
    logging.getLogger().addFilter(_is_not_py4js)  # py4j says some of it to everybody's logger


def _is_not_py4js(record: logging.LogRecord) -> bool:
    return Path(record.pathname).parent.name != "py4j"


def say(text: str = "", *, to_stderr: bool = False) -> None:
    """Print a text, at once."""
    stream = sys.stderr if to_stderr else sys.stdout
    print(visible(text, getattr(stream, "encoding", None) or "utf-8"), file=stream, flush=True)
