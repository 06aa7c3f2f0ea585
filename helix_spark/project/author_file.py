"""Loads the author's file and builds its workflow with the parameters given on the command line."""

from __future__ import annotations

import glob
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

from helix_spark.errors import HelixError, Location, ParameterError, nearest
from helix_spark.identity.objects.origin import is_project_file
from helix_spark.loaded_sources import cache_no_fresh_bytecode, loading, note_load
from helix_spark.project.factory_arguments import arguments_of
from helix_spark.workflow.declared_at import caller
from helix_spark.workflow.functions import location_of
from helix_spark.workflow.workflow import Workflow

Factory = Callable[..., Workflow]

_FOLDERS_DEEP, _SHOWN_FILES = 2, 20
"""How far below a folder a file is looked for that is not in it, and how many files an error names."""


class NeedsSessionError(HelixError):
    """The file builds Spark objects while it is loaded, which takes a running session."""


def split_target(target: str) -> tuple[Path, str | None]:
    """File and function of a target such as ``jobs/census.py:census``.

    Raises:
        ParameterError: there is no such file, or it is a folder.
    """
    file, _, function = target.partition(":")
    path = Path(file)
    if path.is_dir():
        raise ParameterError(f"{file!r} is a folder, and a file is run", remedy=_files_of(path))
    if not path.is_file():
        raise ParameterError(f"there is no file {file!r}", remedy=_other_files(path))
    return path, function or None


def _other_files(path: Path) -> str:
    """Return what may be meant by a file that is not there: one of its name in a folder near by, else one of a similar
    name beside it."""
    folder = path.parent
    if not folder.is_dir():
        return f"there is no folder {str(folder)!r} either"
    pattern = f"{glob.escape(path.name.removesuffix('.py'))}.py"
    below = [one for depth in range(_FOLDERS_DEEP + 1) for one in sorted(folder.glob("*/" * depth + pattern))]
    seen = [str(one) for one in below if not any(part.startswith(".") for part in one.relative_to(folder).parts)]
    if seen:
        return f"did you mean {' or '.join(map(repr, seen[:_SHOWN_FILES]))}?"
    beside = sorted(str(one) for one in folder.glob("*.py"))
    return nearest(str(path), beside) if beside else _files_of(folder)


def _files_of(folder: Path) -> str:
    files = sorted(str(one) for one in folder.glob("*.py") if one.name != "__init__.py")
    if not files:
        return f"no Python file is in {str(folder.resolve())!r}; name the file that declares the workflow"
    return f"there are: {', '.join(files[:_SHOWN_FILES])}" + (", ..." if len(files) > _SHOWN_FILES else "")


def load_file(path: Path) -> ModuleType:
    """Run a file as a module of its own name; what it gives to `hx.main` is not run.

    Raises:
        NeedsSessionError: it builds Spark objects while it is loaded.
        HelixError: it fails; with the author's line.
    """
    for folder in (str(Path.cwd()), str(path.resolve().parent)):
        if folder not in sys.path:
            sys.path.insert(0, folder)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or not isinstance(spec.loader, SourceFileLoader):
        raise ParameterError(f"{path} is no Python file")
    loader, module = spec.loader, importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    cache_no_fresh_bytecode()

    def run() -> None:  # from its text, as Python runs a program's file: a cache may be older
        note_load(loader.path)
        exec(loader.source_to_code(loader.get_data(loader.path), loader.path), vars(module))

    with loading():
        authors_code(path, run)
    return module


def authors_code(path: Path, run: Callable[[], Any]) -> Any:
    """Run the author's code outside any node: at import, or when it declares the workflow."""
    try:
        return run()
    except HelixError:
        raise
    except Exception as error:  # the author's code may raise anything; it is chained, never dropped
        frames = traceback.extract_tb(error.__traceback__)
        folder = path.resolve().parent
        mine = [
            frame for frame in frames
            if _is_authors(frame.filename, path) and Path(frame.filename).resolve().is_relative_to(folder)
        ]
        if isinstance(error, SyntaxError) and error.filename and _is_authors(error.filename, path):
            where = Location(error.filename, error.lineno or 1)
        else:
            where = Location(mine[-1].filename, mine[-1].lineno or 1) if mine else Location(str(path), 1)
        if _wants_session(error, frames):
            raise NeedsSessionError(f"{path} builds Spark objects while it is loaded", where=where) from error
        raise HelixError(f"{path} cannot be loaded: {type(error).__name__}: {error}", where=where) from error


def _is_authors(filename: str, path: Path) -> bool:
    """Return whether code is of the author's file, or of another file of the project.

    Below a project's folder there may be an environment, whose libraries are not the author's; and what was compiled of
    a text (``<string>``) has no line that could be opened.
    """
    if filename.startswith("<"):
        return False
    return Path(filename).resolve() == path.resolve() or is_project_file(str(Path(filename).absolute()))


