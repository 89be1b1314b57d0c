"""Normalizations: over the batch, over features, over groups of features."""

from __future__ import annotations

from collections.abc import Sequence

import aesara.tensor as at
from aesara.graph.basic import Variable
from aesara.graph.type import Type

from aeframe.core.errors import ShapeError
from aeframe.core.grad import is_float
from aeframe.core.ops import TypedOp, require_ndim, require_size, tensor_like
from aeframe.core.shapes import shape_text
from aeframe.core.trace import current_path


class _Normalize(TypedOp):
    __props__: tuple[str, ...] = ("epsilon",)

    def __init__(self, epsilon: float) -> None:
        self.epsilon = epsilon

    def check(self, x: Variable, *parameters: Variable) -> None:
        """Each parameter has one entry for each feature, the last axis of ``x``."""
        for name, p in zip(("scale", "shift", "mean", "variance"), parameters, strict=False):
            require_ndim(self, name, p, 1)
            require_size(self, "x", x, x.type.ndim - 1, p.type.shape[0])

    def out_types(self, x: Variable, *parameters: Variable) -> Sequence[Type] | None:
        """That of ``x``, where it is a float."""
        return tensor_like(x.type.shape, x, *parameters) if is_float(x) else None

    def standardized(
        self, x: Variable, axes: int | list[int], weight: Variable | None = None
    ) -> tuple[Variable, ...]:
        """X with mean 0 and variance 1 along ``axes``; the mean and the variance."""
        mean = _mean(x, axes, weight)
        centred = x - mean
        variance = _mean(centred * centred, axes, weight)
        return centred / at.sqrt(variance + self.epsilon), mean, variance


class StandardizeOp(_Normalize):
    """Mean 0 and variance 1 over the last axis: layer normalization before scale and shift."""

    def body(self, x: Variable) -> Variable:
        """(x − mean) / √(variance + ε)."""
        return self.standardized(x, -1)[0]


class LayerNormOp(_Normalize):
    """Mean 0 and variance 1 over the last axis, then scale and shift (Ba et al. 2016)."""

    def body(self, x: Variable, scale: Variable, shift: Variable) -> Variable:
        """Scale (x − mean) / √(variance + ε) + shift."""
        return self.standardized(x, -1)[0] * scale + shift

    def pullback(
        self,
        inputs: Sequence[Variable],
        outputs: Sequence[Variable],
        cotangents: Sequence[Variable | None],
    ) -> list[Variable | None]:
        """(u − mean u − x̂ mean(u x̂)) / s with u = g · scale, then 1ᵀ (g x̂) and 1ᵀ g.

        XLA sums columns faster as a product.
        """
        (x, scale, _), (g,) = inputs, cotangents
        assert g is not None
        normal, _, variance = self.standardized(x, -1)
        u = g * scale
        moved = u - _mean(u, -1) - normal * _mean(u * normal, -1)
        flat = [v.reshape((-1, x.shape[-1])) for v in (g * normal, g)]
        ones = at.ones((flat[0].shape[0],), dtype=g.type.dtype)
        return [moved / at.sqrt(variance + self.epsilon), *(at.dot(ones, v) for v in flat)]


class RMSNormOp(_Normalize):
    """Mean square 1 over the last axis, then scale (Zhang and Sennrich 2019)."""

    def body(self, x: Variable, scale: Variable) -> Variable:
        """Scale x / √(mean x² + ε)."""
        return x / at.sqrt(_mean(x * x, -1) + self.epsilon) * scale


class GroupNormOp(_Normalize):
    """Mean 0, variance 1 over all axes but the first, by groups of features (Wu and He 2018)."""

    __props__ = ("groups", "epsilon")

    def __init__(self, groups: int, epsilon: float) -> None:
        self.groups, self.epsilon = groups, epsilon

    def check(self, x: Variable, *parameters: Variable) -> None:
        """The features divide into the groups."""
        super().check(x, *parameters)
        width = x.type.shape[-1]
        if width is not None and width % self.groups:
            raise ShapeError(
                f"{width} features do not divide into {self.groups} groups",
                path=current_path(),
                got=shape_text(x.type.shape),
                fix="choose a number of groups that divides the features",
            )

    def body(self, x: Variable, scale: Variable, shift: Variable) -> Variable:
        """(n, ..., c) seen as (n, ..., groups, c / groups)."""
        shape = [x.shape[i] for i in range(x.type.ndim)]
        split = x.reshape([*shape[:-1], self.groups, shape[-1] // self.groups])
        axes = [i for i in range(1, split.type.ndim) if i != split.type.ndim - 2]
        return self.standardized(split, axes)[0].reshape(shape) * scale + shift


class BatchNormOp(_Normalize):
    """Mean 0 and variance 1 over all axes but the last, with running statistics.

    x, scale, shift, mean, variance → y, next mean, next variance (Ioffe and Szegedy 2015). With a
    sixth input ``weight``, (n,) for x of (n, ...), the statistics are Σ w x / Σ w and so on: rows
    of weight 0 are not seen.
    """

    __props__ = ("momentum", "epsilon")

    def __init__(self, momentum: float, epsilon: float) -> None:
        self.momentum, self.epsilon = momentum, epsilon

    def check(self, x: Variable, *parameters: Variable) -> None:
        """The parameters as in the base; one weight for each row of ``x``."""
        super().check(x, *parameters[:4])
        for weight in parameters[4:]:
            require_ndim(self, "weight", weight, 1)
            require_size(self, "weight", weight, 0, x.type.shape[0])

    def out_types(self, x: Variable, *parameters: Variable) -> Sequence[Type] | None:
        """Those of ``x`` and of the statistics; rows may have a weight of another dtype."""
        if len(parameters) > 4:
            return None
        (y,) = tensor_like(x.type.shape, x, *parameters)
        return (y, *tensor_like(x.type.shape[-1:], y()) * 2)

    def body(
        self,
        x: Variable,
        scale: Variable,
        shift: Variable,
        mean: Variable,
        variance: Variable,
        weight: Variable | None = None,
    ) -> list[Variable]:
        """Statistics of the batch; the running ones move by 1 − momentum."""
        axes = list(range(x.type.ndim - 1))
        y, m, v = self.standardized(x, axes, weight)
        kept, width = self.momentum, [x.shape[-1]]
        return [
            y * scale + shift,
            kept * mean + (1 - kept) * m.reshape(width),
            kept * variance + (1 - kept) * v.reshape(width),
        ]


class BatchNormInferenceOp(_Normalize):
    """The same with the running statistics: x, scale, shift, mean, variance → y."""

    def body(
        self, x: Variable, scale: Variable, shift: Variable, mean: Variable, variance: Variable
    ) -> Variable:
        """Scale (x − mean) / √(variance + ε) + shift."""
        return (x - mean) / at.sqrt(variance + self.epsilon) * scale + shift


def _mean(x: Variable, axes: int | list[int], weight: Variable | None = None) -> Variable:
    """The mean along axes, which stay with size 1, in the dtype of ``x``; rows by ``weight``."""
    listed = [axes % x.type.ndim] if isinstance(axes, int) else axes
    size = at.prod(at.stack([x.shape[i] for i in listed])) if listed else at.as_tensor(1)
    size = size.astype(x.type.dtype)
    if weight is not None:
        rows = weight.astype(x.type.dtype)
        size = size / x.shape[0].astype(x.type.dtype) * rows.sum()
        x = x * at.shape_padright(rows, x.type.ndim - 1)
    return x.sum(axis=listed, keepdims=True) / size
