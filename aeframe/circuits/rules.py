"""Rules on circuits: the evaluation of each node, and equalities."""

from __future__ import annotations

from aeframe.circuits.ops import (
    BernoulliLogOp,
    BernoulliOp,
    CircuitType,
    ColumnOp,
    EvaluateOp,
    LogProductOp,
    ProductOp,
    SumOp,
    WeightedSumOp,
)
from aeframe.rewrites import (
    INTERPRETATIONS,
    SIMPLIFICATIONS,
    Definition,
    Each,
    Equality,
    Prop,
    Rest,
    Var,
    term,
)

c = Var("c", of=CircuitType())
p, w, x = Var("p"), Var("w"), Var("x", "n d")
children, others = Rest("children", like=c), Rest("others", like=c)
semiring, variable = Prop("semiring"), Prop("variable")

evaluate = term(EvaluateOp, semiring=semiring)
each = Each("children", c, evaluate(c, x))

INTERPRETATIONS.extend(
    [
        Definition(
            "value of a sum",
            evaluate(term(SumOp)(w, children), x),
            term(WeightedSumOp, semiring=semiring)(w, each),
        ),
        Definition(
            "value of a product", evaluate(term(ProductOp)(children), x), term(LogProductOp)(each)
        ),
        Definition(
            "value of a Bernoulli leaf",
            evaluate(term(BernoulliOp, variable=variable)(p), x),
            term(BernoulliLogOp, semiring=semiring)(term(ColumnOp, variable=variable)(x), p),
        ),
    ]
)

SIMPLIFICATIONS.extend(
    [
        # the one weight is 1, as weights add up to 1; a raw gradient would not know that
        Equality(
            "circuit sum of one",
            term(SumOp)(Var("w", "1", low=1.0, high=1.0), c),
            c,
            gradients=False,
        ),
        Equality("circuit product of one", term(ProductOp)(c), c),
        Equality(
            "circuit product in a product",
            term(ProductOp)(term(ProductOp)(children), others),
            term(ProductOp)(children, others),
        ),
    ]
)
