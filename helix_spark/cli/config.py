"""What the commands are set to, and by whom: arguments, then the environment, then the project, then defaults."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from helix_spark.errors import ParameterError, nearest

DEFAULTS: Mapping[str, str | None] = {
    "catalog": "catalog", "budget": None, "policy": "joint", "mlflow": None, "cut_off": "on",
    "audit": "idle", "audit_seconds": "60", "server": "auto", "server_idle": "900",
    "server_memory": "0.25", "keep_small": "16 MiB", "retention.iterations": None, "retention.days": None,
    "shared": None,
}
"""Every setting that a project or the environment may give."""

_NUMBERS = frozenset({
    "budget", "audit_seconds", "server_idle", "server_memory", "keep_small", "retention.iterations", "retention.days",
})
"""Those that a project may give as whole numbers, too."""

TABLE = "helix_spark"
"""The table ``[tool.helix_spark]`` of a project's pyproject.toml."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting; `origin` says in words where it was given."""

    name: str
    value: str | None
    origin: str


def settings_for(start: Path, arguments: Mapping[str, str | None], environ: Mapping[str, str]) -> dict[str, Setting]:
    """Return all settings, by name: of a command's arguments, the environment, or the nearest pyproject.toml above a
    file or folder. Raises ParameterError if that cannot be read, or has a setting that there is not."""
    folder = start.resolve() if start.is_dir() else start.resolve().parent
    candidates = (parent / "pyproject.toml" for parent in (folder, *folder.parents))
    file = next((one for one in candidates if one.is_file()), None)
    project = _project_settings(file) if file else {}
    found = {}
    for name, default in DEFAULTS.items():
        variable = f"HELIX_{name.upper().replace('.', '_')}"
        given = (
            (arguments.get(name), f"argument --{name.replace('_', '-')}"),
            (environ.get(variable) or None, f"environment {variable}"),
            (project.get(name), f"[tool.{TABLE}] in {file}"), (default, "default"),
        )
        value, origin = next((one for one in given if one[0] is not None), (None, "default"))
        found[name] = Setting(name, value, origin)
    return found


def _project_settings(file: Path) -> dict[str, str]:
    try:
        tools = tomllib.loads(file.read_text()).get("tool", {})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise ParameterError(f"{file} cannot be read: {error}", remedy="mend it, or say the settings as arguments") \
            from error
    if "helix-spark" in tools:  # the distribution's name, by which other tools call their tables
        raise ParameterError(f"nothing reads the table [tool.helix-spark] in {file}", remedy=f"write [tool.{TABLE}]")
    found = {}
    table = tools.get(TABLE, {})
    inner = {f"{name}.{key}": each for name, one in table.items() if isinstance(one, dict) for key, each in one.items()}
    for name, value in ({name: one for name, one in table.items() if not isinstance(one, dict)} | inner).items():
        if name not in DEFAULTS:
            raise ParameterError(f"there is no setting {name!r}, which {file} has", remedy=nearest(name, DEFAULTS))
        if name == "shared":
            several = value.split(",") if isinstance(value, str) else value
            if isinstance(several, list) and all(isinstance(one, str) for one in several):
                value = ",".join(_from_project(file, one.strip()) for one in several if one.strip())
        if not isinstance(value, str) and (name not in _NUMBERS or type(value) is not int):
            raise ParameterError(f"the setting {name!r} in {file} is some text, not {value!r}")
        found[name] = str(value)
    if "catalog" in found:
        found["catalog"] = _from_project(file, found["catalog"])
    return found


def _from_project(file: Path, catalog: str) -> str:
    """Return a catalog as a project's file names it: the project's, wherever a command is given."""
    return catalog if "://" in catalog else str(file.parent / catalog)
