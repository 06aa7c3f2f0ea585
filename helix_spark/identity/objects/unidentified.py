"""The reason why a value has no identity, on its way out of the values around it."""

from __future__ import annotations

PLAIN_DATA = "pass plain data, make it a dataclass, or build it inside the function"
"""What to do about most of them."""


class UnidentifiedError(Exception):
    """A value that cannot be told apart from others. Whoever knows where it came from makes it a `SignatureError`.

    Attributes:
        what: why it cannot.
        remedy: what to do instead.
        path: from the outermost value to it: ``['a'].scale``; None until an encoder has filled it in.
    """

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(what)
        self.what, self.remedy = what, remedy
        self.path: str | None = None
