"""Changes of libraries by the author's modules at import: ``pd.DataFrame.clean = clean``, a registered component.

The version of a library does not cover them. So these statements count as code, with all that they reach, for each
function whose module runs or imports them:

- an assignment to an attribute or item of a library's object, ``setattr`` included;
- a call on such an object whose result is dropped: ``pd.set_option("display.precision", 3)``. In a program or notebook,
  where most calls only show something, only a call with code of the project as argument, or on a class;
- a definition under a library's decorator that returns it unchanged, for code that mentions its name, or a text of the
  decorator;
- a call of a function of the project that does any of these, also as a decorator.
"""

from __future__ import annotations

import ast
import builtins
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from importlib.machinery import ModuleSpec
from importlib.util import resolve_name
from itertools import chain
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any
from weakref import WeakKeyDictionary

from helix_spark.hermetic.observed_inputs import content_of
from helix_spark.hermetic.told_times import MESSAGES
from helix_spark.identity.objects.origin import PYTHON, is_project_file, package_of_function, package_of_module
from helix_spark.identity.objects.references import identity
from helix_spark.import_reads import files_read_at
from helix_spark.loaded_sources import is_edited, parsed, read_lines

_REFLECTION = frozenset({"getattr", "setattr", "delattr", "vars"})
"""Builtins that act on their first argument."""

CALL = "call at import"
"""The name of the function compiled from such a call."""

_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_Names = Mapping[str, object]
_Import = tuple[str, object, tuple[str, ...]]
"""A name that an import binds, its value if loaded, and the modules that may define it."""


@dataclass(frozen=True, slots=True, eq=False)
class ImportEffect:
    """A statement of a module that changes a library, as a function. It counts for code that mentions one of the names,
    or for all code if there are none. `doubt` is the reason why another statement may have run, if any."""

    code: FunctionType
    doubt: str
    names: frozenset[str] = frozenset()


@dataclass(eq=False)
class _Module:
    """A module of the project as imported: `spec` identifies the import, and `statements` are its text at the first
    look, since later edits of the file are not loaded. `scan` is cached once the import is complete."""

    spec: ModuleSpec | None
    file: str
    names: dict[str, Any]
    statements: tuple[ast.stmt, ...]
    doubt: str = ""
    scan: tuple[list[ImportEffect], list[str]] | None = None

    @cached_property
    def scope(self) -> _Scope:
        is_program = self.names.get("__name__") == "__main__"
        return _Scope(self.names, _of_libraries(self.imports(self.statements)), is_program)

    def imports(self, statements: Iterable[ast.stmt]) -> list[_Import]:
        """Return the bindings of imports among statements of the module, outside of functions."""
        bindings: list[_Import] = []
        package = str(self.names.get("__package__") or "")
        for statement in _outside_functions(statements):
            if isinstance(statement, ast.Import):
                for alias in statement.names:
                    bound = alias.asname or alias.name.partition(".")[0]
                    bindings.append((bound, sys.modules.get(alias.name if alias.asname else bound), (alias.name,)))
            elif isinstance(statement, ast.ImportFrom):
                start = "." * statement.level + (statement.module or "")
                base = resolve_name(start, package) if package or not statement.level else start
                values = getattr(sys.modules.get(base), "__dict__", {})
                for alias in statement.names:
                    modules = (base, f"{base}.{alias.name}")
                    bindings.append((alias.asname or alias.name, values.get(alias.name), modules))
        return bindings


@dataclass(frozen=True, slots=True)
class _Scope:
    """Values of the names that a statement sees, and the names that imports of libraries have bound."""

    names: _Names
    imported: frozenset[str]
    is_program: bool

    def is_librarys(self, node: ast.expr, *, of_python: bool = True) -> bool:
        """Return whether an expression begins with something of a library."""
        return _is_known(_base(node, self.names), of_python) or (of_python and _path(node)[0] in self.imported)

    def is_object(self, node: ast.expr) -> bool:
        """Return whether an expression is a variable with an instance of a library's class."""
        kind = type(self.names.get(node.id) if isinstance(node, ast.Name) else None)
        return kind.__module__ != "builtins" and not issubclass(kind, type) and _is_known(kind)


_modules: WeakKeyDictionary[ModuleType, _Module] = WeakKeyDictionary()


def effects_with(name: str, seen: set[str]) -> Iterator[ImportEffect]:
    """Yield the import effects of a module of the project, and of those that it imports. Add the modules to `seen`."""
    waiting = [name]
    while waiting:
        module_name = waiting.pop()
        module = None if module_name in seen else _module(module_name)
        seen.add(module_name)
        if module is not None:
            effects, imports = scan = module.scan or _scan(module)
            if module.spec is not None and not getattr(module.spec, "_initializing", False):
                module.scan = scan
            waiting += imports
            yield from effects


