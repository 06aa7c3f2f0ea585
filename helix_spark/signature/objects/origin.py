"""Whose code something is: the project's own, Python's, or an installed distribution's, and of which version.

Project code is everything that is neither in the standard library nor in a site-packages folder; it is followed.
All other code is identified by name and version.
"""

from __future__ import annotations

import hashlib
import importlib.util
import re
import sys
import sysconfig
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from types import FunctionType

from helix_spark.signature.parts import FORMAT

MINOR_ONLY = frozenset({"pyspark", "delta-spark"})
"""Distributions whose patch releases do not change results on purpose; counting them would redo everything."""

_SITES = frozenset({"site-packages", "dist-packages"})
_HERE = Path(__file__).resolve().parents[2]
_STDLIB = tuple({str(Path(sysconfig.get_path(name)).resolve()) for name in ("stdlib", "platstdlib")})


@dataclass(frozen=True, slots=True)
class Package:
    """Code identified by version: ``Package("numpy", "2.4.1")``."""

    name: str
    version: str


PYTHON = Package("python", f"{sys.version_info.major}.{sys.version_info.minor}")


_first_read: dict[tuple[Callable[..., Package], tuple[object, ...]], Package] = {}
"""By what reads it, and of what."""

_replaced: dict[tuple[str, str], str] = {}
_looked_at: dict[str, int] = {}
"""When the folders of installed packages had changed last, by the time that was last looked at."""


def package_of_file(filename: str, module: str | None) -> Package | None:
    """The package a code object belongs to, by the file it was compiled from; None for project code.

    Args:
        filename: `co_filename`.
        module: the module whose globals it sees; decides where the file is none (``<string>``).
    """
    if filename.startswith("<frozen"):
        return PYTHON
    if filename.startswith("<"):
        return package_of_module(module) if module else None
    return _package_of_path(filename)


def package_of_function(function: FunctionType) -> Package | None:
    """The package that the code of a function belongs to; None for project code."""
    return package_of_file(function.__code__.co_filename, function.__globals__.get("__name__"))


@cache
def is_project_file(filename: str) -> bool:
    """Whether `package_of_file` finds no package for a file that is there, without asking which one it is: to find that
    out for the thousand modules of a process takes most of a second.

    >>> import json
    >>> is_project_file(json.__file__)
    False
    """
    path = Path(filename)
    return _is_project_folder(str(path.resolve().parent if path.is_symlink() else path.parent))


@cache
def _is_project_folder(name: str) -> bool:
    return _is_project(Path(name).resolve() / "file")


def _is_project(path: Path) -> bool:
    """Whether a resolved file is neither ours, nor installed, nor Python's."""
    return not (
        path.is_relative_to(_HERE) or _site_folder(path) is not None
        or any(path.is_relative_to(folder) for folder in _STDLIB)
    )


def package_of_module(name: str | None) -> Package | None:
    """The package a module belongs to, whether it is imported or not; None for project code.

    >>> package_of_module("json.decoder") == PYTHON
    True
    """
    if not name or name == "__main__":
        return None
    top = name.partition(".")[0]
    module = sys.modules.get(name) or sys.modules.get(top)
    if module is None:
        return _package_of_missing(top)
    file = getattr(module, "__file__", None) or next(iter(getattr(module, "__path__", ())), None)
    if isinstance(file, str):
        return _package_of_path(file)
    return PYTHON if top in sys.stdlib_module_names else None


def as_first_read(read: Callable[..., Package], *of: object) -> Package:
    """What a function read of an installed package when this process first asked, as what it imported is of then."""
    if (read, of) not in _first_read:
        _first_read[read, of] = read(*of)
    return _first_read[read, of]


def replaced() -> Mapping[tuple[str, str], str]:
    """Packages that were replaced since this process first asked for them: the version that is there now, by name and
    the version that was. What was imported stays; what is imported afterwards, by a worker of Spark's or by a reload,
    is the new one. So nobody knows which of them a function runs, not even once the old version is put back."""
    now = _changes_of_sites()
    if now != _looked_at:
        for (read, of), package in list(_first_read.items()):
            if (found := _read_again(read, of)) != package:
                _replaced[package.name, package.version] = "another" if found is None else found.version
        _looked_at.clear()
        _looked_at.update(now)
    return dict(_replaced)


