"""What Spark's Python workers get of the project's code: the code itself, not the name of a module to import.

By name, a UDF would run whatever the worker imported earlier. Workers outlive runs, so after an edit of a helper's
module that may be the code before the edit. And Spark takes two UDFs of equal bytes for one, so that a table that
is still cached from before would answer for the new one.
"""

from __future__ import annotations

import sys

from helix_spark.signature.objects.origin import is_project_file

_NEVER = frozenset({"__main__", "__mp_main__", "helix_spark", "pyspark", "py4j", "delta"})
"""`__main__` goes by value anyway; the others may lie outside site-packages (a Spark distribution, a checkout)."""


def send_project_code() -> None:
    """Has functions and classes of the project's modules, as far as they are imported, pickled by value."""
    from pyspark.cloudpickle import register_pickle_by_value

    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        # An entry under another name than the module's own is an alias of it.
        if not isinstance(file, str) or name.partition(".")[0] in _NEVER or getattr(module, "__name__", "") != name:
            continue
        if is_project_file(file):
            register_pickle_by_value(module)  # type: ignore[no-untyped-call]  # a copy of cloudpickle's, untyped
