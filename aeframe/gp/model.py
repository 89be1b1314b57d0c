"""The Gaussian process with Gaussian noise: exact evidence, prediction and samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import aesara.tensor as at
import numpy as np
from aesara.graph.basic import Variable
from numpy.typing import ArrayLike, NDArray

from aeframe.backends import Backend, as_array, require_finite
from aeframe.core import Module, Parameter, State
from aeframe.core.errors import ArgumentError, DataError, ShapeError, StateError
from aeframe.core.module import graph_method
from aeframe.core.shapes import shape_text
from aeframe.gp.kernel import Kernel, as_columns
from aeframe.gp.kernels import SE, White
from aeframe.gp.linalg import CholeskyOp, GaussianEvidenceOp, TriangularSolveOp
from aeframe.gp.ops import SumKernelOp, gram

if TYPE_CHECKING:
    from aeframe.gp.fit import FitResult
    from aeframe.gp.search import KernelSearch

Array = NDArray[np.floating]


class Prediction(NamedTuple):
    """Mean and variance at each new input."""

    mean: Any
    variance: Any


class GP(Module):
    """y = f(x) + noise, where f is drawn from a Gaussian process.

    Parameters
    ----------
    kernel
        The covariance of f; any by default, until ``fit(x, y, search=...)`` finds one.
    noise
        The variance of the noise, which is a :class:`White` kernel; learned by :meth:`fit`.
    mean
        Of f: a number, a Parameter, or a Module of the inputs.

    >>> from aeframe.gp import SE
    >>> gp = GP(SE(), noise=0.01).condition([0.0, 1.0, 2.0], [0.0, 1.0, 0.0])
    >>> gp.predict([1.0], noise=False).mean.round(2)
    array([0.97])
    """

    dtype = "float64"

    def __init__(
        self,
        kernel: Kernel | None = None,
        noise: float | Variable | White = 1.0,
        mean: float | Variable | Module = 0.0,
    ) -> None:
        kernel = SE() if kernel is None else kernel
        if not isinstance(kernel, Kernel):
            raise ArgumentError("a GP takes a kernel", expected="GP(SE())", got=repr(kernel))
        self.kernel = kernel
        self.noise = noise if isinstance(noise, White) else White(noise)
        self.mean = mean
        self.data: dict[str, State] = {}

    @graph_method
    def expression(self, width: int | None = None) -> Variable:
        """The kernel of the observations: the GP's own and the noise."""
        return SumKernelOp()(self.kernel.expression(width), self.noise.expression(width))

    def mean_at(self, x: Variable) -> Variable:
        """The mean of f at inputs (n, d): (n,) or a number."""
        if not isinstance(self.mean, Module):
            return at.as_tensor(self.mean)
        made = self.mean(x)
        return made if made.type.ndim < 2 else made.reshape((x.shape[0],))

    def log_prob(self, x: ArrayLike | Variable, y: ArrayLike | Variable) -> Any:
        """The log marginal likelihood log p(y | x)."""
        if isinstance(x, Variable) or isinstance(y, Variable):
            return self._log_prob(x, y)
        return float(self._log_prob(*checked_data(x, y)))

    @graph_method
    def _log_prob(self, x: Variable, y: Variable) -> Variable:
        return self._evidence(as_columns(x), y)[0]

    def _evidence(self, x: Variable, y: Variable) -> Sequence[Variable]:
        """The log evidence, L and α of :class:`GaussianEvidenceOp`."""
        covariance = gram(self.expression(x.type.shape[1]), x)
        return GaussianEvidenceOp()(covariance, y.astype("float64") - self.mean_at(x))

    def condition(self, x: ArrayLike, y: ArrayLike) -> Self:
        """Take data in: predictions and samples are those given ``x`` and ``y``."""
        inputs, targets = checked_data(x, y)
        self.data = {"x": State(inputs), "y": State(targets)}
        return self

    def fit(
        self,
        x: ArrayLike,
        y: ArrayLike,
        search: KernelSearch | None = None,
        *,
        restarts: int = 2,
        steps: int = 200,
        seed: int = 0,
        backend: str | Backend | None = None,
    ) -> FitResult:
        """Maximize the log marginal likelihood, of this kernel or of those a search tries.

        Parameters
        ----------
        x, y
            Inputs (n,) or (n, d) and targets (n,). The GP is conditioned on them.
        search
            How to look for a better kernel; ``None`` keeps this one.
        restarts
            Further starts from values drawn from the scales of the data.
        steps
            Iterations of L-BFGS at most, for each start.
        seed
            Of the starts.
        backend
            What computes; the current backend by default.
        """
        from aeframe.gp.fit import fit

        self.condition(x, y)
        if search is not None:
            if not hasattr(search, "run"):
                raise ArgumentError(
                    "not a search", expected="search=ae.KernelSearch()", got=repr(search)
                )
            return search.run(self, backend)
        return fit(self, restarts=restarts, steps=steps, seed=seed, backend=backend)

    def predict(self, x: ArrayLike | Variable, noise: bool = True) -> Prediction:
        """Mean and variance at ``x`` given the data: of new observations, or of f alone.

        Raises
        ------
        StateError
            Before :meth:`condition` or :meth:`fit`.
        """
        return self._predict(_checked_inputs(x), noise=noise)

    @graph_method
    def _predict(self, x: Variable, noise: bool) -> Prediction:
        mean, covariance = self._posterior(as_columns(x), noise)
        return Prediction(mean, at.maximum(at.diagonal(covariance), 0.0))

    def _posterior(self, x: Variable, noise: bool) -> tuple[Variable, Variable]:
        """Mean m + K*ᵀα and covariance K** − VᵀV, with V = L⁻¹K*."""
        if not self.data:
            raise StateError("this GP has no data yet", fix="call `condition(x, y)` or `fit(x, y)`")
        known, width = self.data["x"].read(), x.type.shape[1]
        _, L, alpha = self._evidence(known, self.data["y"].read())
        kernel = self.kernel.expression(width)
        cross = gram(kernel, known, x)
        half = TriangularSolveOp()(L, cross)
        prior = gram(self.expression(width) if noise else kernel, x)
        return self.mean_at(x) + at.dot(cross.T, alpha), prior - at.dot(half.T, half)

    def sample(self, x: ArrayLike, size: int = 1, seed: int = 0, noise: bool = False) -> Array:
        """Draws of f at ``x``, (size, n): from the prior, or given the data where there is some."""
        inputs = _checked_inputs(x)
        z = np.random.default_rng(seed).standard_normal((len(inputs), size))
        return self._sample(inputs, z, noise=noise).T

    @graph_method
    def _sample(self, x: Variable, z: Variable, noise: bool) -> Variable:
        x = as_columns(x)
        if self.data:
            mean, covariance = self._posterior(x, noise)
        else:
            width = x.type.shape[1]
            kernel = self.expression(width) if noise else self.kernel.expression(width)
            mean, covariance = self.mean_at(x), gram(kernel, x)
        return (mean + at.dot(CholeskyOp()(covariance), z).T).T

    def plot(self, x: ArrayLike | None = None, **options: Any) -> Any:
        """Data, mean and two standard deviations, see :func:`aeframe.gp.plot.plot`."""
        from aeframe.gp.plot import plot

        return plot(self, x, **options)

    def parameters(self) -> list[Parameter]:
        """The parameters that :meth:`fit` learns."""
        found = self.store.values()
        return [c for c in found if isinstance(c, Parameter) and c.trainable]


