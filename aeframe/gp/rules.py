"""Rules on kernels: what a Gram matrix means, and simplifications that change no number."""

from __future__ import annotations

import aesara.tensor as at

from aeframe.gp.kernels import SE, Periodic, White
from aeframe.gp.ops import (
    KERNEL,
    GramOp,
    LeafGramOp,
    LeafKernelOp,
    ProductKernelOp,
    SumKernelOp,
    WarpedKernelOp,
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

k, ks, ls = Var("k", of=KERNEL), Rest("ks", Var("k", of=KERNEL)), Rest("ls", Var("k", of=KERNEL))
x, z, parameters = Var("x", "n d"), Var("z", "m d"), Rest("parameters")

for name, points in (("gram", (x,)), ("cross gram", (x, z))):
    INTERPRETATIONS += [
        Definition(
            f"{name} of a sum",
            term(GramOp)(term(SumKernelOp)(ks), *points),
            term(at.add)(Each("ks", k, term(GramOp)(k, *points))),
        ),
        Definition(
            f"{name} of a product",
            term(GramOp)(term(ProductKernelOp)(ks), *points),
            term(at.mul)(Each("ks", k, term(GramOp)(k, *points))),
        ),
        Definition(
            f"{name} of a leaf",
            term(GramOp)(term(LeafKernelOp, bind=Prop("leaf"))(parameters), *points),
            term(LeafGramOp, kernel=Prop("leaf"))(parameters, *points),
        ),
        Definition(
            f"{name} of a warped kernel",
            term(GramOp)(
                term(WarpedKernelOp, function=Prop("f"), width=Prop("d"))(k, parameters), *points
            ),
            term(GramOp)(k, *(term(Prop("f"))(p, parameters) for p in points)),
        ),
    ]


def scale(name: str) -> Var:
    """A positive scalar."""
    return Var(name, "", low=0.5, high=2.0)


v, w, a, b, p = (scale(name) for name in ("v", "w", "a", "b", "p"))
white, se, periodic = (term(cls.leaf_op) for cls in (White, SE, Periodic))
total, product = term(SumKernelOp), term(ProductKernelOp)
vw = term(at.mul)(v, w)
# exp(−½ d²/a²) exp(−½ d²/b²) has the lengthscale ab / √(a² + b²)
combined = term(at.true_divide)(
    term(at.mul)(a, b), term(at.sqrt)(term(at.add)(term(at.square)(a), term(at.square)(b)))
)

NORMAL_FORM = [
    Equality("sum of a sum", total(total(ls), ks), total(ls, ks)),
    Equality("product of a product", product(product(ls), ks), product(ls, ks)),
    Equality("sum of one", total(k), k),
    Equality("product of one", product(k), k),
    Equality("White + White", total(white(v), white(w), ks), total(white(term(at.add)(v, w)), ks)),
    Equality("White * White", product(white(v), white(w), ks), product(white(vw), ks)),
    Equality("SE * SE", product(se(v, a), se(w, b), ks), product(se(vw, combined), ks)),
    # on its diagonal a stationary kernel is its variance
    Equality("White * SE", product(white(v), se(w, a), ks), product(white(vw), ks)),
    Equality("White * Periodic", product(white(v), periodic(w, a, p), ks), product(white(vw), ks)),
]
SIMPLIFICATIONS += NORMAL_FORM
