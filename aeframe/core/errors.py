"""Every mistake a user can make has one class here; its message says where, what and the fix.

A message has up to four parts: the place (the path of a Module, a file or a name), what was
expected, what came, and what to write instead. ``AeframeError`` lays them out the same way
everywhere, so that a reader finds the fix in the last line.
"""

from __future__ import annotations

from typing import Any


class AeframeError(Exception):
    """Base of all errors of aeframe.

    Parameters
    ----------
    problem
        One sentence that says what went wrong.
    path
        Where: the path of a Module (``encoder.layers[2]``), a file or a name.
    expected, got
        What was wanted there, and what came.
    fix
        What to write instead.

    >>> print(ShapeError("wrong width", path="out", expected="(*, 8)", got="(3, 7)", fix="pass 8"))
    wrong width
      at:       out
      expected: (*, 8)
      got:      (3, 7)
      fix:      pass 8
    """

    def __init__(
        self,
        problem: str,
        *,
        path: str | None = None,
        expected: object = None,
        got: object = None,
        fix: str | None = None,
    ) -> None:
        self.problem, self.path, self.expected, self.got, self.fix = (
            problem,
            path,
            expected,
            got,
            fix,
        )
        parts = [("at", path), ("expected", expected), ("got", got), ("fix", fix)]
        lines = [f"  {label + ':':<9} {text}" for label, text in parts if text is not None]
        super().__init__("\n".join([problem, *lines]))


class ShapeError(AeframeError, ValueError):
    """An array or a symbolic tensor has the wrong shape.

    Wrong: ``Dense(8)`` called on width 4, then on width 5. Right: one layer for each width.
    """


class DtypeError(AeframeError, TypeError):
    """An array has a dtype that the place cannot take.

    Wrong: ``softmax_cross_entropy(logits, float_labels)``. Right: integer class labels.
    """


class BodyError(AeframeError):
    """The body of a typed Op could not be built for the inputs it was given."""


class DataError(AeframeError, ValueError):
    """Data holds something it must not: NaN, labels out of range, no rows, unequal lengths.

    Wrong: ``model.fit(x_with_nan, y)``. Right: drop or impute the rows first.
    """


class NameTakenError(AeframeError, ValueError):
    """One name is used for two things.

    Wrong: two ``self.sample("mu", ...)``. Right: a name of its own for each.
    """


class UnknownNameError(AeframeError, KeyError):
    """A name that nothing has; the message lists the nearest names.

    Wrong: ``model.intervene({"treatmnt": 1})``. Right: ``model.intervene({"treatment": 1})``.
    """

    __str__ = Exception.__str__


class ArgumentError(AeframeError, TypeError):
    """An argument has the wrong kind or an impossible value."""


class GradientError(AeframeError, ValueError):
    """A gradient was asked for that does not exist: a cost that is no scalar, an integer input.

    Wrong: a loss that returns one number per example. Right: ``loss(...).mean()``.
    """


class IntermediateError(AeframeError, TypeError):
    """A kernel, a circuit or a measure was used where a tensor is needed.

    Wrong: compiling the kernel itself. Right: compiling ``kernel(x)``, its Gram matrix.
    """


class StateError(AeframeError, RuntimeError):
    """A cell has no value yet, or a verb was called before the one it needs.

    Wrong: ``model.fit(x, y)`` before ``model.compile(...)``. Right: compile first.
    """


class BackendError(AeframeError, RuntimeError):
    """A backend is unknown or not available here; the message says how to get it."""


class UnsupportedError(AeframeError, NotImplementedError):
    """A backend cannot do an Op; the message names the Op, its path and a backend that can."""


class FileError(AeframeError, OSError):
    """A file is missing, damaged, foreign, of a later version, or of another model."""

    __str__ = Exception.__str__


class SerializationError(AeframeError, TypeError):
    """An object cannot be written as data: it holds code or something no file can describe."""


class RewriteError(AeframeError, RuntimeError):
    """A rule is not well formed, or a set of rules did not come to an end."""


class DensityError(AeframeError, ValueError):
    """No log density could be found for a variable of a Model."""


class CircuitError(AeframeError, ValueError):
    """A circuit is not smooth or not decomposable, or the weights of a Sum do not add up to 1.

    Wrong: ``Bernoulli(0, 0.5) * Bernoulli(0, 0.5)``. Right: a column of its own for each.
    """


class FitError(AeframeError, RuntimeError):
    """An optimization or a search ended without any usable answer."""


class NotIdentifiableError(AeframeError, ValueError):
    """A causal question that no data on the observed variables can answer.

    Attributes
    ----------
    hedge
        The proof: where it comes from ``identify``, two C-forests.

    Wrong: ``identify(graph, "y", do="x")`` where a hidden variable causes both. Right: measure
    it, find an instrument, or randomize ``x``.
    """

    def __init__(self, problem: str, *, hedge: object = None, **parts: Any) -> None:
        super().__init__(problem, **parts)
        self.hedge = hedge


def nearest(name: str, names: list[str] | tuple[str, ...]) -> str:
    """A hint that lists the names close to ``name``, or all of them.

    >>> nearest("treatmnt", ["size", "treatment"])
    "did you mean 'treatment'?"
    """
    from difflib import get_close_matches

    close = get_close_matches(name, names, n=3)
    if close:
        return "did you mean " + " or ".join(repr(c) for c in close) + "?"
    return "one of " + ", ".join(repr(n) for n in sorted(names)) if names else "there are none"
