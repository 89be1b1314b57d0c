"""The same weights in aeframe and in PyTorch, and statistics that are not those of a fresh net."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from aeframe import nn
from aeframe.core.cells import Cell
from aeframe.core.module import Module, lower

LEAVES = (nn.Dense, nn.Conv2D, nn.BatchNorm, nn.LayerNorm)


def made(model: Module, *inputs: Any, seed: int = 0) -> Module:
    """``model`` with its parameters, from a seed; biases and statistics are drawn, too."""
    lower(model, *inputs)
    model.init(seed)
    rng = np.random.default_rng(seed)
    for path, cell in model.store.items():
        kind = path.rpartition(".")[2]
        if kind in ("b", "shift", "mean"):
            cell.value = rng.normal(0.0, 0.1, cell.type.shape)
        elif kind in ("scale", "variance"):
            cell.value = rng.uniform(0.5, 1.5, cell.type.shape)
    return model


def arrays(layer: Module) -> Iterator[np.ndarray]:
    """What a layer holds, as PyTorch orders names and axes."""
    names = ("w", "b") if hasattr(layer, "w") else ("scale", "shift", "mean", "variance")
    for name in names:
        cell = getattr(layer, name, None)
        if isinstance(cell, Cell):
            value = cell.numpy()
            axes = {2: (1, 0), 4: (3, 2, 0, 1)}.get(value.ndim)
            yield value if axes is None else value.transpose(axes)


def copied(ours: Module, theirs: Any) -> Any:
    """``theirs``, a torch.nn.Module, with the weights of ``ours``, layer by layer."""
    import torch

    leaves = [part for part in ours.modules().values() if isinstance(part, LEAVES)]
    others = [part for part in theirs.modules() if len(list(part.parameters(recurse=False)))]
    for layer, other in zip(leaves, others, strict=True):
        tensors = [t for t in other.state_dict().values() if t.ndim]
        for tensor, array in zip(tensors, arrays(layer), strict=True):
            if tensor.shape != array.shape:
                raise ValueError(f"{layer}: {tuple(tensor.shape)} and {array.shape}")
            tensor.copy_(torch.from_numpy(np.ascontiguousarray(array)))
    return theirs
