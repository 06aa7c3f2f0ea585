"""Loads the author's file and builds its workflow with the parameters given on the command line."""

from __future__ import annotations

import importlib.util
import inspect
import re
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType, NoneType, UnionType
from typing import Any, Union, get_args, get_origin

from helix_spark.errors import HelixError, Location, ParameterError, nearest
from helix_spark.workflow.workflow import Workflow

Factory = Callable[..., Workflow]


class NeedsSessionError(HelixError):
    """The file builds Spark objects while it is loaded, which takes a running session."""


def split_target(target: str) -> tuple[Path, str | None]:
    """File and function of a target such as ``jobs/census.py:census``.

    Raises:
        ParameterError: there is no such file.
    """
    file, _, function = target.partition(":")
    path = Path(file)
    if not path.is_file():
        known = sorted(str(one) for one in path.parent.glob("*.py")) if path.parent.is_dir() else []
        raise ParameterError(f"there is no file {file!r}", remedy=nearest(file, known))
    return path, function or None


def load_file(path: Path) -> ModuleType:
    """Runs a file as a module of its own name.

    Raises:
        NeedsSessionError: it builds Spark objects while it is loaded.
        HelixError: it fails; with the author's line.
    """
    for folder in (str(Path.cwd()), str(path.resolve().parent)):
        if folder not in sys.path:
            sys.path.insert(0, folder)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ParameterError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    authors_code(path, lambda: spec.loader.exec_module(module) if spec.loader else None)
    return module


def authors_code(path: Path, run: Callable[[], Any]) -> Any:
    """Runs the author's code outside any node: at import, or when it declares the workflow."""
    try:
        return run()
    except HelixError:
        raise
    except Exception as error:  # the author's code may raise anything; it is chained, never dropped
        frames = traceback.extract_tb(error.__traceback__)
        mine = [frame for frame in frames if Path(frame.filename).resolve().is_relative_to(path.resolve().parent)]
        if isinstance(error, SyntaxError) and error.filename:
            where = Location(error.filename, error.lineno or 1)
        else:
            where = Location(mine[-1].filename, mine[-1].lineno or 1) if mine else Location(str(path), 1)
        if _wants_session(error, frames):
            raise NeedsSessionError(f"{path} builds Spark objects while it is loaded", where=where) from error
        raise HelixError(f"{path} cannot be loaded: {type(error).__name__}: {error}", where=where) from error


def _wants_session(error: Exception, frames: traceback.StackSummary) -> bool:
    """Classic PySpark fails in its own code, by assertion or by a named condition, where no session is active."""
    inside = bool(frames) and "pyspark" in Path(frames[-1].filename).parts
    condition = getattr(error, "getCondition", lambda: "")() or ""
    return inside and (isinstance(error, AssertionError) or "SESSION" in condition or "CONTEXT" in condition)


def find_factory(module: ModuleType, path: Path, function: str | None) -> Factory:
    """The function that builds the workflow: the named one, the one named as the file, or the only one that says it
    returns a Workflow; or a Workflow that the file holds.

    Raises:
        ParameterError: there is none, or a choice.
    """
    if function is not None:
        found = getattr(module, function, None)
        if isinstance(found, Workflow):
            return lambda: found
        if not callable(found):
            known = [name for name, value in vars(module).items() if inspect.isfunction(value)]
            raise ParameterError(f"{path} has no function {function!r}", remedy=nearest(function, known))
        made: Factory = found
        return made
    built = {name: value for name, value in vars(module).items() if isinstance(value, Workflow)}
    builders = {name: v for name, v in vars(module).items() if inspect.isfunction(v) and _builds(v, module)}
    if path.stem in builders:
        return builders[path.stem]
    if len(builders) == 1 and not built:
        return next(iter(builders.values()))
    if len(built) == 1 and not builders:
        workflow = next(iter(built.values()))
        return lambda: workflow
    choice = sorted([*builders, *built])
    raise ParameterError(
        f"{path} declares {'several workflows' if choice else 'no workflow'}",
        exists=f"there are: {', '.join(choice)}" if choice else None,
        remedy=f"say which: {path}:{choice[0]}" if choice else "write a function that returns a hx.Workflow",
    )


