"""Equalities of networks: the algebra of layers, for equality saturation.

x is data and w a weight, but the rules do not ask: a product of two layers' outputs obeys them
too. Sizes are those of the last axes, so that each rule holds for any number of leading ones.
"""

from __future__ import annotations

from typing import Any

from aesara.graph.basic import Apply, Variable
from aesara.tensor.math import Dot, MatMul

from aeframe.nn.ops import (
    ActivationOp,
    AttentionOp,
    AvgPool2DOp,
    BatchNormInferenceOp,
    BilinearOp,
    Conv2DOp,
    DenseOp,
    EmbeddingOp,
    LayerNormOp,
    MaxPool2DOp,
    PoolOp,
    ReluOp,
    SoftmaxOp,
)
from aeframe.nn.ops.algebra import (
    AverageKernelOp,
    IdentityKernelOp,
    IdentityOp,
    MergeGroupsOp,
    NormFactorsOp,
    PadKernelOp,
)
from aeframe.nn.ops.fused import FusedOp
from aeframe.nn.ops.normalize import StandardizeOp
from aeframe.nn.ops.panels import PanelDenseOp, PanelsOp
from aeframe.nn.ops.winograd import WinogradKernelOp, WinogradOp
from aeframe.rewrites import EQUALITIES, Each, Equality, Every, Expr, Parts, Prop, Rest, Var, term
from aeframe.rewrites.pattern import Computed, Pattern, Term
from aeframe.rewrites.vocabulary import (
    AddOp,
    ConcatOp,
    ElementwiseOp,
    MatMulOp,
    MulOp,
    ReshapeOp,
    SliceOp,
    TransposeOp,
    lifts,
)


@lifts(Dot)
@lifts(MatMul)
def _product(node: Apply, inputs: list[Variable]) -> Variable | None:
    """A product with one matrix is a linear layer; stacks of as many matrices stay a product."""
    a, b = inputs
    if b.type.ndim == 2 <= a.type.ndim:
        return DenseOp()(a, b)
    alike = a.type.ndim > 2 and a.type.shape[:-2] == b.type.shape[:-2]
    return MatMulOp()(a, b) if alike and None not in a.type.shape[:-2] else None


add, mul, turn = term(AddOp), term(MulOp), term(TransposeOp, axes=(1, 0))
reordered = term(TransposeOp, axes=Prop("axes"))
relu, dense, matmul = term(ReluOp), term(DenseOp), term(MatMulOp)
layer = term(BilinearOp, bind=Prop("layer"))
open_ = term(BilinearOp, bind=Prop("layer"), groups=1)  # each feature sees all inputs
batched = term(BilinearOp, bind=Prop("layer"), mixed=Prop("mixed"))
pair = term(ElementwiseOp, bind=Prop("op"))
moves: dict[str, Any] = {name: Prop(name) for name in ("stride", "padding", "dilation")}
window: dict[str, Any] = {name: Prop(name) for name in ("window", "stride", "padding")}
average, largest = term(AvgPool2DOp, **window), term(MaxPool2DOp, **window)
active = term(ActivationOp, bind=Prop("active"))
pool = term(PoolOp, bind=Prop("pool"))


def joined(axis: int | Prop | Expr) -> Term:
    """Concatenation along an axis."""
    return term(ConcatOp, axis=axis)


def piece(start: int | Prop, stop: int | Prop) -> Term:
    """Features from ``start`` to ``stop``."""
    return term(SliceOp, axis=-1, start=start, stop=stop)


def unit(**props: Any) -> Pattern:
    """The kernel of a convolution without effect."""
    return term(IdentityKernelOp, **props)()


def shaped(shape: str, value: Pattern) -> Pattern:
    """``value`` with another shape."""
    return term(ReshapeOp, shape=Expr(shape))(value)


