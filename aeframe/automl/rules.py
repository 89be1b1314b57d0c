"""Growth rules: the changes that a person makes to a network by hand, as Alternatives.

Rules that say so keep what the network computes: training goes on from where the parent was
(Net2Net, Chen et al. 2016). The others copy weights as far as shapes go.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from typing import Any

import aesara.tensor as at
import numpy as np
from numpy.typing import NDArray

from aeframe import nn
from aeframe.automl.patterns import Chain, Inserted, Made, Shape
from aeframe.automl.training import TrainingOp
from aeframe.nn.initializers import glorot_uniform, zeros
from aeframe.nn.ops import (
    ActivationOp,
    BatchNormOp,
    Conv2DOp,
    DenseOp,
    DropoutOp,
    GeluOp,
    LayerNormOp,
    ReluOp,
    SiluOp,
    TanhOp,
)
from aeframe.rewrites import Alternative, Computed, Each, Prop, Rest, Rule, Var, term

Array = NDArray[Any]
Rng = np.random.Generator
x, y, item = Var("x"), Var("y"), Var("item")


def twice(rng: Rng, shape: object, w: Array) -> Array:
    """Each unit and a copy of it: the last axis doubled.

    >>> twice(np.random.default_rng(0), (), np.array([1.0, 2.0]))
    array([1., 2., 1., 2.])
    """
    return np.concatenate([w, w], axis=-1)


def shared_out(rng: Rng, shape: object, u: Array) -> Array:
    """Weights that read each unit and its copy, (..., h, o) → (..., 2h, o), with the same sum.

    The share of one is above 1 and that of the other below 0. Copies get gradients of different
    sign then, and part ways with any optimizer.
    """
    share = rng.uniform(1.25, 1.75, (u.shape[-2], 1))
    first = np.where(rng.random(share.shape) < 0.5, share, 1 - share)
    return np.concatenate([u * first, u * (1 - first)], axis=-2)


def _scaled(axis: int, factor: float) -> Callable[[Shape], Shape]:
    """The shape with one axis so many times as long, rounded down."""

    def shape(old: Shape) -> Shape:
        sizes = list(old)
        sizes[axis] = int(sizes[axis] * factor)
        return tuple(sizes)

    return shape


def _longer(by: int) -> Callable[[Shape], Shape]:
    """The shape of a kernel with both axes of space so much longer."""
    return lambda old: (old[0] + by, old[1] + by, *old[2:])


def eye(rng: Rng, shape: tuple[int, ...]) -> Array:
    """The identity; in the middle of a kernel, if there are axes of space."""
    made = np.zeros(shape)
    made[(*(s // 2 for s in shape[:-2]),)] = np.eye(shape[-2], shape[-1])
    return made


def halved(rng: Rng, shape: object, w: Array) -> Array:
    """The first half of the units."""
    return w[..., : w.shape[-1] // 2]


def halved_in(rng: Rng, shape: object, u: Array) -> Array:
    """The weights that read the first half of the units, twice as large."""
    return 2.0 * u[..., : u.shape[-2] // 2, :]


def ringed(rng: Rng, shape: object, w: Array) -> Array:
    """A kernel with a ring of zeros around it."""
    return np.pad(w, [(1, 1), (1, 1), (0, 0), (0, 0)])


def cropped(rng: Rng, shape: object, w: Array) -> Array:
    """A kernel without its outermost ring."""
    return w[1:-1, 1:-1]


def _layer(head: type, inner: Any, value: Any = None, shape: Any = None) -> Any:
    """A Dense or Conv2D on ``inner``: as it is, or with ``value`` of its parameters."""
    w = Var("w")
    if value is None:
        return term(head, **_plain(head, "1"))(inner, w, Rest("b"))
    made = Made(value, (w,), shape=shape), Each("b", item, Made(value, (item,), shape=shape))
    return term(head, **_plain(head, "1"))(inner, *made)


def _plain(head: type, number: str) -> dict[str, Any]:
    """The hyperparameters of a layer whose channels all see each other, to bind and use again."""
    if head is DenseOp:
        return {}
    names = ("stride", "padding", "dilation")
    return {"groups": 1, **{name: Prop(f"{name} {number}") for name in names}}


def _width(
    name: str, heads: tuple[type, type], factor: float, writer: Any, reader: Any, where: str
) -> Rule:
    """A layer gets other units, and the next one reads those; what is between goes along."""
    first, second = heads
    out = _scaled(-1, factor)
    u = Var("u", "h o" if second is DenseOp else "kh kw h o")
    return Alternative(
        name,
        term(second, **_plain(second, "2"))(Chain("between", _layer(first, x)), u, Rest("c")),
        term(second, **_plain(second, "2"))(
            Chain("between", _layer(first, x, writer, out), writer, out),
            Made(reader, (u,), shape=_scaled(-2, factor)),
            Rest("c"),
        ),
        where,
    )


_PAIRS = {
    "": (DenseOp, DenseOp),
    " convolution": (Conv2DOp, Conv2DOp),
    " last convolution": (Conv2DOp, DenseOp),
}
WIDER = tuple(
    _width(f"wider{n}", pair, 2, twice, shared_out, "h <= 512") for n, pair in _PAIRS.items()
)
NARROWER = tuple(
    _width(f"narrower{n}", pair, 0.5, halved, halved_in, "h >= 4") for n, pair in _PAIRS.items()
)

_row, _image = Var("y", "n h"), Var("y", "n a b h")
_zero = Made(zeros, dims="h", like=y)
_identity = Made(eye, dims="h h", like=y, init=glorot_uniform)
_identity_kernel = Made(eye, dims="3 3 h h", like=y, init=glorot_uniform)
_conv3 = term(Conv2DOp, stride=(1, 1), padding=((1, 1), (1, 1)), dilation=(1, 1), groups=1)
DEEPER = (
    Alternative(
        "deeper",
        term(ReluOp)(_row),
        term(ReluOp)(term(DenseOp)(term(ReluOp)(_row), _identity, _zero)),
    ),
    Alternative(
        "deeper convolution",
        term(ReluOp)(_image),
        term(ReluOp)(_conv3(term(ReluOp)(_image), _identity_kernel, _zero)),
    ),
)

_activation = Prop("activation")
_any = term(ActivationOp, bind=_activation)
_again = term(_activation)(_row)
RESIDUAL = Alternative(
    "residual block",
    _any(_row),
    term(at.add)(
        _again,
        term(DenseOp)(
            term(_activation)(
                term(DenseOp)(_again, Made(glorot_uniform, dims="h h", like=y), _zero)
            ),
            Made(zeros, dims="h h", like=y, init=glorot_uniform),
            _zero,
        ),
    ),
)

# A square layer, whatever it normalizes, and the layer that reads it.
_square = term(DenseOp)(x, Var("w", "h h"), Rest("b"))
_block = _any(Chain("mid", _square))
_rebuilt = term(_activation)(Chain("mid", _square))
_u, _c = Var("u", "h o"), Rest("c")
SKIP = Alternative(
    "skip connection",
    term(DenseOp)(_block, _u, _c),
    term(DenseOp)(term(at.add)(x, _rebuilt), _u, _c),
)
WITHOUT_LAYER = Alternative(
    "without layer", term(DenseOp)(_block, _u, _c), term(DenseOp)(x, _u, _c)
)
WITHOUT_BLOCK = Alternative(
    "without block", term(at.add)(x, term(DenseOp)(Var("h"), Var("u"), _c)), x
)
WITHOUT_SKIP = Alternative("without skip", term(at.add)(x, _block), _rebuilt)

_hidden = term(_activation)(y)
DROPOUT = Alternative(
    "dropout",
    term(DenseOp)(_any(y), _u, _c),
    term(DenseOp)(Inserted(nn.Dropout, _hidden, (0.1,)), _u, _c),
)
_rate, _stream = Prop("rate"), Var("stream")
_dropped = term(DropoutOp, rate=_rate)(_stream, x)


def _moved(by: float) -> Any:
    return lambda rate: round(rate + by, 6)


DROPOUT_RATES = tuple(
    Alternative(
        name, _dropped, term(DropoutOp, rate=Computed("rate", _moved(by)))(_stream, x), where
    )
    for name, by, where in (
        ("more dropout", 0.2, "rate < 0.6"),
        ("less dropout", -0.2, "rate > 0.2"),
    )
)
WITHOUT_DROPOUT = Alternative("without dropout", _dropped, (_stream, x))

_fed = Var("w", "i h")
NORMALIZATION = tuple(
    Alternative(
        f"{name} normalization",
        _any(term(DenseOp)(x, _fed, Rest("b"))),
        term(_activation)(Inserted(layer, term(DenseOp)(x, _fed, Rest("b")))),
    )
    for name, layer in (("layer", nn.LayerNorm), ("batch", nn.BatchNorm))
)
_cells = Var("scale"), Var("shift")
_statistics = Var("mean"), Var("variance")
WITHOUT_NORMALIZATION = (
    Alternative(
        "without layer normalization",
        term(LayerNormOp, epsilon=Prop("epsilon"))(x, *_cells),
        x,
    ),
    Alternative(
        "without batch normalization",
        term(BatchNormOp, momentum=Prop("momentum"), epsilon=Prop("epsilon"))(
            x, *_cells, *_statistics
        ),
        (x, *_statistics),
    ),
)

_FUNCTIONS = {"relu": ReluOp, "gelu": GeluOp, "silu": SiluOp, "tanh": TanhOp}
ACTIVATIONS = tuple(
    Alternative(f"{a} to {b}", term(_FUNCTIONS[a])(y), term(_FUNCTIONS[b])(y))
    for a, b in permutations(_FUNCTIONS, 2)
)


def _ring(by: int) -> Any:
    return lambda pairs: tuple((a + by, b + by) for a, b in pairs)


def _kernel(name: str, value: Any, by: int, where: str, padding: Any) -> Rule:
    kept: dict[str, Any] = {"stride": Prop("stride"), "dilation": (1, 1), "groups": Prop("groups")}
    w = Var("w", "a b i o")
    fixed = None if isinstance(padding, Prop) else _ring(by)(padding)
    return Alternative(
        name,
        term(Conv2DOp, padding=padding, **kept)(x, w, _c),
        term(Conv2DOp, padding=fixed or Computed("padding", _ring(by)), **kept)(
            x, Made(value, (w,), shape=_longer(2 * by)), _c
        ),
        where,
    )


KERNELS = (
    _kernel("larger kernel", ringed, 1, "a <= 5 and b <= 5", Prop("padding")),
    *(
        _kernel(f"smaller kernel, padding {p}", cropped, -1, "a > 2 and b > 2", ((p, p), (p, p)))
        for p in (1, 2, 3)
    ),
)

_SETTINGS = {name: Prop(name) for name in TrainingOp.__props__}


def _training(name: str, where: str = "", **changed: Any) -> Rule:
    """A rule on how to train: some hyperparameters change."""
    fixed = {k: old for k, (old, _) in changed.items() if old is not None}
    new = {k: value for k, (_, value) in changed.items()}
    return Alternative(
        name,
        term(TrainingOp, **{**_SETTINGS, **fixed})(y),
        term(TrainingOp, **{**_SETTINGS, **new})(y),
        where,
    )


def _times(name: str, factor: float) -> Computed:
    """A hyperparameter times a factor, to three digits: up and down again is where it began."""
    return Computed(name, lambda value: type(value)(float(f"{value * factor:.3g}")))


TRAINING = (
    _training(
        "learning rate up",
        "learning_rate < 0.3",
        learning_rate=(None, _times("learning_rate", 3.0)),
    ),
    _training(
        "learning rate down",
        "learning_rate > 0.0001",
        learning_rate=(None, _times("learning_rate", 1 / 3)),
    ),
    _training("larger batch", "batch_size < 512", batch_size=(None, _times("batch_size", 2))),
    _training("smaller batch", "batch_size >= 16", batch_size=(None, _times("batch_size", 0.5))),
    _training("weight decay", optimizer=("Adam", "Adam"), weight_decay=(0.0, 0.01)),
    _training("without weight decay", weight_decay=(0.01, 0.0)),
    *(
        _training(
            f"{a} to {b}", optimizer=(a, b), learning_rate=(None, _times("learning_rate", by))
        )
        for a, b, by in (
            *(("Adam", "SGD", 10.0), ("SGD", "Adam", 0.1)),
            *(("Adam", "RMSprop", 1.0), ("RMSprop", "Adam", 1.0)),
            *(("Adam", "Lion", 0.1), ("Lion", "Adam", 10.0)),
        )
    ),
)

PRESERVING = (*WIDER, *DEEPER, RESIDUAL, KERNELS[0])
ARCHITECTURE = (
    *PRESERVING,
    *NARROWER,
    SKIP,
    WITHOUT_LAYER,
    WITHOUT_BLOCK,
    WITHOUT_SKIP,
    DROPOUT,
    *DROPOUT_RATES,
    WITHOUT_DROPOUT,
    *NORMALIZATION,
    *WITHOUT_NORMALIZATION,
    *ACTIVATIONS,
    *KERNELS[1:],
)
RULES = (*ARCHITECTURE, *TRAINING)
