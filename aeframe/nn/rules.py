"""Rules on layers: the inference phase, and equalities that always pay."""

from __future__ import annotations

from aeframe.nn.ops import DropoutOp, LogSoftmaxOp, NegativeLogLikelihoodOp, SoftmaxCrossEntropyOp
from aeframe.rewrites import INFERENCE, SIMPLIFICATIONS, Definition, Equality, Prop, Var, term

rng, x, labels = Var("rng"), Var("x"), Var("labels", "n", low=0, high=3, dtype="int64")
logits = Var("logits", "n 3")

INFERENCE.append(
    Definition("dropout in inference", term(DropoutOp, rate=Prop("rate"))(rng, x), (rng, x))
)

SIMPLIFICATIONS.append(
    Equality(
        "softmax cross-entropy",
        term(NegativeLogLikelihoodOp)(term(LogSoftmaxOp)(logits), labels),
        term(SoftmaxCrossEntropyOp)(logits, labels)[0],
    )
)