def imports_any(name: str, others: Collection[str]) -> bool:
    """Return whether a module of the project imports one of other modules, itself or through others."""
    seen = set[str]()
    _ = [*effects_with(name, seen)]
    return not seen.isdisjoint(others)


def texts_with(names: Iterable[str]) -> Iterator[str]:
    """Yield the texts of modules of the project and of all that they import, also in functions, and of the files that
    they read then."""
    waiting, seen = [*names], set[str]()
    while waiting:
        module = None if (name := waiting.pop()) in seen else _module(name)
        seen.add(name)
        if module is not None:
            lines = read_lines(module.file)
            yield from (name, *lines, *map(content_of, files_read_at(module.file, 1, len(lines))))
            nodes = ast.walk(ast.Module([*module.statements], []))
            imports = module.imports(node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom))
            waiting += [each for _, _, modules in imports for each in modules]


def _scan(module: _Module) -> tuple[list[ImportEffect], list[str]]:
    """Return the effects of a module, and the names of its imports."""
    effects: list[ImportEffect] = []
    for statement in module.statements:
        inside = [*_outside_functions([statement])]  # loops and conditions count as a whole
        if any(_is_effect(part, module.scope, frozenset()) for part in inside):
            effects.append(ImportEffect(_function(module, [statement]), module.doubt))
        for part in inside:
            effects += _decorations(part, module) if isinstance(part, _Definition) else ()
    return effects, [name for _, _, modules in module.imports(module.statements) for name in modules]


def _module(name: str) -> _Module | None:
    """Return a module of the project, or the cells that a notebook has run; None for any other module."""
    module = sys.modules.get(name)
    if not isinstance(module, ModuleType):
        return None
    names = vars(module)
    file, spec, cells = names.get("__file__"), names.get("__spec__"), names.get("In")
    if isinstance(file, str) and is_project_file(file):
        if (scanned := _modules.get(module)) is None or scanned.spec is not spec:
            edited = f"{Path(file).name} changes a library as it is imported, and was edited since"
            statements = tuple(parsed("".join(read_lines(file))).body)
            _modules[module] = scanned = _Module(spec, file, names, statements, edited if is_edited(file) else "")
        return scanned
    if name == "__main__" and isinstance(cells, list):
        texts = dict.fromkeys(reversed([str(cell) for cell in cells]))  # the last run of each cell
        return _Module(None, "<cells>", names, tuple(node for text in reversed(texts) for node in parsed(text).body))
    return None


