"""How well the analytic cost model predicts: predicted over measured seconds of single Applies.

`predicted` is what `Analytic` says, `measured` what a program of the Apply alone takes without the
time to start it, both with this machine's files emptied first; `ratio` is the first over the
second. `calibration` is the seconds that a kind of work takes to be measured. A chain is an
elementwise Apply measured by what it adds to a row of them.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import harness
from harness import Row

import aeframe  # noqa: F401 (before Aesara)

import aesara.tensor as at  # isort: skip
from aesara.graph.basic import Apply  # isort: skip

from aeframe.backends.cost import Analytic, Measured
from aeframe.backends.native.build import library
from aeframe.backends.plain import matrix
from aeframe.backends.work import KINDS
from aeframe.core.shapes import narrow
from aeframe.nn import ops

SAME = ((1, 1), (1, 1))


def dense(m: int, k: int, n: int) -> Apply:
    return ops.DenseOp()(matrix(m, k), matrix(k, n), matrix(n)).owner


def convolution(size: int, c: int, o: int, kernel: int, groups: int = 1, stride: int = 1) -> Apply:
    padding = ((kernel // 2,) * 2,) * 2
    op = ops.Conv2DOp((stride, stride), padding, groups=groups)
    return op(matrix(1, size, size, c), matrix(kernel, kernel, c // groups, o)).owner


def attention(heads: int, steps: int, width: int) -> Apply:
    return ops.AttentionOp()(*(matrix(1, heads, steps, width) for _ in range(3)))[0].owner


def lstm(n: int, steps: int, units: int) -> Apply:
    weights = [matrix(units, 4 * units), matrix(units, 4 * units), matrix(4 * units)]
    first = [matrix(n, units), matrix(n, units)]
    return ops.LSTMOp()(matrix(n, steps, units), *weights, *first)[0].owner


CASES: dict[str, list[Callable[[], Apply]]] = {
    "dense": [
        partial(dense, *s)
        for s in ((1, 784, 512), (4, 64, 64), (32, 256, 256), (64, 768, 3072), (256, 512, 512))
    ],
    "convolution": [
        partial(convolution, *s)
        for s in ((56, 64, 64, 3), (28, 128, 128, 3), (14, 256, 256, 3), (224, 3, 64, 7, 1, 2))
    ],
    "1x1 convolution": [
        partial(convolution, *s) for s in ((56, 64, 256, 1), (14, 1024, 256, 1), (28, 64, 64, 1))
    ],
    "grouped convolution": [
        partial(convolution, *s) for s in ((28, 128, 128, 3, 32), (14, 256, 256, 3, 8))
    ],
    "depthwise convolution": [
        partial(convolution, *s) for s in ((56, 64, 64, 3, 64), (14, 256, 256, 3, 256))
    ],
    "attention": [partial(attention, *s) for s in ((8, 32, 64), (12, 128, 64), (4, 256, 32))],
    "pooling": [
        lambda: ops.MaxPool2DOp((2, 2), (2, 2))(matrix(1, 56, 56, 64)).owner,
        lambda: ops.AvgPool2DOp((3, 3), (1, 1), SAME)(matrix(1, 28, 28, 128)).owner,
    ],
    "rows": [
        lambda: ops.SoftmaxOp()(matrix(512, 128)).owner,
        lambda: ops.LayerNormOp(1e-5)(matrix(64, 1024), matrix(1024), matrix(1024)).owner,
    ],
    "recurrent": [partial(lstm, 8, 32, 64), partial(lstm, 32, 8, 128)],
    "batched product": [
        lambda: narrow(at.batched_dot(matrix(8, 64, 64), matrix(8, 64, 64)).owner),
        lambda: narrow(at.batched_dot(matrix(12, 128, 64), matrix(12, 64, 128)).owner),
    ],
    "move": [
        lambda: narrow(at.concatenate([matrix(256, 128)] * 2, axis=1).owner),
        lambda: narrow(at.concatenate([matrix(1, 28, 28, 64), matrix(1, 28, 28, 128)], 3).owner),
    ],
    "slice": [
        lambda: narrow(matrix(64, 3072)[:, :1024].owner),
        lambda: narrow(matrix(1, 28, 28, 192)[..., 64:].owner),
    ],
}


def links(backend: str) -> list[Row]:
    """What an elementwise Apply adds to a chain."""
    model = Analytic(backend)
    ratios = []
    for n in (1 << 14, 1 << 17):
        x = matrix(n)
        ratios.append(model((x * x).owner) / model.machine.link(n))
    return [harness.row("chain", f"aeframe/{backend}", "ratio", ratios, "x", "")]


def measure(backend: str, kinds: list[str]) -> list[Row]:
    """Rows of one backend."""
    predicted, measured, rows = Analytic(backend), Measured(backend), []
    key = f"aeframe/{backend}"
    for kind in kinds:
        ratios = []
        for case in CASES[kind]:
            node = case()
            a, b = predicted(node), measured(node)
            ratios.append(a / b)
            shapes = " ".join("x".join(map(str, v.type.shape)) for v in node.inputs)
            for metric, value in (("predicted", a), ("measured", b)):
                row = harness.row(kind, key, metric, [value], "s")
                rows.append(replace(row, note=shapes))
        rows.append(harness.row(kind, key, "ratio", ratios, "x", ""))
    return rows


def calibration(backend: str) -> list[Row]:
    """Seconds to measure each kind of work, on a machine that has no file of it."""
    rows, model = [], Analytic(backend)
    for kind in (k for k in KINDS.values() if k.sample is not None):
        start = time.perf_counter()
        model(narrow(kind.sample(*(axis[0] for axis in kind.grid))[0].owner))
        taken = time.perf_counter() - start
        rows.append(harness.row(kind.name, f"aeframe/{backend}", "calibration", [taken], "s"))
    return rows


def main() -> None:
    """All backends that are asked for."""
    options = harness.parser(__doc__ or "")
    options.add_argument("--backend", action="append", help="default: jax, c and numba")
    options.add_argument("--kind", action="append", choices=list(CASES), help="default: all")
    given = options.parse_args()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        for backend in given.backend or ("jax", "c", "numba"):
            library()  # the kernels are compiled before their rates are measured
            os.environ["XDG_CACHE_HOME"] = folder
            rows += [*calibration(backend), *measure(backend, given.kind or list(CASES))]
            rows += links(backend)
    harness.table(rows)
    harness.save(given, rows)


if __name__ == "__main__":
    main()
