"""What the annotations of a live function mean, where somebody reads them when the program runs."""

from __future__ import annotations

import typing
from types import FunctionType

from helix_spark.signature.objects.classes import hints_of
from helix_spark.signature.objects.leaves import shown
from helix_spark.signature.objects.origin import package_of_module
from helix_spark.signature.text.annotations import if_tabular


def tabular_hints(function: FunctionType) -> str:
    """What a function's annotations mean, without the parameters' names, if one of them says how rows are passed.

    They are asked of the function itself: its code does not say them, so that the text of its file, which may have
    been edited since it was loaded, need not be theirs.

    >>> def f(batches: typing.Iterator[int]) -> None: ...
    >>> tabular_hints(f)
    "['collections.abc.Iterator[builtins.int]', 'builtins.NoneType']"
    """
    return if_tabular([_meaning(hint) for hint in hints_of(function).values()])


def _meaning(hint: object) -> str:
    origin = typing.get_origin(hint)
    match hint:
        case _ if origin is not None:
            return f"{_meaning(origin)}[{', '.join(map(_meaning, typing.get_args(hint)))}]"
        case typing.ForwardRef():
            return hint.__forward_arg__
        case str():
            return hint
        case type():
            # A class of the project is in another module where its file is run than where it is imported.
            of_project = package_of_module(hint.__module__) is None
            return hint.__qualname__ if of_project else f"{hint.__module__}.{hint.__qualname__}"
    return shown(hint)
