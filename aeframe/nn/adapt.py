"""Low-rank adaptation: a frozen model learns small corrections of its Dense layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import aesara.tensor as at
from aesara.graph.basic import Variable

from aeframe.core.cells import Parameter
from aeframe.core.errors import ArgumentError, UnknownNameError
from aeframe.core.module import Module
from aeframe.core.structure import Structure, matches, walk
from aeframe.nn.initializers import he_normal, zeros
from aeframe.nn.layers import Dense, Layer
from aeframe.nn.ops import DenseOp

M = TypeVar("M", bound=Module)


class LoRA(Layer):
    """``layer(x) + (alpha / rank) x A B``, the layer frozen (Hu et al. 2022, eq. 3).

    A (i, rank) starts random and B (rank, o) at zero, so that nothing changes at first.

    Parameters
    ----------
    layer
        A Dense that has its parameters: it was called or loaded.
    rank
        Of the correction, between 1 and the smaller side of the weight.
    alpha
        How much the correction counts; by default as much as ``rank``.

    Raises
    ------
    ArgumentError
        When ``layer`` is no such Dense, or the rank is out of range.

    >>> import numpy as np
    >>> layer = Dense(4)
    >>> before = layer(np.ones((1, 3)))
    >>> np.array_equal(LoRA(layer, 2)(np.ones((1, 3))), before)
    True
    """

    def __init__(self, layer: Dense, rank: int, alpha: float | None = None) -> None:
        if not isinstance(layer, Dense) or not isinstance(layer.w, Parameter):
            raise ArgumentError(
                "LoRA takes a Dense that has its weight",
                expected="a layer that was called or loaded",
                got=repr(layer),
                fix="run the model once on data, then wrap its layers",
            )
        rows, columns = layer.w.type.shape
        if not isinstance(rank, int) or not 1 <= rank <= min(rows, columns):
            raise ArgumentError(
                f"a rank of {rank!r} does not fit the weight",
                path=layer.w.name,
                expected=f"1 <= rank <= {min(rows, columns)}",
                got=repr(rank),
            )
        self.dtype = layer.w.type.dtype
        self.layer = layer.freeze()
        self.rank, self.alpha = rank, float(rank if alpha is None else alpha)
        self.a = Parameter(init=he_normal, shape=(rows, rank), dtype=self.dtype)
        self.b = Parameter(init=zeros, shape=(rank, columns), dtype=self.dtype)

    def __call__(self, x: Variable) -> Variable:
        """The layer's output with its correction."""
        scale = at.as_tensor(self.alpha / self.rank, dtype=self.dtype)
        return self.layer(x) + scale * DenseOp()(DenseOp()(x, self.a), self.b)

    def merged(self) -> Dense:
        """One Dense that computes the same; the frozen layer is left as it was.

        Raises
        ------
        StateError
            When the parameters have no values yet.
        """
        assert isinstance(self.layer.w, Parameter)
        dense = Dense(self.b.type.shape[1], self.layer.b is not None, dtype=self.dtype)
        change = self.alpha / self.rank * (self.a.value @ self.b.value)
        dense.w = Parameter(self.layer.w.value + change, dtype=self.dtype)
        if isinstance(self.layer.b, Parameter):
            dense.b = Parameter(self.layer.b.value)
        return dense


def lora(model: M, rank: int, alpha: float | None = None, where: str = "*") -> M:
    """Freeze ``model`` and wrap its Dense layers in :class:`LoRA`, in their places.

    Parameters
    ----------
    model
        Any Module that was called or loaded. It is changed, and returned.
    rank, alpha
        Of each correction.
    where
        A pattern of paths, such as ``"*.q"`` or ``"blocks[0].*"``; all Dense layers unless said.

    Raises
    ------
    UnknownNameError
        When no Dense has such a path.

    >>> import numpy as np
    >>> from aeframe import nn
    >>> model = nn.Sequential(nn.Dense(8), nn.relu, nn.Dense(2))
    >>> y = model(np.ones((1, 4)))
    >>> [p for p, c in nn.lora(model, 2, where="parts*").store.items() if c.trainable]
    ['parts[0].a', 'parts[0].b', 'parts[2].a', 'parts[2].b']
    """
    dense = {p: m for p, m in model.modules().items() if isinstance(m, Dense)}
    chosen = [p for p in dense if p and matches(where, p)]
    if not chosen:
        raise UnknownNameError(
            "no Dense layer has such a path",
            path=where,
            got=", ".join(dense) or "no Dense layer: was the model called before?",
            fix='a pattern such as "*.q"',
        )
    wrapped = {id(dense[p]): LoRA(dense[p], rank, alpha) for p in chosen}
    model.freeze()  # what is put into it now still learns
    _replace(model, wrapped)
    return model


def merge_lora(model: M) -> M:
    """Put the merged Dense in the place of every :class:`LoRA` of ``model``, and let all learn.

    >>> import numpy as np
    >>> from aeframe import nn
    >>> model = nn.Sequential(nn.Dense(3))
    >>> x = np.ones((1, 4))
    >>> before = model(x)
    >>> np.allclose(nn.merge_lora(nn.lora(model, 1).init())(x), before)
    True
    """
    parts = [m for m in model.modules().values() if isinstance(m, LoRA)]
    _replace(model, {id(m): m.merged() for m in parts})
    return model.freeze(frozen=False)


def _replace(root: Any, new: Mapping[int, Module]) -> None:
    """Put ``new`` in the places of the parts of ``root`` with these identities."""
    for _, holder in list(walk(root)):
        if isinstance(holder, Structure):
            for name, part in holder.fields().items():
                if id(part) in new and holder is not new[id(part)]:
                    setattr(holder, name, new[id(part)])
        elif isinstance(holder, list | dict):
            items = holder.items() if isinstance(holder, dict) else enumerate(holder)
            for key, part in list(items):
                if id(part) in new:
                    holder[key] = new[id(part)]
