"""What single expressions say, told from their syntax trees alone."""

from __future__ import annotations

import ast
import re

from helix_spark.signature.text.forms import key_step

_PUT_IN = re.compile(r"%(\(\w*\))?[-#0 +\d.]*[a-zA-Z]")


def nodes_in(tree: ast.AST) -> list[ast.AST]:
    """What `ast.walk` gives, in its order but for contexts (``ast.Load``), in a third of its time: whole files are
    looked through before anything is planned.

    >>> [type(node).__name__ for node in nodes_in(ast.parse("a.b(1)", mode="eval").body)]
    ['Call', 'Attribute', 'Constant', 'Name']
    """
    found = [tree]
    for node in found:  # which grows meanwhile
        for name in node._fields:
            value = getattr(node, name, None) if name != "ctx" else None
            if type(value) is list:
                found += [one for one in value if isinstance(one, ast.AST)]
            elif isinstance(value, ast.AST):
                found.append(value)
    return found


def attribute_of(node: ast.expr) -> str:
    """The attribute that an expression reads last; empty if it reads none."""
    return node.attr if isinstance(node, ast.Attribute) else ""


def is_data(node: ast.expr) -> bool:
    """Whether a list, tuple, set or dict is made of constants.

    >>> is_data(ast.parse("{'a': ['sum', 'max'], 'b': -1}", mode="eval").body)
    True
    """
    parts = (ast.Constant, ast.List, ast.Tuple, ast.Set, ast.Dict, ast.UnaryOp, ast.unaryop, ast.expr_context)
    return all(isinstance(inner, parts) for inner in ast.walk(node))


def path_of(node: ast.expr, *, keys: bool = False) -> tuple[ast.Name, tuple[str, ...]] | None:
    """The name that attributes are read of, one of the other, and these in order; None for any other expression.

    Args:
        keys: whether constant keys count as attributes do.

    >>> name, path = path_of(ast.parse("CFG.model['reg'].real", mode="eval").body, keys=True)
    >>> name.id, path
    ('CFG', ('model', "['reg']", 'real'))
    """
    path: list[str] = []
    while True:
        match node:
            case ast.Attribute(value=inner, attr=name, ctx=ast.Load()):
                path.append(name)
            case ast.Subscript(value=inner, slice=ast.Constant(value=str(key)), ctx=ast.Load()) if keys:
                path.append(key_step(key))
            case ast.Name(ctx=ast.Load()):
                return node, tuple(reversed(path))
            case _:
                return None
        node = inner


def template_of(node: ast.expr) -> str:
    """A text that is put together, with a NUL for each thing that is put in.

    >>> template_of(ast.parse("f'age > {least}' + unit", mode="eval").body)
    'age > \\x00\\x00'
    """
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=pieces):
            return "".join(map(template_of, pieces))
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return template_of(left) + template_of(right)
        case ast.BinOp(left=left, op=ast.Mod()):
            return _PUT_IN.sub("\0", template_of(left))
    return "\0"


def read_by_name(node: ast.expr) -> ast.Attribute | None:
    """What a call of the builtin `getattr` reads, if it says so outright; None for any other expression.

    >>> ast.unparse(read_by_name(ast.parse("getattr(rows, 'query')", mode="eval").body))
    'rows.query'
    """
    match node:
        case ast.Call(func=ast.Name(id="getattr"), args=[base, ast.Constant(value=str(name)), *_]):
            if not isinstance(base, ast.Starred):
                return ast.copy_location(ast.Attribute(base, name, ast.Load()), node)
    return None
