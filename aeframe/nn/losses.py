"""Losses: ``loss(prediction, target, weight=None)``, a scalar, the average over the batch.

``weight`` has the shape of the leading axes of the entries' losses: one weight for each row, (n,),
or one for each step of each row, (n, t). The other axes are averaged, then Σ w l / Σ w is taken;
it is 0 where Σ w = 0.
"""

from __future__ import annotations

from aesara.graph.basic import Variable

from aeframe.core.ops import TypedOp, as_variable
from aeframe.core.structure import register
from aeframe.nn.ops import (
    BinaryCrossEntropyOp,
    CosineOp,
    HingeOp,
    HuberOp,
    KLDivergenceOp,
    MeanAbsoluteErrorOp,
    MeanSquaredErrorOp,
    NegativeLogLikelihoodOp,
    SoftmaxCrossEntropyOp,
)


def _call(op: TypedOp, prediction: Variable, target: Variable, weight: Variable | None) -> Variable:
    more = [] if weight is None else [as_variable(weight).astype(prediction.type.dtype)]
    return op.make_node(prediction, target, *more).outputs[0]


@register
def negative_log_likelihood(
    logp: Variable, labels: Variable, weight: Variable | None = None
) -> Variable:
    """The average of ``−logp[..., label]``: (..., k) and integers from 0 (...)."""
    return _call(NegativeLogLikelihoodOp(), logp, labels, weight)


@register
def softmax_cross_entropy(
    logits: Variable,
    labels: Variable,
    weight: Variable | None = None,
    smoothing: float = 0.0,
) -> Variable:
    """Cross-entropy in nats, from logits (..., k) and integer labels (...).

    Parameters
    ----------
    smoothing
        Share of the target that is spread over all k classes (Szegedy et al. 2016).

    Raises
    ------
    ShapeError, DtypeError
        When there is not one integer label for each row of logits.

    >>> import aesara.tensor as at
    >>> loss = softmax_cross_entropy(at.as_tensor([[0.0, 0.0]]), at.as_tensor([1]))
    >>> round(float(loss.eval()), 4)
    0.6931
    """
    return _call(SoftmaxCrossEntropyOp(smoothing), logits, labels, weight)


@register
def binary_cross_entropy(
    logits: Variable, target: Variable, weight: Variable | None = None
) -> Variable:
    """Cross-entropy in nats, from logits and targets in [0, 1] of one shape.

    >>> import aesara.tensor as at
    >>> loss = binary_cross_entropy(at.as_tensor([0.0, 1000.0]), at.as_tensor([1.0, 1.0]))
    >>> round(float(loss.eval()), 4)
    0.3466
    """
    return _call(BinaryCrossEntropyOp(), logits, target, weight)


@register
def mean_squared_error(
    prediction: Variable, target: Variable, weight: Variable | None = None
) -> Variable:
    """The average of squared differences; both arguments have one shape.

    >>> import aesara.tensor as at
    >>> p, t, w = at.as_tensor([1.0, 0.0]), at.as_tensor([3.0, 9.0]), at.as_tensor([1.0, 0.0])
    >>> float(mean_squared_error(p, t, w).eval())
    4.0
    """
    return _call(MeanSquaredErrorOp(), prediction, target, weight)


@register
def mean_absolute_error(
    prediction: Variable, target: Variable, weight: Variable | None = None
) -> Variable:
    """The average of absolute differences; both arguments have one shape."""
    return _call(MeanAbsoluteErrorOp(), prediction, target, weight)


@register
def huber(
    prediction: Variable, target: Variable, weight: Variable | None = None, delta: float = 1.0
) -> Variable:
    """Squared below ``delta``, linear beyond (Huber 1964): both arguments have one shape."""
    return _call(HuberOp(delta), prediction, target, weight)


@register
def hinge(prediction: Variable, target: Variable, weight: Variable | None = None) -> Variable:
    """The average of ``max(1 − t p, 0)``; targets are −1 and 1."""
    return _call(HingeOp(), prediction, target, weight)


@register
def kl_divergence(logp: Variable, target: Variable, weight: Variable | None = None) -> Variable:
    """KL(target ‖ exp logp) in nats along the last axis; ``target`` holds probabilities."""
    return _call(KLDivergenceOp(), logp, target, weight)


@register
def cosine_distance(
    prediction: Variable, target: Variable, weight: Variable | None = None
) -> Variable:
    """The average of 1 − cos of the angle along the last axis."""
    return _call(CosineOp(), prediction, target, weight)
