"""What metrics ask of predictions and targets."""

from __future__ import annotations

from typing import Any

from aesara.graph.basic import Variable
from numpy.typing import NDArray

from aeframe.core.errors import DataError, ShapeError
from aeframe.core.shapes import compatible, shape_text
from aeframe.core.structure import Structure


def require_labels(
    metric: Structure, scores: Variable, labels: Variable, classes: int | None = None
) -> None:
    """Raise :class:`ShapeError` unless scores are (..., classes) and labels (...)."""
    shape, found = scores.type.shape, labels.type.shape
    if not shape or not compatible(shape[-1], classes):
        raise ShapeError(
            f"{type(metric).__name__} needs a score for each class",
            expected=f"(..., {classes or 'classes'})",
            got=shape_text(shape),
            fix="count the classes as the last layer does",
        )
    if not _fits(shape[:-1], found):
        fix = "pass `y.argmax(axis=-1)`"
        if len(found) == len(shape) and found[-1] == 1:
            fix = "pass `y[:, 0]`" if len(shape) == 2 else "pass `y[..., 0]`"
        raise ShapeError(
            f"{type(metric).__name__} takes a class number for each row of scores",
            expected=shape_text(shape[:-1]),
            got=shape_text(found),
            fix=fix,
        )


def require_same(metric: Structure, prediction: Variable, target: Variable) -> None:
    """Raise :class:`ShapeError` unless the two have one shape."""
    shape, found = prediction.type.shape, target.type.shape
    if not _fits(shape, found):
        counts = hasattr(metric, "classes")
        fix = "return `scores[:, 0]` from the model, or pass `y[:, None]`"
        raise ShapeError(
            f"{type(metric).__name__} takes a prediction and a target of one shape",
            expected=shape_text(shape),
            got=shape_text(found),
            fix=f"{type(metric).__name__}(classes) takes scores of classes" if counts else fix,
        )


def _fits(a: tuple[int | None, ...], b: tuple[int | None, ...]) -> bool:
    return len(a) == len(b) and all(map(compatible, a, b))


def require_range(metric: Structure, labels: NDArray[Any], classes: int) -> None:
    """Raise :class:`DataError` unless labels lie between 0 and ``classes``."""
    if labels.size and (labels.min() < 0 or labels.max() >= classes):
        raise DataError(
            f"{type(metric).__name__} has {classes} classes, and other labels are there",
            expected=f"integers from 0 to {classes - 1}",
            got=f"from {labels.min()} to {labels.max()}",
            fix=f"{type(metric).__name__}({int(labels.max()) + 1}), or number them from 0",
        )
