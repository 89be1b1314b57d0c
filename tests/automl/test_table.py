"""The committed table of networks is that of the space, and its numbers are those of training."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def benchmark():
    """The benchmark's module; its name is that of the room, so it is not imported by name."""
    from importlib.util import module_from_spec, spec_from_file_location

    spec = spec_from_file_location("benchmarks_automl", BENCHMARKS / "automl.py")
    sys.path.append(str(BENCHMARKS))  # for what it imports from beside it
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def networks():
    return json.loads((BENCHMARKS / "results" / "automl_table.json").read_text())["networks"]


def test_the_table_is_whole(networks):
    assert len({e["key"] for e in networks}) == len(networks) >= 500
    assert all(len(e["nll"]) == 30 for e in networks)


@pytest.mark.slow
def test_it_has_the_networks_that_rules_reach(benchmark, networks):
    assert {e["key"]: e["lineage"] for e in networks} == {
        key: [list(move) for move in lineage] for key, lineage, _ in benchmark.space()
    }


@pytest.mark.slow
@pytest.mark.parametrize("number", [0, 101, 250, 403])
def test_training_gives_its_numbers(benchmark, networks, number):
    from aeframe import automl

    entry = networks[number]
    first = networks[number - number % len(benchmark.RATES)]  # of its structure
    model = benchmark.compiled(first["lineage"])
    grown = automl.grow(benchmark.base(), entry["lineage"])
    rate = automl.training_of(benchmark.graph_of(grown)).learning_rate
    curves = [benchmark.scratch(model, model._trainer, rate, seed) for seed in range(3)]
    np.testing.assert_allclose(np.mean(curves, axis=0), entry["nll"], rtol=0.02, atol=0.002)


def test_what_counts_as_reached(benchmark, tmp_path):
    nll = [0.5, 0.1, 0.4, 0.3, 0.2] * 8
    listed = [{"key": str(i), "lineage": [], "nll": [9.0, v]} for i, v in enumerate(nll)]
    path = tmp_path / "table.json"
    path.write_text(json.dumps({"epochs": 2, "networks": listed}))
    table = benchmark.Table(path)
    assert (table.top, table.cut) == (2, 0.1)
    assert table.reached([(1, "0"), (4, "4"), (9, "1"), (12, "2")]) == 9
    assert table.reached([(1, "0")]) is None
    np.testing.assert_allclose(table.regret([(2, "0"), (4, "1")], [2, 3, 4]), [0.4, 0.4, 0.0])
    found = [table.reached(table.random(seed)) for seed in range(400)]
    exact = 2 * 41 / 9  # eight of the forty are as good: (N + 1) / (K + 1) draws of two epochs
    assert np.mean(found) == pytest.approx(exact, rel=0.1)
