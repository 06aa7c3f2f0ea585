"""Code signatures: what a function or value of a workflow depends on, as a flat list of parts.

The form of the code and of everything it reaches in the project; libraries count by version. No JVM, no session.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from types import FunctionType, ModuleType

from helix_spark.errors import Location, SignatureError
from helix_spark.identity.data_version import DataIdentity, Identified, contents_below, identify
from helix_spark.identity.lazy_variables import reach
from helix_spark.identity.objects.encoder import shown
from helix_spark.identity.objects.held_values import own_attribute
from helix_spark.identity.objects.identity import is_udf
from helix_spark.identity.objects.origin import package_of_function, package_of_module
from helix_spark.identity.objects.references import Edge, Reference, edge_to, home_of, package_edge
from helix_spark.identity.parts import Group, Part
from helix_spark.identity.reach import CodeTrace


def trace(
    value: object,
    *,
    node: str,
    where: Location | None = None,
    depends_on: Sequence[object] = (),
    stages: dict[str, int] | None = None,
) -> CodeTrace:
    """Return everything a value depends on.

    Args:
        value: a function, class, partial, method, callable object, or plain data.
        node: the node it belongs to, for errors.
        where: where that node is declared, for errors.
        depends_on: further values that count; a `pathlib.Path` counts by the content of the file or folder, as does one
            that was `identified` already.
        stages: as for `Walk`.

    Raises:
        SignatureError: something it reaches cannot be identified.

    >>> a = trace(lambda rows: rows + 1, node="a")
    >>> b = trace(lambda r: r + 1, node="b")
    >>> a.digest == b.digest
    True
    >>> a.digest == trace(lambda rows: rows + 2, node="c").digest
    False
    """
    label = _name(value) or node
    more = [_declared(extra, node, where) for extra in identify_declared(depends_on, node=node, where=where)]
    roots = [_root(value, label), *more]
    return reach(roots, node=node, where=where, home=home_of(value), stages=stages)


def trace_path(path: str, *, node: str, where: Location | None = None) -> CodeTrace:
    """Return everything that what a dotted path names depends on: of a library its version, of the project its code.

    Raises:
        SignatureError: the project has nothing of that name.
    """
    module, _, name = path.rpartition(".")
    package = package_of_module(module)
    if package is not None:
        return reach([package_edge(package, path)], node=node, where=where, home="")
    try:
        found = getattr(import_module(module), name)
    except Exception as error:  # what a module raises while it is imported can be anything
        raise SignatureError(
            f"node {node!r}: there is no {path!r}: {error}", where=where,
            remedy="give the class itself, or its full path",
        ) from error
    return trace(found, node=node, where=where)


def value_trace(
    group: Group, label: str, value: object, *, node: str, where: Location | None = None,
    stages: dict[str, int] | None = None,
) -> tuple[Part, CodeTrace]:
    """Return one part for a value, whatever it reaches, and what was noticed on the way: a parameter of an operator.

    Args:
        group: what kind of thing the value is to the node.
        label: what it is called there.
        value, node, where, stages: as in `trace`.

    Raises:
        SignatureError: it cannot be identified.

    >>> value_trace(Group.PARAMETER, "regParam", 0.1, node="model")[0].shown
    '0.1'
    """
    root = edge_to(value, label, role="parameter")
    found = reach([root], node=node, where=where, home=home_of(value), stages=stages)
    return Part(group, label, found.digest, shown(value)), found


def _name(value: object) -> str:
    name = str(own_attribute(value, "__qualname__") or "").rpartition("<locals>.")[2]
    return "" if name == "<lambda>" else name


def _root(value: object, label: str) -> Edge:
    if type(value) is FunctionType and not is_udf(value):
        package = package_of_function(value)
        if package is None or package.name == "helix_spark":
            return Reference(value, label, name=label, top=True)
    return edge_to(value, label, role="value")


def identify_declared(depends_on: Sequence[object], *, node: str, where: Location | None = None) -> tuple[object, ...]:
    """Return what `depends_on` names, with each file and folder as it is now.

    Raises:
        SignatureError: one is not there, or cannot be read.
    """
    return tuple(
        Identified(one, _identity(one, node, where)) if isinstance(one, Path) else one for one in depends_on
    )


def _declared(value: object, node: str, where: Location | None) -> Edge:
    if isinstance(value, Identified):
        assert isinstance(value.what, Path)
        return Reference(contents_below(value.what, value.signed), str(value.what), "file", value.what.name)
    if isinstance(value, str) and _is_file(value):
        raise SignatureError(
            f"node {node!r}: depends_on names the file {value!r} as text, which would count by its name alone",
            where=where, remedy=f"write Path({value!r}), which counts by what is in the file",
        )
    label = value.__name__ if isinstance(value, ModuleType) else _name(value) or shown(value)
    return edge_to(value, label, role="depends_on")


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except (OSError, ValueError):  # no path at all
        return False


def _identity(path: Path, node: str, where: Location | None) -> DataIdentity:
    named = f"node {node!r}: depends_on names {str(path)!r}, which"
    remedy = "give the path of a file or folder, from the working folder or absolute"
    if not path.exists():
        raise SignatureError(f"{named} does not exist", where=where, remedy=remedy)
    try:
        return identify(path)
    except OSError as error:
        raise SignatureError(f"{named} cannot be read: {error.strerror}", where=where, remedy=remedy) from error
