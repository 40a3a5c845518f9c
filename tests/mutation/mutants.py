"""Generate mutants of a Python source, which differ from it by one small fault in the code."""

from __future__ import annotations

import ast
import copy
import random
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import ndiff

COMPARISONS = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
ARITHMETIC = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
PAIRS = (
    ("min", "max"),
    ("argmin", "argmax"),
    ("minimum", "maximum"),
    ("any", "all"),
    ("floor", "ceil"),
    ("log2", "log"),
    ("sin", "cos"),
    ("mean", "sum"),
    ("std", "var"),
    ("zeros", "ones"),
)
NAMES = dict(PAIRS) | {second: first for first, second in PAIRS}
LARGE = 10  # constants of at least this size are doubled and halved; smaller ones are changed by 1


@dataclass(frozen=True)
class Mutant:
    """A mutated module (source), and the lines that differ (was, becomes), without indentation and joined by spaces."""

    line: int
    was: str
    becomes: str
    source: str


def mutants(source: str) -> list[Mutant]:
    """Return all mutants of a module in the order of its lines. Each can be parsed and has other code than the module.

    >>> [mutant.becomes for mutant in mutants("x = min(a, 1)")]
    ['x = max(a, 1)', 'x = min(a, 2)', 'x = min(a, 0)']
    """
    lines = [line.encode() for line in source.splitlines(keepends=True)]
    starts = [sum(map(len, lines[:number])) for number in range(len(lines))]
    whole, found = source.encode(), {}
    for node, text in _changes(ast.parse(source)):
        begin = starts[node.lineno - 1] + node.col_offset
        end = starts[node.end_lineno - 1] + node.end_col_offset
        mutated = (whole[:begin] + text.encode() + whole[end:]).decode()
        if ast.dump(ast.parse(mutated)) != ast.dump(ast.parse(source)):
            found.setdefault(mutated, Mutant(node.lineno, *_difference(source, mutated), mutated))
    return sorted(found.values(), key=lambda mutant: mutant.line)


def sample(source: str, count: int, seed: str) -> list[Mutant]:
    """Draw `count` mutants at random; return all if there are fewer."""
    every = mutants(source)
    drawn = random.Random(seed).sample(every, min(count, len(every)))
    return sorted(drawn, key=lambda mutant: mutant.line)


def _difference(source: str, mutated: str) -> tuple[str, str]:
    lines = list(ndiff(source.splitlines(), mutated.splitlines()))
    return tuple(" ".join(line[2:].strip() for line in lines if line.startswith(sign)) for sign in ("- ", "+ "))


def _changes(node: ast.AST) -> Iterator[tuple[ast.AST, str]]:
    """Yield nodes and their replacements. Messages, annotations, decorators and default values are not changed."""
    match node:
        case ast.Raise() | ast.JoinedStr() | ast.arguments() | ast.Import() | ast.ImportFrom():
            return
        case ast.ClassDef():
            children = [child for child in node.body if not isinstance(child, ast.AnnAssign)]
        case ast.FunctionDef():
            children = node.body
        case ast.AnnAssign():
            children = [node.value] if node.value else []
        case _:
            children = list(ast.iter_child_nodes(node))
    tests = node.ifs if isinstance(node, ast.comprehension) else [getattr(node, "test", None)]
    for test in tests:
        if isinstance(test, ast.Name | ast.Attribute | ast.Call | ast.BoolOp):
            yield test, f"(not ({ast.unparse(test)}))"
    for changed in _replacements(node):
        text = ast.unparse(changed)
        needs_none = isinstance(node, ast.stmt | ast.Constant | ast.Name | ast.Attribute | ast.Call)
        yield node, text if needs_none else f"({text})"
    for child in children:
        yield from _changes(child)


def _replacements(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the replacements of a node."""
    match node:
        case ast.Compare(ops=[operator]):
            yield from (_with(node, ops=[other()]) for other in COMPARISONS[type(operator)])
        case ast.Compare():
            for position, operator in enumerate(node.ops):
                others = (other() for other in COMPARISONS[type(operator)])
                yield from (
                    _with(node, ops=[*node.ops[:position], other, *node.ops[position + 1 :]]) for other in others
                )
        case ast.BinOp() | ast.AugAssign() if type(node.op) in ARITHMETIC:
            yield _with(node, op=ARITHMETIC[type(node.op)]())
        case ast.BoolOp():
            yield _with(node, op=ast.Or() if isinstance(node.op, ast.And) else ast.And())
            for position in range(len(node.values)):
                remaining = [value for number, value in enumerate(node.values) if number != position]
                yield remaining[0] if len(remaining) == 1 else _with(node, values=remaining)
        case ast.UnaryOp(op=ast.Not() | ast.USub()):
            yield node.operand
        case ast.Constant(value=bool()):
            yield ast.Constant(not node.value)
        case ast.Constant(value=int()):
            number = node.value
            others = (number * 2, number // 2) if number >= LARGE else (number + 1, number - 1)
            yield from map(ast.Constant, others)
        case ast.Constant(value=float()):
            yield from map(ast.Constant, (node.value * 2, node.value / 2))
        case ast.Call(func=ast.Name(id=name)) if name in NAMES:
            yield _with(node, func=ast.Name(NAMES[name]))
        case ast.Call(func=ast.Attribute(attr=name)) if name in NAMES:
            yield _with(node, func=_with(node.func, attr=NAMES[name]))
        case ast.Return(value=ast.expr()):
            yield ast.Return(ast.Constant(None))
        case ast.Expr(value=ast.Call()):
            yield ast.Pass()
        case ast.Break():
            yield ast.Continue()
        case ast.Continue():
            yield ast.Break()


def _with(node: ast.AST, **fields) -> ast.AST:
    changed = copy.copy(node)
    for name, value in fields.items():
        setattr(changed, name, value)
    return changed
