"""Activations and losses: free functions, each with a type of its own."""

from __future__ import annotations

from aesara.graph.basic import Variable

from aeframe.core.structure import register
from aeframe.nn.ops import (
    LogSoftmaxOp,
    MeanSquaredErrorOp,
    NegativeLogLikelihoodOp,
    ReluOp,
    SoftmaxCrossEntropyOp,
)


@register
def relu(x: Variable) -> Variable:
    """``max(x, 0)``, with gradient 0 at 0.

    >>> import aesara.tensor as at
    >>> relu(at.as_tensor([-1.0, 2.0])).eval()
    array([0., 2.])
    """
    return ReluOp()(x)


@register
def log_softmax(x: Variable) -> Variable:
    """Log probabilities along the last axis, without overflow.

    >>> import aesara.tensor as at
    >>> log_softmax(at.as_tensor([1000.0, 0.0])).eval()
    array([    0., -1000.])
    """
    return LogSoftmaxOp()(x)


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
def mean_squared_error(prediction: Variable, target: Variable) -> Variable:
    """The mean of squared differences; both arguments have one shape.

    >>> import aesara.tensor as at
    >>> float(mean_squared_error(at.as_tensor([1.0]), at.as_tensor([3.0])).eval())
    4.0
    """
    return MeanSquaredErrorOp()(prediction, target)
