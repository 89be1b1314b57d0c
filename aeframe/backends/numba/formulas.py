"""What an entry of an elementwise Apply is, as a Python expression that Numba compiles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import aesara.scalar.basic as asb
import aesara.scalar.math as asm
from aesara.scalar.basic import ScalarOp, upcast
from aesara.tensor.math import MulWithoutZeros

FLOATS = ("float32", "float64")
DTYPES = ("bool", *FLOATS, *(f"{u}int{n}" for u in ("", "u") for n in (8, 16, 32, 64)))


def cast(text: str, source: str, target: str) -> str:
    """``text`` of dtype ``source`` as a value of dtype ``target``.

    >>> cast("x", "int64", "float32"), cast("x", "int64", "bool"), cast("x", "bool", "bool")
    ('np.float32(x)', '(x != 0)', 'x')
    """
    if source == target:
        return text
    return f"({text} != 0)" if target == "bool" else f"np.{target}({text})"


def literal(value: Any, dtype: str) -> str:
    """A number as source.

    >>> literal(0.1, "float64"), literal(float("-inf"), "float32"), literal(1, "bool")
    ('0.1', 'np.float32(-np.inf)', 'True')
    """
    if dtype == "bool":
        return repr(bool(value))
    text = repr(float(value) if dtype in FLOATS else int(value))
    text = text.replace("inf", "np.inf").replace("nan", "np.nan")
    return text if dtype == "float64" else f"np.{dtype}({text})"


_JOINED: dict[type, str] = {
    asb.Add: "+",
    asb.Mul: "*",
    asb.Sub: "-",
    asb.TrueDivide: "/",
    asb.FloorDivide: "//",
    asb.Mod: "%",
    asb.Pow: "**",
    asb.AND: "&",
    asb.OR: "|",
    asb.XOR: "^",
}
_COMPARED: dict[type, str] = {
    asb.LT: "<",
    asb.GT: ">",
    asb.LE: "<=",
    asb.GE: ">=",
    asb.EQ: "==",
    asb.NEQ: "!=",
}
_OF_FLOATS: dict[type, str] = {
    asb.Sqrt: "math.sqrt({0})",
    asb.Exp: "math.exp({0})",
    asb.Exp2: "np.exp2({0})",
    asb.Expm1: "math.expm1({0})",
    asb.Log: "math.log({0})",
    asb.Log1p: "math.log1p({0})",
    asb.Log2: "np.log2({0})",
    asb.Log10: "math.log10({0})",
    asb.Sin: "math.sin({0})",
    asb.Cos: "math.cos({0})",
    asb.Tan: "math.tan({0})",
    asb.Sinh: "math.sinh({0})",
    asb.Cosh: "math.cosh({0})",
    asb.Tanh: "math.tanh({0})",
    asb.ArcSin: "math.asin({0})",
    asb.ArcCos: "math.acos({0})",
    asb.ArcTan: "math.atan({0})",
    asb.ArcTan2: "math.atan2({0}, {1})",
    asb.ArcSinh: "math.asinh({0})",
    asb.ArcCosh: "math.acosh({0})",
    asb.ArcTanh: "math.atanh({0})",
    asb.Ceil: "np.ceil({0})",
    asb.Floor: "np.floor({0})",
    asb.Trunc: "np.trunc({0})",
    asb.RoundHalfToEven: "np.rint({0})",
    asb.Reciprocal: "1 / {0}",
    asm.Erf: "math.erf({0})",
    asm.Erfc: "math.erfc({0})",
    asm.GammaLn: "math.lgamma({0})",
    asm.Sigmoid: "1 / (1 + math.exp(-{0}))",
    asm.Softplus: "max({0}, 0) + math.log1p(math.exp(-abs({0})))",
    asm.Log1mexp: "math.log1p(-math.exp({0})) if {0} < -0.6931471805599453 "
    "else math.log(-math.expm1({0}))",
}
# NaN wins, as in NumPy
_OF_NUMBERS: dict[type, str] = {
    asb.Neg: "-{0}",
    asb.Abs: "abs({0})",
    asb.Sqr: "{0} * {0}",
    asb.Sgn: "np.sign({0})",
    asb.Identity: "{0}",
    asb.Cast: "{0}",
    asb.Second: "{1}",
    asb.ScalarMaximum: "{0} if ({0} >= {1} or {0} != {0}) else {1}",
    asb.ScalarMinimum: "{0} if ({0} <= {1} or {0} != {0}) else {1}",
    asb.Clip: "{1} if {0} < {1} else ({2} if {0} > {2} else {0})",
    MulWithoutZeros: "{1} if {0} == 0 else ({0} if {1} == 0 else {0} * {1})",
}


def formula(op: ScalarOp, args: Sequence[str], given: Sequence[str], dtype: str) -> str | None:
    """The value of ``op`` on names ``args`` of dtypes ``given``; None where there is no formula.

    >>> formula(asb.add, ["a", "b"], ["float32", "int8"], "float32")
    'a + np.float32(b)'
    """
    kind = type(op)
    if not {dtype, *given} <= set(DTYPES):
        return None
    if kind in _COMPARED:
        together = upcast(*given)
        a, b = (cast(x, d, together) for x, d in zip(args, given, strict=True))
        return f"{a} {_COMPARED[kind]} {b}"
    if kind is asb.Switch:
        a, b = (cast(x, d, dtype) for x, d in zip(args[1:], given[1:], strict=True))
        return f"{a} if {cast(args[0], given[0], 'bool')} else {b}"
    if kind is asb.Invert:
        return f"not {args[0]}" if dtype == "bool" else f"np.{dtype}(~{args[0]})"
    if kind in (asb.IsNan, asb.IsInf):
        return f"np.{'isnan' if kind is asb.IsNan else 'isinf'}({args[0]})"
    values = [cast(x, d, dtype) for x, d in zip(args, given, strict=True)]
    return _of_values(kind, values, dtype)


def _of_values(kind: type, values: Sequence[str], dtype: str) -> str | None:
    """The formula of an Op whose arguments are of the dtype of its result."""
    if dtype == "bool":
        joined = {asb.Add: "|", asb.OR: "|", asb.Mul: "&", asb.AND: "&", asb.XOR: "^"}.get(kind)
        if joined:
            return f" {joined} ".join(values)
        return values[0] if kind in (asb.Identity, asb.Cast) else None
    if kind in _JOINED:
        text = f" {_JOINED[kind]} ".join(values)
        if dtype in FLOATS:
            return text
        return None if kind is asb.Pow else f"np.{dtype}({text})"
    if kind in _OF_FLOATS and dtype in FLOATS:
        text = _OF_FLOATS[kind].format(*values)
        return f"np.{dtype}({text})" if any(c in text for c in "1<+") else text
    if kind in _OF_NUMBERS:
        return f"np.{dtype}({_OF_NUMBERS[kind].format(*values)})"
    return None


Combine = Callable[[str, str], str]


def reduction(op: ScalarOp, dtype: str) -> tuple[object, Combine] | None:
    """Where a reduction starts and how it takes one more value; None where there is no formula."""
    kind, floats = type(op), dtype in FLOATS
    if dtype not in DTYPES:
        return None
    if kind in (asb.AND, asb.OR) and dtype == "bool":
        word = "and" if kind is asb.AND else "or"
        return kind is asb.AND, lambda a, x: f"{a} {word} {x}"
    if dtype == "bool":
        return None
    if kind in (asb.Add, asb.Mul):
        sign = _JOINED[kind]
        return int(kind is asb.Mul), lambda a, x: f"{a} {sign} {x}"
    if kind in (asb.ScalarMaximum, asb.ScalarMinimum) and floats:
        sign = ">" if kind is asb.ScalarMaximum else "<"
        start = float("-inf") if sign == ">" else float("inf")
        return start, lambda a, x: f"{x} if ({x} {sign} {a} or {x} != {x}) else {a}"
    return None
