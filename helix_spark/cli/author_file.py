"""Load the author's file, and build its workflow with the parameters of the command line."""

from __future__ import annotations

import datetime
import importlib.util
import inspect
import operator
import pathlib
import re
import sys
import traceback
import typing
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from enum import Enum
from functools import partial, reduce
from importlib.machinery import SourceFileLoader
from itertools import product
from pathlib import Path
from types import GenericAlias, ModuleType, NoneType, SimpleNamespace, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from msgspec import MsgspecError, convert

from helix_spark.errors import HelixError, Location, ParameterError, nearest
from helix_spark.identity.objects.origin import is_project_file
from helix_spark.loaded_sources import cache_no_fresh_bytecode, loading, note_recorded_text
from helix_spark.workflow.declared_at import caller
from helix_spark.workflow.functions import location_of
from helix_spark.workflow.workflow import Workflow

Factory = Callable[..., Workflow]

_FOLDERS_DEEP = 2
"""Depth of the folders that are searched for a file which does not exist."""


class NeedsSessionError(HelixError):
    """The file builds Spark objects while it is loaded, which takes a running session."""


def split_target(target: str) -> tuple[Path, str | None]:
    """Return file and function of a target, ``jobs/census.py:census``. Raises ParameterError if it is no file."""
    file, _, function = target.partition(":")
    path = Path(file)
    if not path.is_file():
        problem = f"{file!r} is a folder, not a file" if path.is_dir() else f"there is no file {file!r}"
        raise ParameterError(problem, remedy=_other_files(path))
    return path, function or None


def _other_files(path: Path) -> str:
    """Return a sentence that suggests files: those of the same name in subfolders, else the nearest."""
    folder = path if path.is_dir() else path.parent
    patterns = ("*/" * depth + "*.py" for depth in range(_FOLDERS_DEEP + 1))
    below = [file for pattern in patterns for file in sorted(folder.glob(pattern)) if file.name != "__init__.py"]
    files = [file for file in below if not any(part.startswith(".") for part in file.relative_to(folder).parts)]
    if not files:
        return f"there is no Python file in {str(folder.resolve())!r}; name the file that declares the workflow"
    namesakes = [repr(str(file)) for file in files if file.stem == path.stem]
    return f"did you mean {' or '.join(namesakes)}?" if namesakes else nearest(str(path), map(str, files))


def load_file(path: Path, text: str | None = None) -> ModuleType:
    """Load a file as a module of its own name, or a text as if it were that file, without running its `hx.main`.
    Raises NeedsSessionError if it builds Spark objects while it is loaded, HelixError with the author's line if it
    fails."""
    for folder in (str(Path.cwd()), str(path.resolve().parent)):
        if folder not in sys.path:
            sys.path.insert(0, folder)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or not isinstance(spec.loader, SourceFileLoader):
        raise ParameterError(f"{path} is no Python file")
    loader, module = spec.loader, importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    cache_no_fresh_bytecode()

    def run() -> None:  # from its text: cached bytecode may be older
        if text is None:
            loader.path_stats(loader.path)  # registers the file as an import does
            raw = loader.get_data(loader.path)
        else:
            note_recorded_text(loader.path, text)
            raw = text.encode()
        exec(loader.source_to_code(raw, loader.path), vars(module))

    with loading():
        authors_code(path, run)
    return module


def authors_code(path: Path, run: Callable[[], Any]) -> Any:
    """Run the author's code outside any node: at import, or when it declares the workflow."""
    try:
        return run()
    except HelixError:
        raise
    except Exception as error:  # the author's code may raise anything
        frames = traceback.extract_tb(error.__traceback__)
        folder = path.resolve().parent
        authors_frames = [
            frame for frame in frames
            if _is_authors(frame.filename, path) and Path(frame.filename).resolve().is_relative_to(folder)
        ]
        if isinstance(error, SyntaxError) and error.filename and _is_authors(error.filename, path):
            where = Location(error.filename, error.lineno or 1)
        else:
            last = authors_frames[-1] if authors_frames else None
            where = Location(last.filename, last.lineno or 1) if last else Location(str(path), 1)
        # Without an active session, classic PySpark fails in its own code, by an assertion or a named condition.
        condition = getattr(error, "getCondition", lambda: "")() or ""
        is_sparks = bool(frames) and "pyspark" in Path(frames[-1].filename).parts
        if is_sparks and (isinstance(error, AssertionError) or "SESSION" in condition or "CONTEXT" in condition):
            raise NeedsSessionError(f"{path} builds Spark objects while it is loaded", where=where) from error
        raise HelixError(f"{path} cannot be loaded: {type(error).__name__}: {error}", where=where) from error