def checked_data(x: ArrayLike, y: ArrayLike) -> tuple[Array, Array]:
    """Inputs (n, d) and targets (n,) as arrays of finite floats.

    Raises
    ------
    DataError, ShapeError, DtypeError
        When there are no rows, unequal numbers of them, NaN, or no numbers.
    """
    inputs = _checked_inputs(x)
    targets = as_array(y, "float64", "y").astype("float64", copy=False)
    if targets.ndim != 1:
        raise ShapeError(
            "the targets are no vector",
            path="y",
            expected="(n,)",
            got=shape_text(targets.shape),
            fix="`y.ravel()` for one column",
        )
    if len(targets) != len(inputs):
        raise DataError(
            "x and y have different lengths",
            path="y",
            expected=f"{len(inputs)} targets, as x has rows",
            got=len(targets),
            fix="pass one target for each row of x",
        )
    require_finite("y", targets)
    return inputs, targets


def _checked_inputs(x: Any) -> Any:
    if isinstance(x, Variable):
        return x
    inputs = as_array(x, "float64", "x").astype("float64", copy=False)
    inputs = inputs[:, None] if inputs.ndim == 1 else inputs
    if inputs.ndim != 2:
        raise ShapeError(
            "the inputs are no matrix",
            path="x",
            expected="(n, d), or (n,) for one column",
            got=shape_text(inputs.shape),
            fix="`x.reshape(n, d)`",
        )
    if not inputs.size:
        raise DataError("there are no rows", path="x", got=shape_text(inputs.shape))
    require_finite("x", inputs)
    return inputs
