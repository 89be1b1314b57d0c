"""Run expressions of distributions: NumPy's way Apply by Apply, or compiled."""

import numpy as np

from aeframe.backends import as_backend, to_numpy
from aeframe.core import Graph, RandomState, expand
from tests.evaluate import evaluate

STATE = RandomState().type()


def compiled(backend, inputs, outputs):
    """A function of arrays; on ``numpy`` nothing is compiled."""
    if backend != "numpy":
        program = as_backend(backend).compile(inputs, outputs)
        return lambda *arrays: [to_numpy(v) for v in program(*arrays)]
    plain = expand(Graph(tuple(inputs), tuple(outputs))).outputs

    def interpreted(*arrays):
        with np.errstate(all="ignore"):
            return evaluate(inputs, plain, arrays)

    return interpreted


def value_of(output, backend="numpy"):
    """The value of a closed expression."""
    return np.asarray(compiled(backend, [], [output])()[0])


def draw(distributions, backend, seed=7):
    """A draw of each of (distribution, shape), all from one state."""
    advanced, outputs = STATE, []
    for distribution, shape in distributions:
        advanced, drawn = distribution.draw(advanced, shape)
        assert drawn.type.shape == shape, distribution
        outputs.append(drawn)
    if backend == "numpy":
        return compiled(backend, [STATE], outputs)(np.random.default_rng(seed))
    chosen = as_backend(backend)
    program = chosen.compile([STATE], outputs)
    return [to_numpy(v)[0] for v in program.map([chosen.random_states([seed], 1)])]