def _wants_session(error: Exception, frames: traceback.StackSummary) -> bool:
    """Classic PySpark fails in its own code, by assertion or by a named condition, where no session is active."""
    inside = bool(frames) and "pyspark" in Path(frames[-1].filename).parts
    condition = getattr(error, "getCondition", lambda: "")() or ""
    return inside and (isinstance(error, AssertionError) or "SESSION" in condition or "CONTEXT" in condition)


def find_factory(module: ModuleType, path: Path, function: str | None) -> Factory:
    """Return the function that builds the workflow: the named one, the one named as the file, or the only one that says
    it returns a Workflow; or a Workflow that the file holds.

    Raises:
        ParameterError: there is none, or a choice.
    """
    if function is not None:
        return _named(module, path, function)
    built = {name: value for name, value in vars(module).items() if isinstance(value, Workflow)}
    own = {name: v for name, v in vars(module).items() if inspect.isfunction(v) and v.__module__ == module.__name__}
    builders = {name: value for name, value in own.items() if _returned(value) == "Workflow"}
    silent = {name: value for name, value in own.items() if _returned(value) == ""}
    if path.stem in builders:
        return builders[path.stem]
    if len(builders) == 1 and not built:
        return next(iter(builders.values()))
    if len(built) == 1 and not builders:
        workflow = next(iter(built.values()))
        return lambda: workflow
    if path.stem in silent and not builders and not built:
        return silent[path.stem]
    unsaid = sorted(name for name in silent if not name.startswith("_"))
    raise _no_factory(path, sorted([*builders, *built]), unsaid)


def _named(module: ModuleType, path: Path, function: str) -> Factory:
    found = getattr(module, function, None)
    if isinstance(found, Workflow):
        return lambda: found
    if not callable(found):
        known = [name for name, value in vars(module).items() if inspect.isfunction(value)]
        raise ParameterError(f"{path} has no function {function!r}", remedy=nearest(function, known))
    made: Factory = found
    return made


def _returned(function: Callable[..., Any]) -> str:
    """Return the last name of what a function says it returns; empty if it says nothing."""
    annotation = function.__annotations__.get("return", "")
    named = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))
    return named.strip("'\"").split(".")[-1]


def _no_factory(path: Path, choice: Sequence[str], silent: Sequence[str]) -> ParameterError:
    """Return the error of a file of which it cannot be told what to run.

    Args:
        choice: names of what builds a workflow, or is one.
        silent: names of functions that do not say what they return.
    """
    if choice:
        return ParameterError(
            f"{path} declares several workflows", exists=f"there are: {', '.join(choice)}",
            remedy=f"say which: {path}:{choice[0]}",
        )
    if silent:
        return ParameterError(
            f"{path} declares no workflow", exists=f"functions that do not say what they return: {', '.join(silent)}",
            remedy=f"annotate the one that returns the workflow (def {silent[0]}(...) -> hx.Workflow), or name it: "
            f"{path}:{silent[0]}",
        )
    return ParameterError(f"{path} declares no workflow", remedy="write a function that returns a hx.Workflow")


def given_to_main(given: object) -> tuple[Factory, str, Path]:
    """Return what a file gave to `hx.main`: what builds the workflow, its name, and the file that it is in.

    Raises:
        ParameterError: it is neither a function, a partial of one, nor a workflow.
    """
    if isinstance(given, Workflow):
        workflow = given
        return (lambda: workflow), workflow.name, Path(workflow.where.file)
    function = given.func if isinstance(given, partial) else given
    where = location_of(function) if callable(function) else None
    if where is None or not callable(given):
        raise ParameterError(
            f"hx.main was given a {type(given).__name__}", where=caller(),
            remedy="give it the function that returns the workflow, a functools.partial of it, or a hx.Workflow",
        )
    return given, getattr(function, "__name__", "a workflow"), Path(where.file)


def build(factory: Factory, path: Path, settings: Sequence[str]) -> Workflow:
    """Return the workflow with parameters set as by ``NAME=VALUE``.

    Raises:
        ParameterError: a parameter that the function does not take, or a value of the wrong type.
        HelixError: the function fails.
    """
    arguments = arguments_of(factory, settings)
    workflow = authors_code(path, lambda: factory(**arguments))
    if not isinstance(workflow, Workflow):
        raise ParameterError(
            f"{getattr(factory, '__name__', 'the function')} returned a {type(workflow).__name__}, not a hx.Workflow",
            remedy="return the workflow",
        )
    return workflow