def _is_authors(filename: str, path: Path) -> bool:
    if filename.startswith("<"):  # compiled from a text, so no file has the line
        return False
    return Path(filename).resolve() == path.resolve() or is_project_file(str(Path(filename).absolute()))


def find_factory(module: ModuleType, path: Path, function: str | None) -> Factory:
    """Return the function that builds the workflow: `function`, the one named like the file, or the only one annotated
    to return a Workflow; or return a Workflow of the file. Raises ParameterError if there is none, or several."""
    if function is not None:
        value = getattr(module, function, None)
        if isinstance(value, Workflow):
            return lambda: value
        if not callable(value):
            functions = [name for name, attribute in vars(module).items() if inspect.isfunction(attribute)]
            raise ParameterError(f"{path} has no function {function!r}", remedy=nearest(function, functions))
        factory: Factory = value
        return factory
    choice, unannotated = _factories(module)
    if len(choice) == 1:
        return next(iter(choice.values()))
    if path.stem in (candidates := choice or unannotated):
        return candidates[path.stem]
    if choice:
        raise ParameterError(
            f"{path} declares several workflows", exists=f"there are: {', '.join(sorted(choice))}",
            remedy=f"name one: {path}:{min(choice)}",
        )
    if names := sorted(name for name in unannotated if not name.startswith("_")):
        raise ParameterError(
            f"{path} declares no workflow", exists=f"functions without a return annotation: {', '.join(names)}",
            remedy=f"annotate the one that returns the workflow (def {names[0]}(...) -> hx.Workflow), or name it: "
            f"{path}:{names[0]}",
        )
    raise ParameterError(f"{path} declares no workflow", remedy="write a function that returns a hx.Workflow")


def _factories(module: ModuleType) -> tuple[dict[str, Factory], dict[str, Factory]]:
    """Return a file's workflows and functions annotated to return one, by name, and functions without annotation."""
    own = {name: v for name, v in vars(module).items() if inspect.isfunction(v) and v.__module__ == module.__name__}
    returned = {name: _returned_type(function) for name, function in own.items()}
    choice: dict[str, Factory] = {name: own[name] for name, type_name in returned.items() if type_name == "Workflow"}
    for name, value in vars(module).items():
        if isinstance(value, Workflow):
            choice[name] = partial(lambda workflow: workflow, value)
    return choice, {name: own[name] for name, type_name in returned.items() if type_name == ""}


def _returned_type(function: Callable[..., Any]) -> str:
    annotation = function.__annotations__.get("return", "")
    name = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))
    return name.strip("'\"").split(".")[-1]


def argument_of_main(argument: object) -> tuple[Factory, str, Path]:
    """Return the argument of `hx.main` as the function that builds the workflow, its name, and its file."""
    if isinstance(argument, Workflow):
        workflow = argument
        return (lambda: workflow), workflow.name, Path(workflow.where.file)
    function = argument.func if isinstance(argument, partial) else argument
    where = location_of(function) if callable(function) else None
    if where is None or not callable(argument):
        raise ParameterError(
            f"hx.main cannot run a {type(argument).__name__}", where=caller(),
            remedy="pass the function that returns the workflow, a functools.partial of it, or a hx.Workflow",
        )
    return argument, getattr(function, "__name__", "a workflow"), Path(where.file)


def build(factory: Factory, path: Path, settings: Sequence[str]) -> Workflow:
    """Return the workflow with parameters set as by ``NAME=VALUE``."""
    arguments = arguments_of(factory, settings)
    workflow = authors_code(path, lambda: factory(**arguments))
    if not isinstance(workflow, Workflow):
        raise ParameterError(
            f"{getattr(factory, '__name__', 'the function')} returned a {type(workflow).__name__}, not a hx.Workflow",
            remedy="return the workflow",
        )
    return workflow


def build_recorded(path: Path, text: str, name: str, parameters: Mapping[str, Any]) -> Workflow:
    """Return the workflow of this name that a recorded text declares, with recorded parameters. Raises like `load_file`
    and `build`, and ParameterError if the text declares no such workflow."""
    module = load_file(path, text)
    choice, unannotated = _factories(module)
    for factory in (*choice.values(), *([unannotated[path.stem]] if path.stem in unannotated else [])):
        accepted = inspect.signature(factory).parameters
        workflow = build(factory, path, [f"{key}={value}" for key, value in parameters.items() if key in accepted])
        if workflow.name == name:
            return workflow
    raise ParameterError(
        f"the recorded text of {path} has no function that is annotated to return the workflow {name!r}",
        remedy="write the text by `helix checkout`, and run it",
    )


# Values of `--set NAME=VALUE`


