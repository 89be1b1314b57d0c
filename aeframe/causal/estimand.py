r"""Estimands: what is to be computed from data, as a small algebra of probabilities.

An Estimand is a function of its free variables: ``P(y | x)`` of both, ``Σ_{x} P(y | x) P(x)`` of
``y``. Names are bound by the innermost sum around them; print shows them with a prime where an
outer variable has the same name. The functions :func:`product`, :func:`total`, :func:`quotient`
and :func:`at` simplify by the laws of probability alone:

* ``Σ_a P(a, b | c) = P(b | c)``, and a factor without ``a`` leaves ``Σ_a``;
* ``P(a, b | c) / P(b | c) = P(a | b, c)``, and equal factors cancel;
* ``P(a | b, c) P(b | c) = P(a, b | c)`` where that sums ``b`` out.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from aeframe.causal.graph import Names, as_names
from aeframe.causal.notation import LATEX, TEXT, Style, latex_name
from aeframe.core.errors import ArgumentError

if TYPE_CHECKING:
    from xarray import DataArray

Shown = Mapping[str, str]  # variable → how it is printed here


class Estimand(ABC):
    """A function of discrete variables, made of probabilities.

    >>> p = total("z", product(P("y", ["x", "z"]), P("z")))
    >>> print(p, "of", ", ".join(sorted(p.free)))
    Σ_{z} P(y | x, z) P(z) of x, y
    """

    @property
    @abstractmethod
    def free(self) -> frozenset[str]:
        """The variables that it is a function of."""

    @abstractmethod
    def show(self, names: Shown, style: Style) -> str:
        """The formula, with free variables shown as ``names`` says."""

    @abstractmethod
    def rebuilt(self, change: Callable[[Probability], Estimand]) -> Estimand:
        """The same formula, simplified, with each of its probabilities changed."""

    def latex(self) -> str:
        """The formula in LaTeX."""
        return self.show({v: latex_name(v) for v in self.free}, LATEX)

    def _repr_latex_(self) -> str:
        return f"$${self.latex()}$$"

    def __str__(self) -> str:
        return self.show({v: v for v in self.free}, TEXT)

    def evaluate(self, source: Any, *data: Any, weights: str | None = None) -> DataArray:
        """Its values, an array with one axis for each free variable.

        Entries are NaN where the formula asks for a probability given what never happens; a
        warning names it.

        Parameters
        ----------
        source
            A table (DataFrame, or dict of columns) with one row for each unit; a joint
            distribution (DataArray with the variables as dims); a dict of such, from what a study
            randomized, ``()`` or ``("z",)``, to its data; or a Model whose sites have finitely
            many values, on which probabilities under ``do`` are experiments.
        data
            What the Model takes.
        weights
            The column of a table that holds counts or probabilities of its rows.

        Raises
        ------
        DataError
            When no entry is defined.

        >>> p = total("z", product(P("y", ["x", "z"]), P("z")))
        >>> rows = {"x": [0, 0, 1, 1], "z": [0, 1, 0, 1], "y": [0, 1, 1, 1]}
        >>> p.evaluate(rows).sel(y=1).to_dict()["data"]
        [0.5, 1.0]
        """
        from aeframe.causal.evaluate import evaluate

        return evaluate(self, source, data, weights)


@dataclass(frozen=True)
class Probability(Estimand):
    """``P(of | given)``, in an experiment that sets the variables ``do``."""

    of: tuple[str, ...]
    given: tuple[str, ...] = ()
    do: tuple[str, ...] = ()

    @cached_property
    def free(self) -> frozenset[str]:
        """All its variables."""
        return frozenset((*self.of, *self.given, *self.do))

    def show(self, names: Shown, style: Style) -> str:
        """As ``P(y | do(x), z)``."""
        of, given, do = (", ".join(names[v] for v in vs) for vs in (self.of, self.given, self.do))
        behind = ", ".join([style.do.format(do)] * bool(do) + [given] * bool(given))
        return f"P({of}{style.bar}{behind})" if behind else f"P({of})"

    def rebuilt(self, change: Callable[[Probability], Estimand]) -> Estimand:
        """Itself, changed."""
        return change(self)


@dataclass(frozen=True)
class Product(Estimand):
    """A product; of no factors, it is 1."""

    factors: tuple[Estimand, ...]

    @cached_property
    def free(self) -> frozenset[str]:
        """The variables of the factors."""
        return frozenset[str]().union(*(f.free for f in self.factors))

    def show(self, names: Shown, style: Style) -> str:
        """The factors side by side."""
        shown = [f.show(names, style) for f in self.factors]
        wrapped = [
            style.brackets.format(s) if isinstance(f, Sum) and i + 1 < len(shown) else s
            for i, (f, s) in enumerate(zip(self.factors, shown, strict=True))
        ]
        return " ".join(wrapped) or "1"

    def rebuilt(self, change: Callable[[Probability], Estimand]) -> Estimand:
        """The product of the rebuilt factors."""
        return product(*(f.rebuilt(change) for f in self.factors))


@dataclass(frozen=True)
class Sum(Estimand):
    """The sum of ``body`` over all values of the variables ``over``."""

    over: tuple[str, ...]
    body: Estimand

    @cached_property
    def free(self) -> frozenset[str]:
        """Those of the body that are not summed over."""
        return self.body.free - set(self.over)

    def show(self, names: Shown, style: Style) -> str:
        """``Σ_{v} body``, with new names for what is summed over."""
        inner = dict(names)
        taken = {names[v] for v in names if v not in self.over or v in self.free}
        taken |= {names[v] for v in self.over if v in names}
        for v in self.over:
            text = style.name(v)
            while text in taken:
                text += "'"
            inner[v] = text
            taken.add(text)
        over = ", ".join(inner[v] for v in self.over)
        return style.total.format(over, self.body.show(inner, style))

    def rebuilt(self, change: Callable[[Probability], Estimand]) -> Estimand:
        """The sum of the rebuilt body."""
        return total(self.over, self.body.rebuilt(change))


@dataclass(frozen=True)
class Quotient(Estimand):
    """``top / bottom``."""

    top: Estimand
    bottom: Estimand

    @cached_property
    def free(self) -> frozenset[str]:
        """Those of both."""
        return self.top.free | self.bottom.free

    def show(self, names: Shown, style: Style) -> str:
        """A fraction."""
        return style.fraction.format(self.top.show(names, style), self.bottom.show(names, style))

    def rebuilt(self, change: Callable[[Probability], Estimand]) -> Estimand:
        """The quotient of what is rebuilt."""
        return quotient(self.top.rebuilt(change), self.bottom.rebuilt(change))


@dataclass(frozen=True)
class At(Estimand):
    """``body`` where some of its variables have the values given: a function of the others."""

    body: Estimand
    values: tuple[tuple[str, Any], ...]

    @cached_property
    def free(self) -> frozenset[str]:
        """Those without a value."""
        return self.body.free - {name for name, _ in self.values}

    def show(self, names: Shown, style: Style) -> str:
        """The body with ``x=1`` in the place of ``x``."""
        fixed = {name: f"{style.name(name)}={value}" for name, value in self.values}
        return self.body.show({**names, **fixed}, style)

    def rebuilt(self, change: Callable[[Probability], Estimand]) -> Estimand:
        """The rebuilt body at the same values."""
        return at(self.body.rebuilt(change), dict(self.values))


@dataclass(frozen=True)
class Renamed(Estimand):
    """``body`` with other names for some of its variables, so that two values of one can meet."""

    body: Estimand
    names: tuple[tuple[str, str], ...]

    @cached_property
    def free(self) -> frozenset[str]:
        """Those of the body under their new names."""
        new = dict(self.names)
        return frozenset(new.get(v, v) for v in self.body.free)

    def show(self, names: Shown, style: Style) -> str:
        """The body, its variables shown as the new ones are."""
        return self.body.show({**names, **{old: names[new] for old, new in self.names}}, style)

    def rebuilt(self, change: Callable[[Probability], Estimand]) -> Estimand:
        """The rebuilt body under the same names."""
        return renamed(self.body.rebuilt(change), dict(self.names))


@dataclass(frozen=True)
class Zero(Estimand):
    """The probability of what cannot happen."""

    free = frozenset[str]()

    def show(self, names: Shown, style: Style) -> str:
        """0."""
        return "0"

    def rebuilt(self, change: Callable[[Probability], Estimand]) -> Estimand:
        """Itself."""
        return self


ONE = Product(())


def P(of: Names, given: Names = (), do: Names = ()) -> Estimand:  # noqa: N802 - as in the books
    """``P(of | given)``, in an experiment on ``do``; 1 where ``of`` is nothing.

    Raises
    ------
    ArgumentError
        When a variable has two of these places.

    >>> print(P("y", "z", do="x"))
    P(y | do(x), z)
    """
    parts = [tuple(sorted(set(as_names(names)))) for names in (of, given, do)]
    probability = Probability(*parts)
    if len(probability.free) < sum(map(len, parts)):
        raise ArgumentError("a probability has one place for each variable", got=str(probability))
    return probability if probability.of else ONE


def product(*factors: Estimand) -> Estimand:
    """The product, in an order that depends on the factors alone."""
    flat: list[Estimand] = []
    for factor in factors:
        flat += factor.factors if isinstance(factor, Product) else [factor]
    flat.sort(key=lambda f: (isinstance(f, Sum), isinstance(f, Quotient), str(f)))
    return flat[0] if len(flat) == 1 else Product(tuple(flat))


def total(over: Names, body: Estimand) -> Estimand:
    """The sum of ``body`` over variables, with those that only some factors have inside.

    >>> print(total(["y", "z"], product(P("y", "z"), P("z", "x"), P("x"))))
    P(x)
    """
    names = tuple(sorted(set(as_names(over))))
    if isinstance(body, Sum) and not set(names) & set(body.over):
        return total((*names, *body.over), body.body)
    if isinstance(body, Probability) and set(names) <= set(body.of):
        return P(set(body.of) - set(names), body.given, body.do)
    factors = list(body.factors) if isinstance(body, Product) else [body]
    left, before = list(names), 0
    while len(left) != before:  # until no law holds; what has most conditions goes first
        before = len(left)
        place = {v: len(f.given) for f in factors if isinstance(f, Probability) for v in f.of}
        for name in sorted(left, key=lambda v: -place.get(v, 0)):
            if (found := _summed(name, factors)) is not None:
                left.remove(name)
                factors = found
    outside = [f for f in factors if f.free.isdisjoint(left)]
    inside = [f for f in factors if not f.free.isdisjoint(left)]
    if not left:
        return product(*factors)
    return product(*outside, Sum(tuple(left), product(*inside)))


def _summed(name: str, factors: list[Estimand]) -> list[Estimand] | None:
    """The factors after the sum over one variable, if a law of probability gives them."""
    with_name = [f for f in factors if name in f.free]
    found = [f for f in with_name if isinstance(f, Probability)]
    if not found or len(found) < len(with_name):
        return None
    joint, *others = sorted(found, key=lambda f: len(f.given))
    for other in others:  # each follows from those with fewer conditions
        merged = _chain(other, joint) if name in joint.of else None
        if merged is None:
            return None
        joint = merged
    if name not in joint.of:
        return None
    rest = P(set(joint.of) - {name}, joint.given, joint.do)
    return [*(f for f in factors if name not in f.free), *([] if rest == ONE else [rest])]


def _chain(f: Probability, g: Probability) -> Probability | None:
    """``P(a, b | c)`` where ``f`` is ``P(a | b, c)`` and ``g`` is ``P(b | c)``."""
    same = f.do == g.do and len(f.given) == len(g.of) + len(g.given)
    if same and {*g.of, *g.given} == {*f.given}:
        return Probability(tuple(sorted({*f.of, *g.of})), g.given, g.do)
    return None


def quotient(top: Estimand, bottom: Estimand) -> Estimand:
    """``top / bottom``, without the factors that both have.

    >>> print(quotient(P(["x", "y"], "z"), P("x", "z")))
    P(y | x, z)
    """
    above = list(top.factors) if isinstance(top, Product) else [top]
    below = list(bottom.factors) if isinstance(bottom, Product) else [bottom]
    for factor in list(below):
        if factor in above:
            above.remove(factor)
            below.remove(factor)
    for b in list(below):
        for a in above:
            if (conditional := _conditional(a, b)) is not None:
                above[above.index(a)] = conditional
                below.remove(b)
                break
    return Quotient(product(*above), product(*below)) if below else product(*above)


def _conditional(a: Estimand, b: Estimand) -> Estimand | None:
    """``P(a | b, c)`` where these are ``P(a, b | c)`` and ``P(b | c)``."""
    if not isinstance(a, Probability) or not isinstance(b, Probability):
        return None
    if (a.given, a.do) != (b.given, b.do) or not set(b.of) < set(a.of):
        return None
    return P(set(a.of) - set(b.of), {*a.given, *b.of}, a.do)


def at(body: Estimand, values: Mapping[str, Any]) -> Estimand:
    """``body`` where its free variables have ``values``.

    >>> print(at(P("y", do="x"), {"x": 1}))
    P(y | do(x=1))
    """
    fixed = tuple((v, values[v]) for v in sorted(body.free & set(values)))
    return At(body, fixed) if fixed else body


def renamed(body: Estimand, names: Mapping[str, str]) -> Estimand:
    """``body`` with new names for its free variables, old → new."""
    changed = tuple((v, names[v]) for v in sorted(body.free & set(names)) if names[v] != v)
    return Renamed(body, changed) if changed else body
