"""Settings of commands and their origins: arguments, then the environment, then the project, then defaults."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
"""All settings that a project or the environment may set."""

TABLE = "helix_spark"
"""The table ``[tool.helix_spark]`` of a project's pyproject.toml."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting; `origin` is the text of where it was set."""

    name: str
    value: str | None
    origin: str


def settings_for(start: Path, arguments: Mapping[str, str | None], environ: Mapping[str, str]) -> dict[str, Setting]:
    """Return all settings by name, from a command's arguments, the environment, or the nearest pyproject.toml above
    `start`. Raises ParameterError if that file cannot be read, or has an unknown setting."""
    folder = start.resolve() if start.is_dir() else start.resolve().parent
    candidates = (parent / "pyproject.toml" for parent in (folder, *folder.parents))
    file = next((path for path in candidates if path.is_file()), None)
    project = _project_settings(file) if file else {}
    settings = {}
    for name, default in DEFAULTS.items():
        variable = f"HELIX_{name.upper().replace('.', '_')}"
        sources = (
            (arguments.get(name), f"argument --{name.replace('_', '-')}"),
            (environ.get(variable) or None, f"environment {variable}"),
            (project.get(name), f"[tool.{TABLE}] in {file}"), (default, "default"),
        )
        value, origin = next((source for source in sources if source[0] is not None), (None, "default"))
        settings[name] = Setting(name, value, origin)
    return settings


def _project_settings(file: Path) -> dict[str, str]:
    try:
        tools = tomllib.loads(file.read_text()).get("tool", {})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        remedy = "correct it, or give the settings as arguments"
        raise ParameterError(f"{file} cannot be read: {error}", remedy=remedy) from error
    if "helix-spark" in tools:  # the distribution's name, by which other tools call their tables
        raise ParameterError(f"nothing reads the table [tool.helix-spark] in {file}", remedy=f"write [tool.{TABLE}]")
    settings, flat = dict[str, str](), dict[str, Any]()
    for name, value in tools.get(TABLE, {}).items():
        flat |= {f"{name}.{key}": inner for key, inner in value.items()} if isinstance(value, dict) else {name: value}
    for name, value in flat.items():
        if name not in DEFAULTS:
            raise ParameterError(f"{file} has an unknown setting {name!r}", remedy=nearest(name, DEFAULTS))
        if name == "shared":
            catalogs = value.split(",") if isinstance(value, str) else value
            if isinstance(catalogs, list) and all(isinstance(catalog, str) for catalog in catalogs):
                value = ",".join(_from_project(file, catalog.strip()) for catalog in catalogs if catalog.strip())
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise ParameterError(f"the setting {name!r} in {file} must be text or a number, not {value!r}")
        settings[name] = str(value)
    if "catalog" in settings:
        settings["catalog"] = _from_project(file, settings["catalog"])
    return settings


def _from_project(file: Path, catalog: str) -> str:
    """Return the path of a catalog that a project's file names: relative to that file, not to the current folder."""
    return catalog if "://" in catalog else str(file.parent / catalog)