def arguments_of(factory: Factory, settings: Sequence[str]) -> dict[str, Any]:
    """Return the arguments of a workflow's function; the last value of a parameter counts. Raises ParameterError for
    an unknown parameter, one without a value, or a value of the wrong type."""
    parameters = inspect.signature(factory).parameters
    arguments: dict[str, Any] = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals:
            raise ParameterError(f"--set {setting!r} has no value", remedy="write --set NAME=VALUE")
        if name not in parameters:
            raise ParameterError(f"the workflow takes no parameter {name!r}", remedy=nearest(name, parameters))
        arguments[name] = _value(parameters[name], text, factory)
    needed = [p.name for p in parameters.values() if p.default is p.empty and p.kind is not p.VAR_KEYWORD]
    missing = [name for name in needed if name not in arguments]
    if missing:
        raise ParameterError(
            f"the workflow needs a value for {', '.join(missing)}", remedy=f"write --set {missing[0]}=VALUE"
        )
    return arguments


def _value(parameter: inspect.Parameter, text: str, factory: Factory) -> Any:
    """Return text converted to the first type of a parameter that it fits. Raises ParameterError if it fits none."""
    kinds = _kinds(parameter, factory)
    if NoneType in kinds and text.lower() in ("none", "null"):
        return None
    items = [item.strip() for item in text.split(",")] if text.strip() else []
    for kind, value in product(kinds, (text, items)):
        with suppress(MsgspecError, TypeError, NotImplementedError):  # the last two: no text is of this type
            return convert(value, kind, strict=False, dec_hook=_path)
    raise ParameterError(
        f"parameter {parameter.name!r} takes {' | '.join(map(_type_text, kinds))}, not {text!r}",
        where=location_of(factory), exists="what can be set on the command line: int, float, bool, str, Path, date, "
        "Enum, Literal, and list or tuple of these, such as list[int]",
        remedy=f"write --set {parameter.name}=VALUE; separate the values of a list by commas",
    )


def _path(kind: type, value: Any) -> Path:
    """Convert a value to a `Path`, a type that `msgspec.convert` does not know."""
    if kind is not Path or not isinstance(value, str):
        raise NotImplementedError
    return Path(value)


_FOR_THE_CHECKER: Mapping[str, Any] = {
    "Any": Any, "Literal": Literal, "Optional": typing.Optional, "Path": Path, "Sequence": Sequence, "Union": Union,
    "date": datetime.date, "pathlib": pathlib, "typing": typing,
}
"""Names for annotations that a file may import only for the type checker."""


def _kinds(parameter: inspect.Parameter, factory: Factory) -> list[Any]:
    annotation, default = parameter.annotation, parameter.default
    by_default = [str, NoneType] if default is None or default is parameter.empty else [_kind_of(default)]
    function = inspect.unwrap(factory.func if isinstance(factory, partial) else factory)
    names = {**_FOR_THE_CHECKER, **getattr(function, "__globals__", {})}
    try:
        hint = get_type_hints(SimpleNamespace(__annotations__={"it": annotation}), names)["it"]
    except (NameError, AttributeError, TypeError, SyntaxError):  # names that exist only for the type checker
        return by_default if NoneType not in by_default else [str(annotation).strip("'\"")]
    hints = list(get_args(hint)) if get_origin(hint) in (Union, UnionType) else [hint]
    return by_default if Any in hints or parameter.empty in hints else hints


_SIMPLE = (bool, int, float, Path, str)
"""Types of defaults; also of subclasses, such as a float of NumPy. bool precedes int, of which it is a subclass."""


def _kind_of(default: Any) -> Any:
    """Return the type that a parameter without an annotation takes."""
    if isinstance(default, Enum):
        return type(default)
    if isinstance(default, list | tuple):
        # Types that any text fits come last.
        item_types = sorted(dict.fromkeys(map(_kind_of, default)), key=lambda kind: kind in (str, Path))
        if not item_types:
            return type(default)
        kinds = reduce(operator.or_, item_types)
        return GenericAlias(tuple, (kinds, ...)) if isinstance(default, tuple) else GenericAlias(list, (kinds,))
    return next((kind for kind in _SIMPLE if isinstance(default, kind)), type(default))


def _type_text(kind: Any) -> str:
    """Return a type as its author writes it.

    >>> _type_text(Literal["a", "b"]), _type_text(list[datetime.date]), _type_text(NoneType), _type_text(float)
    ("Literal['a', 'b']", 'list[date]', 'None', 'float')
    """
    if kind is NoneType:
        return "None"
    if isinstance(kind, type) and not get_args(kind):
        return kind.__name__
    return re.sub(r"\b(?:typing|collections\.abc|datetime|pathlib)\.", "", str(kind))