a, b, c, s, x, y = Var("a"), Var("b"), Var("c"), Var("s", ""), Var("x", "*x"), Var("y", "*x")
ALGEBRA = [
    Equality("sums in another order", add(add(a, b), c), add(a, add(b, c))),
    Equality("products in another order", mul(mul(a, b), c), mul(a, mul(b, c))),
    Equality("product with a sum", mul(a, add(b, c)), add(mul(a, b), mul(a, c)), both=True),
    Equality("a term and its multiple", add(a, mul(a, b)), mul(a, add(b, 1.0))),
    Equality("times one", mul(a, 1.0), a),
    Equality("transposed twice", turn(turn(a)), a),
    Equality(
        "pairs transposed", reordered(pair(x, y)), pair(reordered(x), reordered(y)), both=True
    ),
    Equality("multiple transposed", reordered(mul(a, s)), mul(reordered(a), s), both=True),
    Equality("relu transposed", reordered(relu(a)), relu(reordered(a)), both=True),
    Equality("layer transposed", turn(dense(a, b)), dense(turn(b), turn(a)), both=True),
]

left, low, right, high = Var("left", "*l"), Var("low", "*l"), Var("right", "*r"), Var("high", "*r")
ids = Var("ids", low=0, high=1, dtype="int64")
norm = (Var("scale", "i"), Var("shift", "i"), Var("mean", "i"), Var("variance", "i", low=0.1))
factors = term(NormFactorsOp, epsilon=Prop("e"))(*norm)
along, across, m, o = joined(Prop("axis")), joined(Prop("other")), Var("m"), Var("o", "*o")
first, last = Var("first", "... i"), Var("last", "... j")
halves = along(left, right)
JOINS = [
    Equality("join transposed", turn(halves), joined(Expr("-3 - axis"))(turn(left), turn(right))),
    Equality("relu of a join", relu(halves), along(relu(left), relu(right)), both=True),
    Equality("multiple of a join", mul(halves, s), along(mul(left, s), mul(right, s)), both=True),
    Equality(
        "pairs of joins",
        pair(halves, along(low, high)),
        along(pair(left, low), pair(right, high)),
        both=True,
    ),
    Equality(
        "join of joins",
        along(across(left, m), across(o, right)),
        across(along(left, o), along(m, right)),
        where="axis != other and l[other] == o[other]",
    ),
    Equality(
        "first part of a join",
        piece(0, Prop("e"))(joined(-1)(first, b)),
        first,
        where="e == i and first_dtype == b_dtype",
    ),
    Equality(
        "last part of a join",
        piece(Prop("t"), Prop("e"))(joined(-1)(first, last)),
        last,
        where="t == i and e == i + j and first_dtype == last_dtype",
    ),
    Equality(
        "parts joined",
        joined(-1)(piece(0, Prop("t"))(first), piece(Prop("t"), Prop("e"))(first)),
        first,
        where="e == i",
    ),
]

