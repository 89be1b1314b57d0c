"""One call that checks a layer, a function or a loss against a formula written for JAX.

``check(case, backend)`` compares, in float64 and float32, on awkward shapes of the case's choice:
values and gradients (of inputs and of parameters) in the training phase, values in the inference
phase, dtypes down to every inner variable, and the same after a trip through a file. Backends are
those of aeframe; ``whole`` is JAX on the un-expanded graph, ``python`` is Aesara's own interpreter
on it.
"""

import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aesara
import aesara.tensor as at
import jax
import numpy as np

import aeframe as ae
from aeframe.backends.jax import JaxBackend
from aeframe.core import Graph, expand, grad, toposort
from aeframe.core.grad import is_float
from aeframe.core.serialize import decode_graph, encode_graph
from aeframe.rewrites import inference
from tests.evaluate import evaluate

jax.config.update("jax_enable_x64", True)
TOLERANCE = {"float64": 1e-9, "float32": 1e-4}


def plain_call(made, *inputs):
    """The call of most cases."""
    return made(*inputs)


@dataclass(frozen=True)
class Case:
    """What is checked.

    Attributes
    ----------
    make
        ``make(dtype)``: a Module or a function.
    data
        ``data(rng)``: its inputs; floats are cast to the dtype under test.
    reference
        ``reference(cells, *data)`` in ``jax.numpy``: the value in the training phase, one array or
        several; ``cells`` are the values of the Module's cells by path.
    inference
        The same for the inference phase, where it differs.
    call
        ``call(made, *inputs)``.
    random
        Whether training draws random numbers: only the inference phase is compared then.
    """

    make: Callable[[str], Any]
    data: Callable[[np.random.Generator], tuple]
    reference: Callable[..., Any]
    inference: Callable[..., Any] | None = None
    call: Callable[..., Any] = plain_call
    random: bool = False


class Called(ae.Module):
    """A Module around what is checked, so that functions are lowered as layers are."""

    def __init__(self, made, call):
        self.made, self._call = made, call

    def __call__(self, *inputs):
        return self._call(self.made, *inputs)


class Whole(JaxBackend):
    """JAX on typed Ops as they are."""

    def claims(self, node):
        return True


def check(case, backend):
    """Check ``case`` on ``backend``; an AssertionError says what differs."""
    probes = [Probe(case, dtype) for dtype in TOLERANCE]
    outputs = [o for probe in probes for o in probe.outputs]
    inputs = [i for probe in probes for i in probe.inputs]
    data = [a for probe in probes for a in probe.data]
    made = [np.asarray(v) for v in compute(backend, inputs, outputs, data)]
    for probe in probes:
        n = len(probe.outputs)
        probe.compare(made[:n])
        made = made[n:]


def compute(backend, inputs, outputs, data):
    """The values of ``outputs`` on a backend."""
    if backend == "python":
        with aesara.config.change_flags(mode="FAST_COMPILE", linker="py"):
            cells = [c for c in ae.core.graph.leaves(outputs) if isinstance(c, ae.core.Cell)]
            return evaluate([*inputs, *cells], outputs, [*data, *(value_of(c) for c in cells)])
    chosen = Whole() if backend == "whole" else ae.Backend(backend)
    return chosen.compile(inputs, outputs)(*data)


def value_of(cell):
    return cell.generator() if isinstance(cell, ae.RandomState) else cell.value