def _outside_functions(statements: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements that run as a module is imported, also inside others; not those of ``__name__`` blocks."""
    for statement in statements:
        if isinstance(statement, ast.If) and any(
            isinstance(node, ast.Name) and node.id == "__name__" for node in ast.walk(statement.test)
        ):
            continue
        yield statement
        for child in ast.iter_child_nodes(statement) if not isinstance(statement, _Definition) else ():
            if isinstance(child, ast.stmt):
                yield from _outside_functions([child])
            elif isinstance(child, ast.ExceptHandler | ast.match_case):
                yield from _outside_functions(child.body)


def _is_effect(statement: ast.stmt, scope: _Scope, callers: frozenset[CodeType]) -> bool:
    """Return whether a statement by itself changes a library."""
    targets = (
        node for node in ast.walk(statement)
        if isinstance(node, ast.Attribute | ast.Subscript) and not isinstance(node.ctx, ast.Load)
    )
    if isinstance(statement, ast.Assign | ast.AugAssign | ast.AnnAssign | ast.Delete) and any(
        scope.is_librarys(target.value) or (isinstance(target, ast.Attribute) and scope.is_object(target.value))
        for target in targets
    ):
        return True
    call = getattr(statement, "value", None)
    return isinstance(call, ast.Call) and (
        _calls_effect(call.func, scope, callers) or (isinstance(statement, ast.Expr) and _configures(call, scope))
    )


def _configures(call: ast.Call, scope: _Scope) -> bool:
    """Return whether a call, whose result is dropped, may change a library."""
    if isinstance(call.func, ast.Name) and call.func.id in _REFLECTION:
        return bool(call.args) and scope.is_librarys(call.args[0])
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    # In any library, functions of these names, and loggers' methods, only emit messages.
    if name in MESSAGES | {"print", "warn"} or not scope.is_librarys(call.func):
        return False
    holder = _base(call.func.value if isinstance(call.func, ast.Attribute) else call.func, scope.names)
    if not scope.is_program:
        return holder is not sys.path  # the modules that are found by it count themselves
    arguments = (*call.args, *(keyword.value for keyword in call.keywords))
    return _is_known(holder) and (issubclass(type(holder), type) or any(
        isinstance(node, ast.Lambda) or (isinstance(node, ast.Name) and _is_project_code(scope.names.get(node.id)))
        for argument in arguments for node in ast.walk(argument)
    ))


def _calls_effect(called: ast.expr, scope: _Scope, callers: frozenset[CodeType]) -> bool:
    """Return whether a function of the project is called that changes a library, or may since its file was edited."""
    function = _base(called, scope.names)
    if not _is_project_code(function) or not isinstance(function, FunctionType) or function.__code__ in callers:
        return False
    if (module := _module(function.__module__)) is None or module.doubt:
        return module is not None
    definitions = (node for node in module.statements if isinstance(node, _Definition))
    bodies = (node.body for node in definitions if node.name == function.__name__)
    inside = [*_outside_functions(chain.from_iterable(bodies))]
    imports = module.imports(inside)
    names = {**function.__globals__, **{name: value for name, value, _ in imports if value is not None}}
    around = _Scope(names, module.scope.imported | _of_libraries(imports), scope.is_program)
    return any(_is_effect(part, around, callers | {function.__code__}) for part in inside)


def _of_libraries(imports: Iterable[_Import]) -> frozenset[str]:
    """Return the names that imports take from libraries."""
    packages = ((name, package_of_module(modules[0])) for name, _, modules in imports)
    return frozenset(name for name, package in packages if package is not None and package.name != "helix_spark")


def _decorations(definition: _Definition, module: _Module) -> Iterator[ImportEffect]:
    """Yield the import effects of the decorators of a definition."""
    scope = module.scope
    live = module.names.get(definition.name)
    is_unchanged = _is_project_code(live) and getattr(live, "__name__", "") == definition.name
    is_marked = isinstance(live, FunctionType) and bool(vars(live))  # the decorator stored its data on the function
    for decorator in definition.decorator_list:
        code: list[ast.stmt] = [ast.Expr(decorator), ast.Expr(ast.Name(definition.name, ast.Load()))]
        if _calls_effect(decorator.func if isinstance(decorator, ast.Call) else decorator, scope, frozenset()):
            yield ImportEffect(_function(module, code), module.doubt)
        elif is_unchanged and not is_marked and scope.is_librarys(decorator, of_python=False):
            nodes = (node for node in ast.walk(decorator) if isinstance(node, ast.Constant))
            texts = (node.value for node in nodes if isinstance(node.value, str))
            yield ImportEffect(_function(module, code), module.doubt, frozenset({definition.name, *texts}))


def _base(node: ast.expr, names: _Names) -> object:
    """Return the class, function or variable at the start of an expression; None if there is none."""
    first, path = _path(node)
    value = names.get(first, vars(builtins).get(first))
    for attribute in path:
        if not issubclass(type(value), ModuleType):  # `isinstance` would believe a proxy
            break
        value = vars(value).get(attribute)
    return value


def _path(node: ast.expr) -> tuple[str, list[str]]:
    """Return the name at the start of an expression, if any, and its attributes before the first call."""
    path: list[str] = []
    while not isinstance(node, ast.Name):
        match node:
            case ast.Call(func=ast.Name(id=name), args=[first, *_]) if name in _REFLECTION:
                node = first
            case ast.Attribute(value=inner, attr=attribute):
                path.insert(0, attribute)
                node = inner
            case ast.Call(func=inner) | ast.Subscript(value=inner):
                path.clear()
                node = inner
            case _:
                return "", []
    return node.id, path


def _is_known(value: object, of_python: bool = True) -> bool:
    with suppress(Exception):  # a proxy may raise anything
        if (origin := identity(value)) is not None:
            return origin[0].name != "helix_spark" and (of_python or origin[0] != PYTHON)
    return False


def _is_project_code(value: object) -> bool:
    if type(value) is FunctionType:
        return package_of_function(value) is None
    return issubclass(type(value), type) and package_of_module(value.__module__) is None


def _function(module: _Module, statements: list[ast.stmt]) -> FunctionType:
    tree = ast.parse("def f(): ...")
    definition = tree.body[0]
    assert isinstance(definition, ast.FunctionDef)
    definition.body = statements
    is_call = isinstance(statements[0], ast.Expr) and not any(isinstance(node, ast.Lambda) for node in ast.walk(tree))
    definition.name = CALL if is_call else "import effects"
    try:
        code = compile(ast.fix_missing_locations(tree), module.file, "exec", dont_inherit=True)
    except SyntaxError:  # `await`, or an asterisk, which no function may have
        text = "\n".join(map(ast.unparse, statements))
        code = compile(f"def f(): return {text!r}", module.file, "exec", dont_inherit=True)
    function = FunctionType(next(part for part in code.co_consts if isinstance(part, CodeType)), module.names)
    lines = [(node.lineno, node.end_lineno or 0) for node in statements if hasattr(node, "lineno")]
    vars(function)["files_read"] = [content_of(path) for span in lines for path in files_read_at(module.file, *span)]
    return function
