"""Conditions that people write in YAML, such as 'latency_ms > 100 or app == "Download"', made safe.

An expression is Python's grammar reduced to column names, numbers, strings, comparisons, arithmetic
and `and`, `or`, `not`; nothing is ever called. Its logic has three values (Kleene, 1938): a row in
which a needed value is missing is *unknown*, unless the other parts already settle the outcome.
"""

import ast
import operator
import threading
import sys
from collections.abc import Callable
from functools import reduce
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import is_bool_dtype, is_numeric_dtype, is_string_dtype
from pandas.arrays import BooleanArray

from rancast.errors import ConfigurationError

LENGTH_LIMIT = 1_000
DEPTH_LIMIT = 40
_LARGEST = sys.float_info.max

_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_COMPARISON: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_GRAMMAR = (
    "an expression has column names, numbers, strings, comparisons, + - * /, in (...), "
    "and, or, not"
)

# in threads, ast.parse fails now and then with SystemError on Python 3.11 (cpython#106905)
_PARSING = threading.Lock()

Numbers = NDArray[np.float64]
Texts = NDArray[np.object_]
Flags = NDArray[np.bool_]


class Expression:
    """A checked expression; `columns` are the names it reads.

    Raises ConfigurationError that quotes the expression and what is wrong with it.
    """

    def __init__(self, text: str) -> None:
        self.text = text.strip()
        self._body = _parse(self.text)
        self.columns = frozenset(
            node.id for node in ast.walk(self._body) if isinstance(node, ast.Name)
        )

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"

    def evaluate(self, frame: pd.DataFrame) -> "pd.Series[bool]":
        """Return for each row True, False or NA (unknown), as dtype `boolean` on `frame`'s index.

        Raises ConfigurationError for an unknown column, for text compared with a number, and for
        an expression whose outcome is not a condition.
        """
        outcome = self._outcome(frame)
        is_unknown = ~(outcome.is_true | outcome.is_false)
        return pd.Series(BooleanArray(outcome.is_true, is_unknown), index=frame.index)

    @property
    def divisors(self) -> frozenset[str]:
        """The columns that something is divided by."""
        parts = [
            node.right
            for node in ast.walk(self._body)
            if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div)
        ]
        inside = [node for part in parts for node in ast.walk(part)]
        return frozenset(node.id for node in inside if isinstance(node, ast.Name))

    @property
    def fixed(self) -> frozenset[str]:
        """The columns that have one value, a constant, in all rows in which it holds."""
        body = self._body
        is_and = isinstance(body, ast.BoolOp) and isinstance(body.op, ast.And)
        found = set()
        for part in body.values if is_and and isinstance(body, ast.BoolOp) else [body]:
            match part:
                case ast.Compare(
                    left=ast.Name(id=name), ops=[ast.Eq(), *_], comparators=[ast.Constant(), *_]
                ):
                    found.add(name)
        return frozenset(found)

    def amounts(self, frame: pd.DataFrame) -> Numbers:
        """Return for each row the number that the expression is, NaN where it is unknown.

        Raises ConfigurationError for an unknown column, and for an outcome that is not a number.
        """
        found = _Evaluation(self.text, frame).number(self._body)
        return np.where(np.isfinite(found), found, np.nan)

    def holds(self, frame: pd.DataFrame) -> Flags:
        """Return for each row whether the expression is certainly true: unknown is not."""
        return self._outcome(frame).is_true

    def _outcome(self, frame: pd.DataFrame) -> "_Truth":
        outcome = _Evaluation(self.text, frame).of(self._body)
        if not isinstance(outcome, _Truth):
            raise _refusal(self.text, "its outcome is not true or false; compare it with a value")
        return outcome


def _refusal(text: str, reason: str) -> ConfigurationError:
    return ConfigurationError(f"the expression {text[:200]!r} cannot be used: {reason}.")


