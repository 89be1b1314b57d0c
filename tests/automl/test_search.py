"""The search: deterministic, resumable, within its budget, true to the curves it reports."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import joblib
import numpy as np
import pytest

import aeframe as ae
from aeframe import automl, nn
from aeframe.core.errors import ArgumentError, DataError, FileError

RULES = ("wider", "learning rate up", "deeper")


class Net(ae.Module):
    def __init__(self):
        self.hidden, self.out = nn.Dense(4), nn.Dense(2)

    def __call__(self, x):
        return self.out(nn.relu(self.hidden(x)))


def data(rows=80):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, 2)).astype("float32")
    return x, (x[:, 0] * x[:, 1] > 0).astype(int)


def search(budget=9, **options):
    options = {"children": 2, "rung": 1, "factor": 2, "moves": 1, "seed": 3, **options}
    model = options.pop("model", None) or Net().with_pass(automl.Training(learning_rate=0.01))
    rules = options.pop("rules", RULES)
    return ae.AutoML(model, rules, nn.softmax_cross_entropy, budget, **options)


def numbers(result):
    """All that a search found, to compare bit for bit."""
    return (
        [(c.parent, c.lineage, c.key, c.curve, c.cost) for c in result.candidates],
        result.trace,
        result.epochs,
        {k: v.tobytes() for k, v in result.model.store.snapshot().items()},
    )


def heats(folder):
    """The curves of all heats that a folder knows of."""
    path = folder / "curves.json"
    return json.loads(path.read_text()) if path.exists() else {}


@pytest.fixture(scope="module")
def whole():
    return search().fit(*data(), progress=False)


def test_it_keeps_to_its_budget_and_pays_for_every_epoch(whole):
    assert whole.epochs == sum(len(c.curve) for c in whole.candidates) <= 9
    assert len({c.key for c in whole.candidates}) == len(whole.candidates) > 3
    assert whole.best.score == min(c.score for c in whole.candidates)
    assert whole.ending() in str(whole) and f"{9 - whole.epochs} of 9" in whole.ending()
    assert whole.trace[-1][1] == whole.best.number


def test_the_difference_to_the_base_is_known_without_a_call():
    base = Net().with_pass(automl.Training(learning_rate=0.01))
    result = search(5, model=base, rules=("relu to tanh",), children=1).fit(*data(), progress=False)
    for change in (ae.diff(base, result.model), ae.diff(Net(), result.model)):
        assert {s.rule for s in change.rewrites} >= {rule for rule, _ in result.lineage}
        assert len(change.plot()) == 2


def test_the_model_is_the_one_that_was_scored(whole):
    x, y = data()
    assert whole.model.evaluate(x[64:], y[64:])["loss"] == pytest.approx(
        whole.best.curve[-1], rel=1e-5
    )
    grown = [s.rule for s in whole.model.explain().reports[-1].steps]
    assert not whole.lineage or grown == [whole.lineage[-1][0]]


def test_children_begin_where_their_parents_are(whole):
    for c in whole.candidates:
        kept = c.new and all(m.rule in ("wider", "deeper") for m in c.moves[-c.new :])
        if kept and c.curve:
            (parent,) = (p for p in whole.candidates if p.number == c.parent)
            assert abs(c.curve[0] - parent.curve[0]) < 0.2


def test_the_model_that_was_given_stays_as_it_is():
    model = Net().with_pass(automl.Training())
    x, y = data()
    model(x)
    before = model.store.snapshot()
    search(3, model=model).fit(x, y, progress=False)
    for path, value in model.store.snapshot().items():
        np.testing.assert_array_equal(value, before[path])


def test_it_is_seeded_and_a_folder_changes_nothing(whole, tmp_path):
    again = search(folder=tmp_path).fit(*data(), progress=False)
    assert numbers(again) == numbers(whole)
    heats = {p: p.stat().st_mtime_ns for p in tmp_path.glob("*.checkpoint")}
    assert heats
    recalled = search(folder=tmp_path).fit(*data(), progress=False)
    assert numbers(recalled) == numbers(whole)
    assert {p: p.stat().st_mtime_ns for p in tmp_path.glob("*.checkpoint")} == heats
    damaged = sorted(heats)[0]
    damaged.write_bytes(b"none")
    with pytest.raises(FileError, match=damaged.name):
        search(folder=tmp_path).fit(*data(), progress=False)


def test_a_search_that_is_killed_goes_on_bit_for_bit(whole, tmp_path):
    folder = tmp_path / "search"
    code = (
        "from tests.automl.test_search import *\n"
        f"search(folder={str(folder)!r}).fit(*data(), progress=False)\n"
    )
    root = Path(__file__).parents[2]
    env = {**os.environ, "PYTHONPATH": str(root)}
    life = subprocess.Popen([sys.executable, "-c", code], cwd=root, env=env)
    try:
        end = time.monotonic() + 240
        while len(heats(folder)) < 3 and time.monotonic() < end:
            assert life.poll() is None, "it ended before it could be killed"
            time.sleep(0.01)
        life.send_signal(signal.SIGKILL)
    finally:
        life.kill()
        life.wait()
    left = len(heats(folder))
    resumed = search(folder=folder).fit(*data(), progress=False)
    assert 3 <= left < len(heats(folder))
    assert numbers(resumed) == numbers(whole)


def test_a_larger_budget_goes_on_from_a_smaller_one(whole, tmp_path):
    search(6, folder=tmp_path).fit(*data(), progress=False)
    assert numbers(search(9, folder=tmp_path).fit(*data(), progress=False)) == numbers(whole)


@pytest.mark.parametrize("backend", ["threading", pytest.param("loky", marks=pytest.mark.slow)])
def test_jobs_change_nothing(whole, backend):
    with joblib.parallel_config(backend, n_jobs=2):
        assert numbers(search().fit(*data(), progress=False)) == numbers(whole)


@pytest.mark.slow
def test_dask_carries_it(whole):
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as made,
        distributed.Client(made),
        joblib.parallel_config("dask"),
    ):
        assert numbers(search().fit(*data(), progress=False)) == numbers(whole)


def test_within_bounds_the_models(tmp_path):
    def small(graph):
        return sum(p.type.shape[-1] for p in ae.parameters(graph.outputs)) < 30

    result = search(6, within=small).fit(*data(), progress=False)
    assert all(small(c.graph) for c in result.candidates)
    alone = search(20, rules=("dropout",), children=3).fit(*data(), progress=False)
    assert len(alone.candidates) == 2  # the space is used up, and the search ends
    assert f"no other model within bounds: {20 - alone.epochs} of 20 epochs" in str(alone)


FINALS = {"finalists": 2, "full": 6}


@pytest.mark.slow
def test_the_winner_is_the_best_of_those_trained_in_full():
    result = search(22, **FINALS).fit(*data(), progress=False)
    assert result.epochs == sum(len(c.curve) for c in result.candidates) <= 22
    full = [c for c in result.candidates if len(c.curve) == 6]
    assert len(full) >= 2 and len(result.candidates) > 4
    assert result.best == min(full, key=lambda c: c.score)
    x, y = data()
    loss = result.model.evaluate(x[64:], y[64:])["loss"]
    assert loss == pytest.approx(result.best.curve[-1], rel=1e-5)


@pytest.mark.slow
def test_only_weights_that_something_goes_on_from_are_kept(tmp_path):
    search(30, **FINALS, folder=tmp_path).fit(*data(), progress=False)
    result = search(90, **FINALS, folder=tmp_path).fit(*data(), progress=False)
    leaders, race, finals = 4, 2, 4 + 2  # a first and a last checkpoint of each of the former two
    most = 2 * (leaders + race) + finals
    assert len(list(tmp_path.glob("*.checkpoint"))) <= most < len(heats(tmp_path)) - most
    assert numbers(search(90, **FINALS).fit(*data(), progress=False)) == numbers(result)
    again = search(90, **FINALS, folder=tmp_path).fit(*data(), progress=False)
    assert numbers(again) == numbers(result)
    with pytest.raises(FileError, match="went further"):
        search(50, **FINALS, folder=tmp_path).fit(*data(), progress=False)


def test_graphs_that_are_looked_at_have_no_weights(whole):
    new = [
        cell
        for c in whole.candidates
        if c.moves
        for cell in ae.parameters(c.graph.outputs)
        if cell not in ae.parameters(whole.candidates[0].graph.outputs)
    ]
    assert new and all(cell.data is None for cell in new)


def test_places_of_one_path_are_told_apart():
    class Two(ae.Module):
        def __init__(self):
            self.a, self.b, self.out = nn.Dense(4), nn.Dense(4), nn.Dense(2)

        def __call__(self, x):
            return self.out(nn.relu(self.b(nn.relu(self.a(x)))))

    model = Two().with_pass(automl.Training())
    rules = ("deeper", "learning rate up")
    result = search(5, model=model, rules=rules, children=3).fit(*data(), progress=False)
    shown = {str(m) for c in result.candidates for m in c.moves}
    assert "learning rate up @ training" in shown  # either place of `deeper` gives one structure
    assert shown & {"deeper @ Two [0]", "deeper @ Two [1]"} and "deeper @ Two" not in shown
    assert all(m in " ".join(str(result).split()) for m in shown)


def test_the_result_prints_and_is_drawn(whole):
    text = str(whole)
    assert "base" in text and "wider" in text and f"{whole.best.score:.4f}" in text
    ax = whole.plot()
    line = ax.lines[1]
    assert list(line.get_ydata()) == sorted(line.get_ydata(), reverse=True)
    assert min(line.get_ydata()) == whole.best.score
    ax.figure.canvas.draw()


def test_wrong_uses_are_told(tmp_path):
    x, y = data()
    with pytest.raises(ArgumentError, match="a Module"):
        ae.AutoML(Net, RULES, nn.softmax_cross_entropy)
    with pytest.raises(ArgumentError, match="softmax_cross_entropy"):
        ae.AutoML(Net(), RULES, "nll")
    with pytest.raises(ArgumentError, match="budget"):
        search(0)
    with pytest.raises(ArgumentError, match="does not suffice"):
        search(2, rung=3)
    with pytest.raises(DataError, match="not the same number"):
        search().fit(x, y[:-1])
    with pytest.raises(DataError, match="fit\\(x, y\\)"):
        search().fit(x)
    with pytest.raises(DataError, match="from 0 to 1"):
        search(1).fit(x, y + 5, progress=False)
    with pytest.raises(ArgumentError, match="x_valid, y_valid"):
        search().fit(x, y, validation_data=x)
    for rules in ((), "wider", None):
        with pytest.raises(ArgumentError, match="a tuple of some of them"):
            ae.AutoML(Net(), rules, nn.softmax_cross_entropy)
    with pytest.raises(ArgumentError, match="and the finalists"):
        search(9, full=30)
    with pytest.raises(ArgumentError, match="jobs=2"):
        search(jobs="two")
    with pytest.raises(ArgumentError, match="within"):
        search(within=3)
    with pytest.raises(DataError, match="validate on"):
        search().fit(x, y, validation_split=0.0)
    with pytest.raises(FileError, match="another search"):
        search(1, folder=tmp_path).fit(x, y, progress=False)
        search(1, folder=tmp_path, seed=4).fit(x, y, progress=False)
    (tmp_path / "file").touch()
    with pytest.raises(FileError, match="cannot be used"):
        search(1, folder=tmp_path / "file").fit(x, y)
    (tmp_path / "curves.json").write_text("{")
    with pytest.raises(FileError, match=r"curves\.json"):
        search(1, folder=tmp_path).fit(x, y, progress=False)
