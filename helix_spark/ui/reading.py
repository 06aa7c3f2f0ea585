"""JSON texts of records as plain data; what is damaged reads as nothing rather than ending the page."""

from __future__ import annotations

import json
from typing import Any

from helix_spark.past.shown import result_text
from helix_spark.signature.difference import parts_from_json
from helix_spark.signature.parts import Part


def parts(text: str) -> tuple[Part, ...]:
    """A signature's parts.

    >>> parts("[[1]]")
    ()
    """
    try:
        return parts_from_json(text)
    except (ValueError, TypeError):
        return ()


def text_of(value: Any) -> str:
    """A value in a line.

    >>> text_of(0.123456789), text_of({"table": "t", "rows": 3}), text_of({"model": "LogisticRegressionModel"})
    ('0.123457', 'table of 3 rows', 'LogisticRegressionModel')
    """
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, str):
        return value
    if type(value) is int:
        return str(value)
    return result_text(value) or json.dumps(value, ensure_ascii=False)