def _changes_of_sites() -> dict[str, int]:
    """When something was put into each folder of installed packages, or taken out of it, as by each installation."""
    sites = [folder for folder in dict.fromkeys(sys.path) if Path(folder).name in _SITES and Path(folder).is_dir()]
    return {folder: Path(folder).stat().st_mtime_ns for folder in sites}


def _read_again(read: Callable[..., Package], of: tuple[object, ...]) -> Package | None:
    try:
        return read(*of)
    except (OSError, ImportError, AttributeError, TypeError):  # it is being replaced: metadata is half written
        return None


def _package_of_missing(top: str) -> Package | None:
    """The package of a module that is not imported, without importing it."""
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    if spec.origin in ("built-in", "frozen"):
        return PYTHON
    file = spec.origin or next(iter(spec.submodule_search_locations or ()), None)
    return _package_of_path(file) if file else None


@cache
def _package_of_path(filename: str) -> Package | None:
    path = Path(filename).resolve()
    if _is_project(path):
        return None
    if path.is_relative_to(_HERE):
        return Package("helix_spark", str(FORMAT))
    site = _site_folder(path)
    if site is None:
        return PYTHON
    return as_first_read(_distribution, site, path.relative_to(site).parts[0].partition(".")[0])


def _site_folder(path: Path) -> Path | None:
    return next((folder for folder in path.parents if folder.name in _SITES), None)


def _distribution(site: Path, top: str) -> Package:
    names = _distribution_names(site, top)
    if not names:
        return Package(top, _content_version(site, top))
    versions = {name.lower().replace("_", "-"): _version(name) for name in names}
    if len(versions) == 1:
        return Package(*versions.popitem())
    # Which of them a module came with only their lists of files say, and nothing says it of one not imported yet.
    return Package(top, ", ".join(f"{name} {version}" for name, version in sorted(versions.items())))


def _distribution_names(site: Path, top: str) -> list[str]:
    """The distributions that provide a top-level name: several may share a folder, as those of ``google`` do."""
    try:
        named = metadata.distribution(top)
    except metadata.PackageNotFoundError:
        named = None
    # Most are called as what they provide. Asking who provides what reads all there is: 100 ms.
    provides = named is not None and top in (named.read_text("top_level.txt") or top).split()
    own = [said_of(named, "Name")] if named is not None and provides else []
    if own and not _may_be_shared(site / top):
        return own
    return sorted({name for name in (*own, *metadata.packages_distributions().get(top, ())) if name})


def said_of(found: metadata.Distribution, key: str) -> str:
    """What the metadata of a distribution say under a key that they begin with. To parse all of them takes milliseconds
    where a licence is part of them.

    >>> said_of(metadata.distribution("numpy"), "Name")
    'numpy'
    """
    line = re.search(rf"^{key}:[ \t]*(\S+)[ \t]*$", found.read_text("METADATA") or "", re.MULTILINE)
    return line[1] if line is not None else found.metadata[key]


def _may_be_shared(folder: Path) -> bool:
    """Whether it is a folder without an ``__init__.py``, to which any distribution may add."""
    return folder.is_dir() and not (folder / "__init__.py").exists()


def _version(name: str) -> str:
    """The version of an installed distribution, by minor version where that is what counts.

    What was installed from a repository, a folder or a file (it has a ``direct_url.json``) may be other code under the
    same version: a digest of what its RECORD says of its code is added. That lists hashes, so no other file is read.
    """
    found = metadata.distribution(name)
    minor_only = name.lower().replace("_", "-") in MINOR_ONLY
    full = said_of(found, "Version")
    version = ".".join(full.split(".")[:2]) if minor_only else full
    if found.read_text("direct_url.json") is None:
        return version
    # Scripts have the folder of their interpreter in them, and what is said of the installation says where it was from.
    listed = (found.read_text("RECORD") or "").splitlines()
    code = [line for line in listed if not (line.startswith("../") or ".dist-info/" in line or "__pycache__/" in line)]
    total = hashlib.sha256("\n".join(sorted(code)).encode())
    return f"{version} {total.hexdigest()[:12]}"


def _content_version(site: Path, top: str) -> str:
    """For a package that was put there without metadata: a digest of its files, 12 hex characters."""
    files = sorted([*site.glob(f"{top}.*"), *(path for path in (site / top).rglob("*") if path.suffix != ".pyc")])
    total = hashlib.sha256()
    for path in files:
        if path.is_file():
            total.update(str(path.relative_to(site)).encode() + b"\0" + path.read_bytes())
    return total.hexdigest()[:12]