def _builds(function: Callable[..., Any], module: ModuleType) -> bool:
    annotation = function.__annotations__.get("return")
    named = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")
    return function.__module__ == module.__name__ and named.split(".")[-1] == "Workflow"


def build(factory: Factory, path: Path, settings: Sequence[str]) -> Workflow:
    """The workflow with parameters set as by ``NAME=VALUE``.

    Raises:
        ParameterError: a parameter that the function does not take, or a value of the wrong type.
        HelixError: the function fails.
    """
    arguments = _arguments(factory, settings)
    workflow = authors_code(path, lambda: factory(**arguments))
    if not isinstance(workflow, Workflow):
        raise ParameterError(
            f"{getattr(factory, '__name__', 'the function')} returned a {type(workflow).__name__}, not a hx.Workflow",
            remedy="return the workflow",
        )
    return workflow


def _arguments(factory: Factory, settings: Sequence[str]) -> dict[str, Any]:
    parameters = inspect.signature(factory).parameters
    arguments: dict[str, Any] = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals:
            raise ParameterError(f"--set {setting!r} has no value", remedy="write --set NAME=VALUE")
        if name not in parameters:
            raise ParameterError(f"the workflow takes no parameter {name!r}", remedy=nearest(name, parameters))
        arguments[name] = _value(parameters[name], text)
    needed = [p.name for p in parameters.values() if p.default is p.empty and p.kind is not p.VAR_KEYWORD]
    missing = [name for name in needed if name not in arguments]
    if missing:
        raise ParameterError(
            f"the workflow needs a value for {', '.join(missing)}", remedy=f"write --set {missing[0]}=VALUE"
        )
    return arguments


def _value(parameter: inspect.Parameter, text: str) -> Any:
    """Text as the type of the parameter's annotation, else of its default, else as text."""
    kinds = _kinds(parameter)
    if "None" in kinds and text.lower() in ("none", "null"):
        return None
    for kind in kinds:
        convert = _CONVERSIONS.get(kind)
        if convert is None:
            continue
        try:
            return convert(text)
        except ValueError:
            continue
    raise ParameterError(
        f"parameter {parameter.name!r} takes {' | '.join(kinds)}, and {text!r} is none",
        remedy=f"for example --set {parameter.name}={_EXAMPLES.get(kinds[0], 'VALUE')}",
    )


def _kinds(parameter: inspect.Parameter) -> list[str]:
    """Names of the types that a parameter takes, as annotated, else as its default has.

    >>> def workflow(a: float | None, b: "int", c=0.5, d=None): ...
    >>> [_kinds(parameter) for parameter in inspect.signature(workflow).parameters.values()]
    [['float', 'None'], ['int'], ['float'], ['str', 'None']]
    """
    annotation = parameter.annotation
    if annotation is parameter.empty:
        known = parameter.default is not parameter.empty and parameter.default is not None
        return [type(parameter.default).__name__] if known else ["str", "None"]
    if isinstance(annotation, str):
        text = annotation.strip("'\"").replace("typing.", "")
        text = re.sub(r"^(?:Optional|Union)\[(.*)\]$", lambda m: m[1] + (" | None" if m[0][0] == "O" else ""), text)
        return [kind.strip() for kind in re.split(r"[|,]", text)]
    kinds = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    return ["None" if kind is NoneType else getattr(kind, "__name__", str(kind)) for kind in kinds]


def _bool(text: str) -> bool:
    known = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    if text.lower() not in known:
        raise ValueError(text)
    return known[text.lower()]


_CONVERSIONS: Mapping[str, Callable[[str], Any]] = {
    "int": int, "float": float, "bool": _bool, "str": str, "Path": Path,
}
_EXAMPLES = {"int": "10", "float": "0.1", "bool": "true"}
