"""A seeded fuzzer for what a stranger may have written: bytes of files, JSON, and texts within records."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable, Iterator
from typing import Any

DEEP_LIST, DEEP_OBJECT = "[" * 100_000 + "]" * 100_000, '{"a":' * 50_000 + "1" + "}" * 50_000

VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 2**31, 2**63, 10**30, 10**4000, -1e308, 1e308, float("nan"), float("inf"), "", "\0", "\ud800",
    "\udfff\ud800", "\x1b]0;owned\x07\x1b[2J\u202e", "../../etc/passwd", "/proc/kmsg", "/dev/zero", "file:///etc/passwd",
    "s3://bucket/x", "%2e%2e%2fx", "a" * 1_000_000, [], {}, [[]], [None], {"": None}, "NaN", "1e999", "0x10",
)
"""Values in the place of any other."""

Mutation = Callable[[random.Random, bytes], bytes]


def flip_bits(draw: random.Random, content: bytes) -> bytes:
    changed = bytearray(content)
    for _ in range(draw.choice((1, 2, 8, 64)) if changed else 0):
        changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def truncate(draw: random.Random, content: bytes) -> bytes:
    return content[: draw.randrange(len(content) + 1)]


def cut_out(draw: random.Random, content: bytes) -> bytes:
    start, end = sorted(draw.randrange(len(content) + 1) for _ in range(2))
    return content[:start] + content[end:]


def zero(draw: random.Random, content: bytes) -> bytes:
    start, end = sorted(draw.randrange(len(content) + 1) for _ in range(2))
    return content[:start] + bytes(end - start) + content[end:]


def repeat(draw: random.Random, content: bytes) -> bytes:
    return content * draw.randrange(2, 4)


def replace(draw: random.Random, content: bytes) -> bytes:
    return draw.choice((
        b"", b"\0" * 4096, b"\xff\xfe\xfd", b"null", b"3", b'"x"', b"[]", b"{}", DEEP_LIST.encode(),
        DEEP_OBJECT.encode(), b"9" * 100_000, b"PAR1PAR1", b"\x28\xb5\x2f\xfd" + b"\xff" * 64, draw.randbytes(200),
    ))


def confuse_json(draw: random.Random, content: bytes) -> bytes:
    """Replace a value of one of the JSON lines, wherever it is; other bytes get a flipped bit."""
    lines = content.splitlines()
    try:
        documents = [json.loads(line) for line in lines]
    except (ValueError, RecursionError):
        return flip_bits(draw, content)
    if not documents:
        return replace(draw, content)
    number = draw.randrange(len(documents))
    documents[number] = confused(draw, documents[number])
    return "\n".join(map(json.dumps, documents)).encode()


def confused(draw: random.Random, value: Any) -> Any:
    """Return a value of JSON's types with one inside it replaced, dropped or renamed; in JSON within texts, too."""
    if isinstance(value, str) and value[:1] in ("{", "[") and draw.random() < 0.8:
        try:
            return json.dumps(confused(draw, json.loads(value)))
        except (ValueError, RecursionError):
            return draw.choice(VALUES)
    if isinstance(value, dict) and value and draw.random() < 0.9:
        name = draw.choice(list(value))
        rest = {key: one for key, one in value.items() if key != name}
        match draw.randrange(8):
            case 0:
                return rest
            case 1:
                return {**rest, str(draw.choice(VALUES))[:100]: value[name]}
        return {**value, name: confused(draw, value[name])}
    if isinstance(value, list) and value and draw.random() < 0.9:
        at = draw.randrange(len(value))
        return [*value[:at], confused(draw, value[at]), *value[at + 1 :]]
    return draw.choice(VALUES)


def confuse_parquet(draw: random.Random, content: bytes) -> bytes:
    """Write the table of a parquet file with another column in the place of one, or with far too many rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(io.BytesIO(content))
    except (pa.ArrowException, OSError, ValueError):
        return flip_bits(draw, content)
    rows, at = max(1, table.num_rows), draw.randrange(table.num_columns)
    match draw.randrange(5):
        case 0:
            table = pa.table({name: pa.nulls(5_000_000, kind.type) for name, kind in zip(
                table.column_names, table.schema, strict=True)})
        case 1:
            table = pa.table({name: pa.array(["x" * 30_000_000]) for name in table.column_names[:3]})
        case 2:
            table = table.drop_columns([table.column_names[at]])
        case 3:
            other = draw.choice((
                pa.nulls(rows), pa.array([2**63 - 1] * rows), pa.array([float("nan")] * rows),
                pa.array(["\x1b[2J\0"] * rows), pa.array([b"\xff"] * rows), pa.array([[[1]]] * rows),
                pa.array([{"a": 1}] * rows), pa.array([DEEP_LIST] * rows),
            ))
            table = table.set_column(at, table.column_names[at], other)
        case _:
            table = pa.concat_tables([table] * draw.randrange(2, 50))
    written = io.BytesIO()
    pq.write_table(table, written, compression="zstd", write_page_checksum=True)
    return written.getvalue()


OF_BYTES: tuple[Mutation, ...] = (flip_bits, truncate, cut_out, zero, repeat, replace)


def mutated(seed: str, content: bytes, count: int) -> Iterator[bytes]:
    """Yield so many variants of a file's content; the same ones for the same seed."""
    draw = random.Random(seed)
    aware: Mutation = confuse_parquet if content[:4] == b"PAR1" else confuse_json
    for number in range(count):
        yield (aware if number % 2 else draw.choice(OF_BYTES))(draw, content)


def mutated_texts(seed: str, text: str, count: int) -> Iterator[str]:
    """Yield so many variants of a text, some of which no encoding has."""
    draw = random.Random(seed)
    plain = (*tuple(one for one in VALUES if isinstance(one, str)), DEEP_LIST, DEEP_OBJECT, "9" * 5000)
    for number in range(count):
        match number % 3:
            case 0:
                yield plain[number // 3] if number // 3 < len(plain) else draw.choice(plain)
            case 1:
                yield confuse_json(draw, text.encode(errors="replace")).decode(errors="replace")
            case _:
                yield draw.choice(OF_BYTES)(draw, text.encode(errors="replace")).decode(errors="surrogateescape")
