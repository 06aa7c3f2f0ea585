"""Shows the examples in docstrings as code: they stand at a docstring's end, under no heading of their own."""

from __future__ import annotations

from typing import Any

from griffe import Extension, Object


class Doctests(Extension):
    """Puts a fence around each stretch of lines that begins with a prompt, up to the next empty line."""

    def on_instance(self, *, obj: Object, **_: Any) -> None:
        """Called of each object with a docstring."""
        if obj.docstring is not None:
            obj.docstring.value = fenced(obj.docstring.value)


def fenced(text: str) -> str:
    """A docstring with its examples in fences."""
    lines, inside = list[str](), False
    for line in text.splitlines():
        begins = line.startswith(">>>") and not inside
        ends = inside and not line.strip()
        lines += [*(["```pycon"] if begins else []), *(["```"] if ends else []), line]
        inside = begins or (inside and not ends)
    return "\n".join([*lines, *(["```"] if inside else [])])
