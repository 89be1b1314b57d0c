"""Convolution and pooling as loops over windows, with their gradients: a reference."""

import numpy as np


def places(size, reach, stride, padding):
    return (size + sum(padding) - reach) // stride + 1


def windows(shape, window, stride, padding, dilation=(1, 1)):
    """For each place its index, and for each tap in it that is inside its index and the entry's."""
    reach = [(k - 1) * d + 1 for k, d in zip(window, dilation, strict=True)]
    counts = [places(shape[a + 1], reach[a], stride[a], padding[a]) for a in (0, 1)]
    for place in np.ndindex(*counts):
        inside = []
        for tap in np.ndindex(*window):
            i, j = (place[a] * stride[a] + tap[a] * dilation[a] - padding[a][0] for a in (0, 1))
            if 0 <= i < shape[1] and 0 <= j < shape[2]:
                inside.append((tap, (i, j)))
        yield place, inside
    assert min(counts) > 0


def out_shape(x, window, stride, padding, dilation, channels):
    last = list(windows(x.shape, window, stride, padding, dilation))[-1][0]
    return (x.shape[0], last[0] + 1, last[1] + 1, channels)


def convolve(x, w, stride, padding, dilation, groups, g=None):
    """The output, and the gradients of x and w for the cotangent ``g`` of the output."""
    kh, kw, c, o = w.shape
    y = np.zeros(out_shape(x, (kh, kw), stride, padding, dilation, o))
    gx, gw, m = np.zeros_like(x), np.zeros_like(w), o // groups
    for (u, v), inside in windows(x.shape, (kh, kw), stride, padding, dilation):
        for tap, (i, j) in inside:
            for k in range(groups):
                into, out = slice(k * c, (k + 1) * c), slice(k * m, (k + 1) * m)
                weight = w[tap][:, out]
                y[:, u, v, out] += x[:, i, j, into] @ weight
                if g is not None:
                    gx[:, i, j, into] += g[:, u, v, out] @ weight.T
                    gw[tap][:, out] += x[:, i, j, into].T @ g[:, u, v, out]
    return y if g is None else (y, gx, gw)


def pool(kind, x, window, stride, padding, g=None):
    """The maximum or the mean of each window, and the gradient of x for the cotangent ``g``."""
    y = np.zeros(out_shape(x, window, stride, padding, (1, 1), x.shape[3]))
    gx = np.zeros_like(x)
    for (u, v), inside in windows(x.shape, window, stride, padding):
        entries = np.stack([x[:, i, j] for _, (i, j) in inside])
        y[:, u, v] = entries.max(axis=0) if kind == "max" else entries.mean(axis=0)
        if g is None:
            continue
        for place, (_, (i, j)) in enumerate(inside):
            first = entries.argmax(axis=0) == place
            share = first if kind == "max" else 1 / len(inside)
            gx[:, i, j] += share * g[:, u, v]
    return y if g is None else (y, gx)
