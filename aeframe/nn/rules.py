"""Rules on layers: the inference phase, and equalities that always pay."""

from __future__ import annotations

from collections.abc import Sequence

import aesara.tensor as at
from aesara.graph.basic import Apply, Variable

from aeframe.core.graph import Graph
from aeframe.nn.ops import (
    BatchNormInferenceOp,
    BatchNormOp,
    DropoutOp,
    LogSoftmaxOp,
    NegativeLogLikelihoodOp,
    SoftmaxCrossEntropyOp,
)
from aeframe.rewrites import INFERENCE, SIMPLIFICATIONS, Definition, Equality, Prop, Var, term

rng, x = Var("rng"), Var("x")
logits, weight = Var("logits", "... n 3"), Var("weight", "... n", low=0.1)
labels = Var("labels", "... n", low=0, high=3, dtype="int64")

scale, shift, mean, variance = (Var(n) for n in ("scale", "shift", "mean", "variance"))
epsilon = Prop("epsilon")

INFERENCE.extend(
    [
        Definition("dropout in inference", term(DropoutOp, rate=Prop("rate"))(rng, x), (rng, x)),
        *(
            Definition(
                name,
                term(BatchNormOp, momentum=Prop("momentum"), epsilon=epsilon)(
                    x, scale, shift, mean, variance, *more
                ),
                (
                    term(BatchNormInferenceOp, epsilon=epsilon)(x, scale, shift, mean, variance),
                    mean,
                    variance,
                ),
            )
            for name, more in (
                ("batch normalization in inference", ()),
                ("weighted batch normalization in inference", (Var("rows"),)),
            )
        ),
    ]
)

SIMPLIFICATIONS.extend(
    Equality(
        name,
        term(NegativeLogLikelihoodOp)(term(LogSoftmaxOp)(logits), labels, *more),
        term(SoftmaxCrossEntropyOp)(logits, labels, *more)[0],
    )
    for name, more in (
        ("softmax cross-entropy", ()),
        ("weighted softmax cross-entropy", (weight,)),
    )
)


def mask_rows(graph: Graph, mask: Variable) -> Graph:
    """``graph`` with statistics over the batch that leave out rows where ``mask`` is 0.

    Parameters
    ----------
    mask
        (n,), 1 or 0 for each row of the batch. Where the first axis of an Op's input has k n
        entries, each row of the batch is taken to be k of them.
    """
    (n,) = mask.type.shape

    def masked(node: Apply, inputs: list[Variable]) -> Sequence[Variable] | None:
        if not isinstance(node.op, BatchNormOp) or len(inputs) != 5:
            return None
        rows = inputs[0].type.shape[0]
        if n is None or rows is None or rows % n:
            return None
        weight = mask if rows == n else at.alloc(mask[:, None], n, rows // n).reshape((rows,))
        made = node.op.make_node(*inputs, weight)
        made.tag.path = getattr(node.tag, "path", None)
        return made.outputs

    return graph.replay(transform=masked)
