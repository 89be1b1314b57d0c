"""The networks of the benchmark of rewrites: sizes as published, outputs as PyTorch's."""

import math
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from aesara.tensor.type import TensorType

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from networks import NETWORKS
from networks.small import SMALL
from networks.weights import copied, made

import aeframe as ae
from aeframe.core.module import lower

BERT_LAYER = 4 * (1024 * 1024 + 1024) + 2 * 1024 * 4096 + 4096 + 1024 + 4 * 1024
PUBLISHED = {
    "bert": (8 * BERT_LAYER, (64, 1024)),
    "resnext50": (25_028_904, (1, 1000)),  # torchvision's resnext50_32x4d
    "nasrnn": (16 * 512**2, (1, 512)),
    "inception": (23_834_568, (1, 1000)),  # torchvision's inception_v3, aux_logits=False
    "squeezenet": (1_235_496, (1, 1000)),  # torchvision's squeezenet1_1
    "vgg19": (143_667_240, (1, 1000)),  # torchvision's vgg19
}
FAST = ("nasrnn", "squeezenet", "qkv-1x512", "lora-16x1024-64", "attention-64x512")


def network(name):
    """A plain model, and its symbolic input."""
    if name in SMALL:
        build, shape = SMALL[name]
    else:
        module = import_module(f"networks.{name}")
        build, shape = module.build, module.SHAPE
    return build(), TensorType("float32", shape)("x")


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_network_is_as_large_as_published(name):
    model, x = network(name)
    (y,) = lower(model, x).outputs
    parameters = [c for c in model.store.values() if isinstance(c, ae.Parameter)]
    assert (sum(math.prod(c.type.shape) for c in parameters), y.type.shape) == PUBLISHED[name]


def test_nasnet_halves_its_images_and_doubles_its_width():
    model, x = network("nasnet")
    (y,) = lower(model, x).outputs
    assert y.type.shape == (1, 1000)
    outputs = [[cell._last_output for cell in stage] for stage in model.stages]
    normal = ["(1, 56, 56, 640)", "(1, 28, 28, 1280)", "(1, 14, 14, 2560)"]
    reduced = ["(1, 28, 28, 1280)", "(1, 14, 14, 2560)", "(1, 7, 7, 5120)"]
    assert outputs == [[a] * 5 + [b] for a, b in zip(normal, reduced, strict=True)]


@pytest.mark.parametrize(
    "name",
    [n if n in FAST else pytest.param(n, marks=pytest.mark.slow) for n in (*NETWORKS, *SMALL)],
)
def test_an_optimized_network_computes_the_same(name):
    model, x = network(name)
    made(model, x)
    data = np.random.default_rng(0).standard_normal(x.type.shape, np.float32)
    plain, optimized = model(data), model.optimize()(data)
    assert np.abs(plain).max() > 1e-3
    assert np.abs(optimized - plain).max() <= 1e-5 * np.abs(plain).max()


@pytest.mark.parametrize(
    "name", [n if n in FAST else pytest.param(n, marks=pytest.mark.slow) for n in NETWORKS]
)
def test_a_network_computes_what_pytorch_does(name):
    torch = pytest.importorskip("torch")
    model, x = network(name)
    theirs = copied(made(model, x), import_module(f"networks.{name}_torch").build()).eval()
    data = np.random.default_rng(0).standard_normal(x.type.shape, np.float32)
    given = torch.from_numpy(data)
    with torch.inference_mode():
        expected = theirs(given.permute(0, 3, 1, 2) if data.ndim == 4 else given).numpy()
    assert np.abs(model(data) - expected).max() <= 1e-4 * np.abs(expected).max()