w, u, whole, more = Var("w", "... o"), Var("u", "... k"), Var("w", "*w"), Var("u", "*w")
bias, factor, item = Var("bias", "o"), Var("factor", "*f"), Var("item")
LINEAR = [
    Equality("bias of a layer", layer(a, w, bias), add(layer(a, w), bias), both=True),
    Equality("layer of a sum", layer(add(x, y), w), add(layer(x, w), layer(y, w)), both=True),
    Equality(
        "layer of a shifted input",
        dense(add(x, Var("shift", "i")), w),
        add(dense(x, w), dense(Var("shift", "i"), w)),
        where="x[-1] == i",
    ),
    Equality(
        "layer of summed weights",
        layer(a, add(whole, more)),
        add(layer(a, whole), layer(a, more)),
        both=True,
    ),
    Equality("layer of a multiple", layer(mul(a, s), w), mul(layer(a, w), s), both=True),
    Equality(
        "factor of features",
        mul(layer(a, w), factor),
        layer(a, mul(w, factor)),
        where="f == () or f == (o,)",
        both=True,
    ),
    Equality(
        "factor of inputs",
        open_(mul(x, Var("f", "i")), Var("w", "... i o")),
        open_(x, mul(Var("w", "... i o"), shaped("(i, 1)", Var("f", "i")))),
        where="x[-1] == i",
    ),
    Equality(
        "layers of one input",
        Every(open_(a, w), ("w",)),
        Parts(open_(a, joined(-1)(Rest("w"))), -1, "o"),
    ),
    Equality(
        "layers with biases of one input",
        Every(open_(a, w, bias), ("w", "bias")),
        Parts(open_(a, joined(-1)(Rest("w")), joined(-1)(Rest("bias"))), -1, "o"),
    ),
    Equality(
        "one layer of several inputs",
        Every(dense(Var("x", "n i"), w), ("x",)),
        Parts(dense(joined(-2)(Rest("x")), w), -2, "n"),
    ),
    Equality(
        "joined layers of one input",
        joined(-1)(open_(a, w), open_(a, u)),
        open_(a, joined(-1)(w, u)),
        both=True,
    ),
    Equality(
        "layer of a joined batch",
        batched(along(Rest("items")), w),
        along(Each("items", item, batched(item, w))),
        where="axis < -mixed",
        both=True,
    ),
    Equality(
        "layer of joined features",
        open_(joined(-1)(first, last), joined(-2)(Var("w", "*w"), Var("u", "*u"))),
        add(open_(first, Var("w", "*w")), open_(last, Var("u", "*u"))),
        where="w[:-2] == u[:-2] and w[-2] == i and w[-1] == u[-1]",
        both=True,
    ),
    Equality(
        "linear layers",
        dense(dense(a, Var("w", "i o")), Var("u", "o k")),
        dense(a, dense(Var("w", "i o"), Var("u", "o k"))),
        both=True,
    ),
    Equality(
        "layer beside its input",
        add(a, dense(a, Var("w", "i i"))),
        dense(a, add(Var("w", "i i"), term(IdentityOp, n=Prop("i"), dtype=Prop("w_dtype"))())),
    ),
    Equality(
        "layer without effect",
        dense(a, term(IdentityOp, n=Prop("n"), dtype=Prop("t"))()),
        a,
        where="t == a_dtype",
    ),
    Equality(
        "layer of an embedding",
        dense(term(EmbeddingOp)(ids, Var("w", "r i")), Var("u", "i k")),
        term(EmbeddingOp)(ids, dense(Var("w", "r i"), Var("u", "i k"))),
    ),
    Equality(
        "scale and shift of layer normalization",
        term(LayerNormOp, epsilon=Prop("e"))(a, Var("scale"), Var("shift")),
        add(mul(term(StandardizeOp, epsilon=Prop("e"))(a), Var("scale")), Var("shift")),
    ),
    Equality(
        "frozen batch normalization",
        term(BatchNormInferenceOp, epsilon=Prop("e"))(a, *norm),
        add(mul(a, factors[0]), factors[1]),
    ),
]

k, image, parted = Var("k", "kh kw c o"), Var("image", "n h v c"), Var("image", "n h v all")
middle = "stride == (1, 1) and padding[0][0] == {} // 2 * dilation[0]"
middle += " and padding[1][0] == {} // 2 * dilation[1]"
around = "((1 - kh // 2, 1 - kh // 2), (1 - kw // 2, 1 - kw // 2))"
rows, columns = "(1 - kh // 2) * dilation[0]", "(1 - kw // 2) * dilation[1]"
wider = f"((padding[0][0] + {rows}, padding[0][1] + {rows}),"
wider += f" (padding[1][0] + {columns}, padding[1][1] + {columns}))"
one, grouped = (term(Conv2DOp, **moves, groups=g) for g in (1, Prop("g")))
IMAGES = [
    Equality(
        "convolution beside its input",
        add(image, one(image, k).sized("n h v c")),
        one(
            image, add(k, unit(kernel=Expr("(kh, kw)"), channels=Prop("c"), dtype=Prop("k_dtype")))
        ),
        where=middle.format("kh", "kw"),
    ),
    Equality(
        "convolution without effect",
        one(image, unit(kernel=Prop("m"), channels=Prop("c"), dtype=Prop("t"))).sized("n h v c"),
        image,
        where=middle.format("m[0]", "m[1]") + " and t == image_dtype",
    ),
    Equality(
        "kernel with zeros around it",
        grouped(parted, k),
        term(Conv2DOp, **(moves | {"padding": Expr(wider), "groups": Prop("g")}))(
            parted, term(PadKernelOp, padding=Expr(around))(k)
        ),
        where="kh <= 3 and kw <= 3 and (kh == 1 or kw == 1)",
    ),
    Equality(
        "groups of a convolution merged",
        grouped(parted, k),
        term(Conv2DOp, **moves, groups=Expr("g // 2"))(
            parted, term(MergeGroupsOp, groups=Prop("g"), by=2)(k)
        ),
        where="g % 2 == 0",
    ),
    Equality(
        "average pooling as a convolution",
        average(image),
        term(Conv2DOp, stride=Prop("stride"), padding=Prop("padding"), dilation=(1, 1), groups=1)(
            image,
            term(
                AverageKernelOp,
                kernel=Prop("window"),
                channels=Prop("c"),
                dtype=Prop("image_dtype"),
            )(),
        ),
        where="padding == ((0, 0), (0, 0))",
    ),
    Equality("average of a sum", average(add(x, y)), add(average(x), average(y)), both=True),
    Equality("average of a multiple", average(mul(a, s)), mul(average(a), s), both=True),
    Equality(
        "pool of a join",
        pool(along(left, right)),
        along(pool(left), pool(right)),
        where="axis == -4 or axis == -1",
        both=True,
    ),
    Equality("relu of the largest", relu(largest(a)), largest(relu(a)), both=True),
]

