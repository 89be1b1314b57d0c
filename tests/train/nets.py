"""What the tests of training share: data, a network, and losses that take weights."""

import numpy as np

import aeframe as ae
from aeframe import nn

rng = np.random.default_rng(0)
X, Y = rng.normal(size=(60, 4)), rng.integers(0, 3, 60)
T = rng.normal(size=(60, 2))


class Net(ae.Module):
    def __init__(self, rate=0.0, dtype=None, norm=False, width=3):
        self.hidden = nn.Dense(8, dtype=dtype)
        self.drop = nn.Dropout(rate) if rate else None
        self.norm = nn.BatchNorm() if norm else None
        self.out = nn.Dense(width, dtype=dtype)

    def __call__(self, x):
        h = self.hidden(x)
        h = h if self.norm is None else self.norm(h)
        h = nn.relu(h)
        return self.out(h if self.drop is None else self.drop(h))


def squares(prediction, target, weight=None):
    """Σ w l / Σ w of squared differences, averaged over all but the axes of the weight."""
    entries = (prediction - target) ** 2
    if weight is None:
        return entries.mean()
    entries = entries.mean(axis=tuple(range(weight.ndim, entries.ndim)))
    return (weight * entries).sum() / weight.sum()


def plain_squares(prediction, target):
    return squares(prediction, target)


def compiled(model=None, **options):
    options = {"optimizer": ae.SGD(0.1), "loss": squares} | options
    return (model or Net(dtype="float64", width=2)).compile(**options)


def by_label(prediction, target, weight=None):
    """Squared distance of scores to the one-hot label: a loss of integer labels."""
    import aesara.tensor as at

    onehot = at.eq(at.arange(prediction.shape[1]), target[:, None]).astype(prediction.dtype)
    return squares(prediction, onehot, weight)


def same(a, b, exact=True):
    """Whether two models have equal cells."""
    a, b = a._trainer.store.snapshot(), b._trainer.store.snapshot()
    assert a.keys() == b.keys()
    for path in a:
        if exact:
            np.testing.assert_array_equal(a[path], b[path], err_msg=path)
        else:
            np.testing.assert_allclose(a[path], b[path], rtol=1e-9, atol=1e-12, err_msg=path)