def _parse(text: str) -> ast.expr:
    if len(text) > LENGTH_LIMIT:
        raise ConfigurationError(
            f"an expression of {len(text):,} characters is too long; {LENGTH_LIMIT:,} at most."
        )
    try:
        with _PARSING:
            body = ast.parse(text, mode="eval").body
    except SyntaxError as error:
        raise _refusal(text, f"it does not parse ({error.msg}); {_GRAMMAR}; equal is ==") from error
    except (ValueError, MemoryError, RecursionError) as error:
        raise _refusal(text, f"it does not parse ({error})") from error
    _check(body, text, DEPTH_LIMIT)
    return body


def _check(node: ast.expr, text: str, depth: int) -> None:
    """Refuse every node that is not of the reduced grammar, or lies deeper than `depth`."""
    if depth == 0:
        raise _refusal(text, f"it is nested more than {DEPTH_LIMIT} deep")
    match node:
        case ast.Name() | ast.Constant(value=bool() | str()):
            children: list[ast.expr] = []
        case ast.Constant(value=int() | float() as value) if abs(value) < _LARGEST:
            children = []
        case ast.BoolOp(values=values):
            children = values
        case ast.UnaryOp(op=ast.Not() | ast.USub() | ast.UAdd(), operand=operand):
            children = [operand]
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
            children = [left, right]
        case ast.Compare(left=left, ops=ops, comparators=others):
            _check_comparison(ops, others, text)
            children = [left, *(item for item in others if not _is_choice(item))]
        case _:
            source = ast.get_source_segment(text, node) or text
            raise _refusal(text, f"{source[:80]!r} is not allowed; {_GRAMMAR}")
    for child in children:
        _check(child, text, depth - 1)


def _is_choice(node: ast.expr) -> bool:
    return isinstance(node, ast.List | ast.Tuple | ast.Set)


def _check_comparison(ops: list[ast.cmpop], others: list[ast.expr], text: str) -> None:
    for op, other in zip(ops, others, strict=True):
        is_membership = isinstance(op, ast.In | ast.NotIn)
        if not is_membership and type(op) not in _COMPARISON:
            raise _refusal(text, f"'is' compares objects; {_GRAMMAR}")
        if is_membership != _is_choice(other):
            raise _refusal(text, "'in' goes with choices in brackets, such as app in ('A', 'B')")
        if isinstance(other, ast.List | ast.Tuple | ast.Set):
            kinds = {_kind_of_constant(item, text) for item in other.elts}
            if len(kinds) != 1:
                raise _refusal(text, "the choices of 'in' must be numbers, or all be strings")


def _kind_of_constant(node: ast.expr, text: str) -> type:
    try:
        value = ast.literal_eval(node)
    except ValueError as error:
        raise _refusal(text, "the choices of 'in' must be numbers or strings") from error
    if isinstance(value, str):
        return str
    if isinstance(value, int | float) and abs(value) < _LARGEST:
        return float
    raise _refusal(text, "the choices of 'in' must be numbers or strings")


class _Truth(NamedTuple):
    """One three-valued outcome per row; a row that is neither is unknown."""

    is_true: Flags
    is_false: Flags

    def __and__(self, other: "_Truth") -> "_Truth":
        return _Truth(self.is_true & other.is_true, self.is_false | other.is_false)

    def __or__(self, other: "_Truth") -> "_Truth":
        return _Truth(self.is_true | other.is_true, self.is_false & other.is_false)

    def __invert__(self) -> "_Truth":
        return _Truth(self.is_false, self.is_true)