q, keys, values = Var("q", "h t d"), Var("keys", "h d r"), Var("values", "h r e")
queries, turned, items = Var("q", "n h t d"), Var("keys", "n h d r"), Var("values", "n h r e")
attend = term(AttentionOp, causal=False, scale=1.0)
ATTENTION = [
    Equality("multiple of products", matmul(mul(a, s), b), mul(matmul(a, b), s), both=True),
    Equality(
        "attention",
        matmul(term(SoftmaxOp)(matmul(q, keys)), values),
        shaped(
            "(h, t, e)",
            attend(
                shaped("(1, h, t, d)", q),
                shaped("(1, h, r, d)", term(TransposeOp, axes=(0, 2, 1))(keys)),
                shaped("(1, h, r, e)", values),
            )[0],
        ),
    ),
    Equality(
        "attention in a batch",
        matmul(term(SoftmaxOp)(matmul(queries, turned)), items),
        attend(queries, term(TransposeOp, axes=(0, 1, 3, 2))(turned), items)[0],
    ),
]

WINOGRAD = [
    Equality(
        f"products for tiles of {tile}",
        one(image, Var("w", "3 3 c o")),
        term(WinogradOp, tile=tile, padding=Prop("padding"))(
            image, term(WinogradKernelOp, tile=tile)(Var("w", "3 3 c o"))
        ),
        where="stride == (1, 1) and dilation == (1, 1)",
    )
    for tile in (2, 4)
]

fused = term(FusedOp, layer=Prop("layer"), activation=None)
FUSED = [
    Equality(
        "activation inside a layer",
        active(layer(a, w, bias)),
        term(FusedOp, layer=Prop("layer"), activation=Prop("active"))(a, w, bias),
    ),
    Equality(
        "sum inside a layer",
        add(layer(a, w, bias).sized("*s"), Var("b", "*s")),
        fused(a, w, bias, Var("b", "*s")),
    ),
    Equality(
        "activation after a sum",
        active(fused(a, w, bias, b)),
        term(FusedOp, layer=Prop("layer"), activation=Prop("active"))(a, w, bias, b),
    ),
]

plain = Var("w", "i o")
in_panels, panels = term(PanelDenseOp, features=Prop("o")), term(PanelsOp)(plain)
PANELS = [
    Equality("layer in panels", dense(a, plain), in_panels(a, panels)),
    Equality("layer with a bias in panels", dense(a, plain, bias), in_panels(a, panels, bias)),
    Equality(
        "fused layer in panels",
        term(FusedOp, layer=DenseOp(), activation=Prop("active"))(a, plain, bias, Rest("b")),
        term(FusedOp, layer=Computed("o", PanelDenseOp), activation=Prop("active"))(
            a, panels, bias, Rest("b")
        ),
    ),
    Equality(
        "1x1 convolution as a layer",
        one(image, Var("w", "1 1 c o")),
        dense(image, shaped("(c, o)", Var("w", "1 1 c o"))),
        where="stride == (1, 1) and padding == ((0, 0), (0, 0))",
    ),
]

EQUALITIES += [*ALGEBRA, *JOINS, *LINEAR, *IMAGES, *ATTENTION, *WINOGRAD, *PANELS, *FUSED]