class Probe:
    """One case in one dtype: what is computed, and what it has to be."""

    def __init__(self, case, dtype):
        rng = np.random.default_rng(0)
        self.case, self.dtype = case, dtype
        self.data = [np.asarray(a, dtype if a.dtype.kind == "f" else None) for a in case.data(rng)]
        self.inputs = [at.TensorType(str(a.dtype), a.shape)() for a in self.data]
        module = Called(case.make(dtype), case.call)
        graph = ae.lower(module, *self.inputs)
        module.init()
        for cell in module.store.values():
            if not isinstance(cell, ae.RandomState):
                cell.restore(cell.value + 0.1 * rng.uniform(size=cell.type.shape))
        if isinstance(module.made, ae.Module):
            module.made = reloaded(module.made)
            graph = ae.lower(module, *self.inputs)
        self.store = {p.removeprefix("made."): c for p, c in module.store.items()}
        self.wrt = [v for v in self.inputs if is_float(v)]
        self.learned = [
            c for c in self.store.values() if isinstance(c, ae.Parameter) and c.trainable
        ]
        phase = inference(graph)
        self.phases = [graph.outputs, phase.outputs]
        self.weights = [weights(rng, o) for o in graph.outputs]
        pairs = zip(graph.outputs, self.weights, strict=True)
        cost = sum((o * at.as_tensor(w)).sum() for o, w in pairs)
        self.gradients = grad(cost.astype(dtype), [*self.wrt, *self.learned])
        self.outputs = [*graph.outputs, *phase.outputs, *self.gradients]
        self.require_dtypes()
        self.through_json(graph)

    def require_dtypes(self):
        """No wider float anywhere in the program, and results in the dtype of the data."""
        assert all(o.type.dtype == self.dtype for o in self.outputs if is_float(o))
        if self.dtype == "float32":
            for node in toposort(expand(Graph(tuple(self.inputs), tuple(self.outputs))).outputs):
                for v in (*node.inputs, *node.outputs):
                    assert getattr(v.type, "dtype", "") != "float64", node

    def through_json(self, graph):
        """The graph survives as JSON."""
        cells = [c for c in ae.core.graph.leaves(graph.outputs) if isinstance(c, ae.core.Cell)]
        given = [*self.inputs, *cells]
        fresh = [v.type() for v in given]
        outputs = ae.core.graph.replay(graph.outputs, dict(zip(given, fresh, strict=True)))
        _, again = decode_graph(encode_graph(fresh, outputs))
        assert [o.type for o in again] == [o.type for o in outputs]
        ops = [Counter(n.op for n in toposort(found)) for found in (outputs, again)]
        assert ops[0] == ops[1]

    def compare(self, values):
        """Values and gradients against the reference, in float64."""
        tolerance = TOLERANCE[self.dtype]
        n = len(self.phases[0])
        trained, inferred, gradients = values[:n], values[n : 2 * n], values[2 * n :]
        exact = [a.astype("float64") if a.dtype.kind == "f" else a for a in self.data]
        cells = {
            p: c.value.astype("float64") for p, c in self.store.items() if hasattr(c.type, "dtype")
        }
        reference = self.case.inference or self.case.reference
        for got, wanted in zip(inferred, several(reference(cells, *exact)), strict=True):
            close(got, wanted, tolerance, "inference")
        if self.case.random:
            return
        names = [p for p, c in self.store.items() if c in self.learned]
        moving = [i for i, a in enumerate(exact) if a.dtype.kind == "f"]

        def function(*arguments):
            given = list(exact)
            for i, v in zip(moving, arguments, strict=False):
                given[i] = v
            learned = dict(zip(names, arguments[len(moving) :], strict=True))
            return several(self.case.reference({**cells, **learned}, *given))

        point = [*(exact[i] for i in moving), *(cells[p] for p in names)]
        wanted, pull = jax.vjp(function, *point)
        for got, value in zip(trained, wanted, strict=True):
            close(got, value, tolerance, "training")
        seeds = tuple(
            np.asarray(w, "float64")
            if v.dtype.kind == "f"
            else np.zeros(v.shape, jax.dtypes.float0)
            for w, v in zip(self.weights, wanted, strict=True)
        )
        for got, value in zip(gradients, pull(seeds), strict=True):
            close(got, value, tolerance, "gradient")


def reloaded(module):
    """The Module that comes back from a file; its structure, cells and values are the same."""
    with tempfile.TemporaryDirectory() as folder:
        module.save(Path(folder) / "model.safetensors")
        loaded = ae.load(Path(folder) / "model.safetensors")
    before, after = module.store.snapshot(), loaded.store.snapshot()
    assert list(before) == list(after) and repr(loaded) == repr(module)
    assert all(np.array_equal(before[p], after[p]) for p in before)
    return loaded


def several(value):
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def weights(rng, output):
    """The numbers by which an output is multiplied before gradients are taken."""
    return np.asarray(rng.uniform(-1, 1, output.type.shape), output.type.dtype)


def close(got, wanted, tolerance, what):
    wanted = np.asarray(wanted)
    scale = max(1.0, np.abs(wanted).max(initial=0.0))
    assert got.shape == wanted.shape, what
    np.testing.assert_allclose(got, wanted, rtol=tolerance, atol=tolerance * scale, err_msg=what)