class _Evaluation:
    """One pass over the tree: numbers are float64 with NaN, texts are objects with None."""

    def __init__(self, text: str, frame: pd.DataFrame) -> None:
        self._text = text
        self._frame = frame

    def of(self, node: ast.expr) -> Numbers | Texts | _Truth:
        match node:
            case ast.Name(id=name):
                return self._column(name)
            case ast.Constant(value=bool() | int() | float() | str() as value):
                return self._constant(value)
            case ast.BoolOp(op=op, values=values):
                combine = operator.and_ if isinstance(op, ast.And) else operator.or_
                return reduce(combine, [self._condition(item) for item in values])
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return ~self._condition(operand)
            case ast.UnaryOp(op=op, operand=operand):
                number = self.number(operand)
                return -number if isinstance(op, ast.USub) else number
            case ast.BinOp(left=left, op=op, right=right):
                with np.errstate(all="ignore"):
                    found = _ARITHMETIC[type(op)](self.number(left), self.number(right))
                # x / 0 has no value, and inf - inf neither
                return np.where(np.isfinite(found), found, np.nan)
            case ast.Compare(left=left, ops=ops, comparators=others):
                pairs = zip([left, *others[:-1]], ops, others, strict=True)
                return reduce(operator.and_, [self._compared(*pair) for pair in pairs])
        raise _refusal(self._text, _GRAMMAR)

    def _column(self, name: str) -> Numbers | Texts | _Truth:
        if name not in self._frame.columns:
            known = ", ".join(map(str, self._frame.columns))
            raise _refusal(self._text, f"{name!r} is not a column; known: {known}")
        values = self._frame[name]
        if is_bool_dtype(values.dtype):
            number = values.to_numpy(dtype="float64", na_value=np.nan)
            return _Truth(number == 1.0, number == 0.0)
        if is_numeric_dtype(values.dtype):
            return values.to_numpy(dtype="float64", na_value=np.nan)
        if is_string_dtype(values.dtype):
            return values.astype(object).where(values.notna(), None).to_numpy(dtype=object)
        raise _refusal(self._text, f"{name!r} has type {values.dtype}; use numbers or strings")

    def _constant(self, value: bool | int | float | str) -> Numbers | Texts | _Truth:
        rows = len(self._frame)
        if isinstance(value, bool):
            return _Truth(np.full(rows, value), np.full(rows, not value))
        if isinstance(value, str):
            return np.full(rows, value, dtype=object)
        return np.full(rows, float(value))

    def number(self, node: ast.expr) -> Numbers:
        found = self.of(node)
        if isinstance(found, _Truth) or found.dtype == object:
            raise _refusal(self._text, f"{ast.unparse(node)!r} is not a number")
        return found.astype(np.float64, copy=False)

    def _condition(self, node: ast.expr) -> _Truth:
        found = self.of(node)
        if not isinstance(found, _Truth):
            raise _refusal(self._text, f"{ast.unparse(node)!r} is not a condition")
        return found

    def _values(self, node: ast.expr) -> Numbers | Texts:
        """Return conditions as 1.0, 0.0 and NaN, so that is_roaming == True can be written."""
        found = self.of(node)
        if isinstance(found, _Truth):
            return np.where(found.is_true, 1.0, np.where(found.is_false, 0.0, np.nan))
        return found

    def _compared(self, left: ast.expr, op: ast.cmpop, right: ast.expr) -> _Truth:
        if isinstance(op, ast.In | ast.NotIn):
            return self._is_among(left, op, ast.literal_eval(right))
        first, second = self._values(left), self._values(right)
        if (first.dtype == object) != (second.dtype == object):
            raise _refusal(
                self._text,
                f"{ast.unparse(left)!r} and {ast.unparse(right)!r} are text and number; "
                "quote text, and leave numbers unquoted",
            )
        is_known = ~(pd.isna(first) | pd.isna(second))
        holds = np.zeros(len(first), dtype=bool)
        holds[is_known] = _COMPARISON[type(op)](first[is_known], second[is_known])
        return _Truth(holds, is_known & ~holds)

    def _is_among(self, left: ast.expr, op: ast.cmpop, choices: Any) -> _Truth:
        values, options = self._values(left), list(choices)
        if (values.dtype == object) != isinstance(options[0], str):
            raise _refusal(self._text, f"{ast.unparse(left)!r} and its choices differ in type")
        found = pd.Series(values).isin(options).to_numpy(dtype=bool)
        among = _Truth(found, ~found & ~pd.isna(values))
        return ~among if isinstance(op, ast.NotIn) else among
