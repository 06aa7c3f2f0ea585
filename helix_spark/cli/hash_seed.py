"""Starts a command anew under a fixed hash seed: Python orders sets of texts by it, and draws one for each process."""

from __future__ import annotations

import os
import sys
from pathlib import Path

_RUN_CODE = frozenset({"audit", "explain", "plan", "run", "watch"})
"""Verbs that run an author's code, or look at what it builds."""

_COMMANDS = frozenset({"helix", "helix.exe"})


def _is_main(script: Path) -> bool:
    """Whether this process runs a file, whatever its arguments say."""
    own = getattr(sys.modules["__main__"], "__file__", None)
    return own is not None and Path(own).is_file() and Path(own).samefile(script)


def fix_hash_seed(script: Path | None = None) -> None:
    """Starts this process anew, unless its hash seed is given or nothing that it does depends on it. Does nothing where
    the process is somebody else's: a notebook, a test.

    Args:
        script: the file that runs itself; None for the command `helix`.
    """
    if os.environ.get("PYTHONHASHSEED", "random") != "random":
        return
    running = Path(sys.argv[0]) if sys.argv and sys.argv[0] else None
    if running is None or not sys.orig_argv[1:]:
        return
    if script is None:
        ours = running.name in _COMMANDS or running.parts[-2:] == ("helix_spark", "__main__.py")
        if not ours or sys.argv[1:2] == [] or sys.argv[1] not in _RUN_CODE:
            return
    elif not _is_main(script):
        return
    os.environ["PYTHONHASHSEED"] = "0"
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
