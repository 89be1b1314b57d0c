"""Losses: ``loss(prediction, target)``, a scalar, the mean over the batch."""

from __future__ import annotations

from aesara.graph.basic import Variable

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


@register
def negative_log_likelihood(logp: Variable, labels: Variable) -> Variable:
    """The mean of ``−logp[i, label[i]]``; labels are integers from 0."""
    return NegativeLogLikelihoodOp()(logp, labels)


@register
def softmax_cross_entropy(logits: Variable, labels: Variable) -> Variable:
    """Mean cross-entropy in nats, from logits (n, k) and integer labels (n,).

    Raises
    ------
    ShapeError, DtypeError
        When there is not one integer label for each row.

    >>> import aesara.tensor as at
    >>> loss = softmax_cross_entropy(at.as_tensor([[0.0, 0.0]]), at.as_tensor([1]))
    >>> round(float(loss.eval()), 4)
    0.6931
    """
    return SoftmaxCrossEntropyOp()(logits, labels)[0]


@register
def binary_cross_entropy(logits: Variable, target: Variable) -> Variable:
    """Mean cross-entropy in nats, from logits and targets in [0, 1] of one shape.

    >>> import aesara.tensor as at
    >>> loss = binary_cross_entropy(at.as_tensor([0.0, 1000.0]), at.as_tensor([1.0, 1.0]))
    >>> round(float(loss.eval()), 4)
    0.3466
    """
    return BinaryCrossEntropyOp()(logits, target)


@register
def mean_squared_error(prediction: Variable, target: Variable) -> Variable:
    """The mean of squared differences; both arguments have one shape.

    >>> import aesara.tensor as at
    >>> float(mean_squared_error(at.as_tensor([1.0]), at.as_tensor([3.0])).eval())
    4.0
    """
    return MeanSquaredErrorOp()(prediction, target)


@register
def mean_absolute_error(prediction: Variable, target: Variable) -> Variable:
    """The mean of absolute differences; both arguments have one shape."""
    return MeanAbsoluteErrorOp()(prediction, target)


@register
def huber(prediction: Variable, target: Variable, delta: float = 1.0) -> Variable:
    """Squared below ``delta``, linear beyond (Huber 1964): both arguments have one shape."""
    return HuberOp(delta)(prediction, target)


@register
def hinge(prediction: Variable, target: Variable) -> Variable:
    """The mean of ``max(1 − t p, 0)``; targets are −1 and 1."""
    return HingeOp()(prediction, target)


@register
def kl_divergence(logp: Variable, target: Variable) -> Variable:
    """Mean KL(target ‖ exp logp) in nats along the last axis; ``target`` holds probabilities."""
    return KLDivergenceOp()(logp, target)


@register
def cosine_distance(prediction: Variable, target: Variable) -> Variable:
    """The mean of 1 − cos of the angle along the last axis."""
    return CosineOp()(prediction, target)
