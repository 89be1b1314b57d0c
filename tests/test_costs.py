"""What a typed graph costs: sizes that must work, with bounds far above what is measured."""

import subprocess
import sys
import time

import aesara.tensor as at
import numpy as np
import pytest

import aeframe as ae
from aeframe.core import Graph, expand, grad, typed_nodes
from aeframe.nn.ops import DenseOp, ReluOp


def tensor(*shape):
    return at.TensorType("float32", shape)()


@pytest.mark.slow
def test_two_hundred_layers_build_differentiate_and_expand_in_a_second():
    def build():
        h = x = tensor(32, 50)
        weights = [(tensor(50, 50), tensor(50)) for _ in range(200)]
        for w, b in weights:
            h = ReluOp()(DenseOp()(h, w, b))
        flat = [v for pair in weights for v in pair]
        graph = Graph((x, *flat), ((h**2).mean(), *grad((h**2).mean(), flat)))
        assert not typed_nodes(expand(graph))

    seconds = []
    for _ in range(3):
        start = time.process_time()
        build()
        seconds.append(time.process_time() - start)
    assert min(seconds) < 1.0


@pytest.mark.slow
def test_five_thousand_applies_compile_on_jax():
    x = at.TensorType("float64", (3,))("x")
    h = x
    for i in range(2500):
        h = at.sin(h) if i % 2 else ReluOp()(h)
        h = h + 0.001
    start = np.array([0.1, 0.2, 0.3])
    (got,) = ae.Backend("jax").compile([x], [h])(start)
    wanted = start
    for i in range(2500):
        wanted = (np.sin(wanted) if i % 2 else np.maximum(wanted, 0)) + 0.001
    np.testing.assert_allclose(np.asarray(got), wanted, rtol=1e-12)


@pytest.mark.slow
def test_the_import_takes_little_more_than_aesaras():
    def seconds(code):
        run = f"import time; t = time.process_time(); {code}; print(time.process_time() - t)"
        out = [
            float(subprocess.run([sys.executable, "-c", run], capture_output=True).stdout)
            for _ in range(5)
        ]
        return min(out)

    plain = "import os; os.environ['AESARA_FLAGS'] = 'blas__ldflags='; import aesara"
    assert seconds("import aeframe") - seconds(plain) < 0.3
