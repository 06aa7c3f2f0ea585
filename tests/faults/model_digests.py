"""The digest that the record of a model has, of whatever lies in its folder: also of what no model has."""

from __future__ import annotations

import hashlib

from helix_spark.catalog.places.place import Place


def digest_of_model(folder: Place) -> str:
    """Of the names and bytes of all files in a folder, but those whose names begin with a dot. Raises OSError."""
    whole, beginning = hashlib.sha256(), len(str(folder)) + 1
    for name, path in sorted((str(path)[beginning:], path) for path in folder.files()):
        if not path.name.startswith("."):
            content = path.read_at_most(2 << 30)
            whole.update(f"{len(name)} {name} {len(content)} {len(content)} ".encode() + content)
    return whole.hexdigest()
