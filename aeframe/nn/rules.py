"""Rules on layers: the inference phase, and equalities that always pay."""

from __future__ import annotations

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
        Definition(
            "batch normalization in inference",
            term(BatchNormOp, momentum=Prop("momentum"), epsilon=epsilon)(
                x, scale, shift, mean, variance
            ),
            (
                term(BatchNormInferenceOp, epsilon=epsilon)(x, scale, shift, mean, variance),
                mean,
                variance,
            ),
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
