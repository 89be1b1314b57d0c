"""The known-answer cases, and the Models that their mechanisms say."""

import json
from pathlib import Path

import aesara.tensor as at
import numpy as np

import aeframe as ae
from aeframe.causal import CausalGraph

CASES = {c["id"]: c for c in json.loads((Path(__file__).parent / "data/cases.json").read_text())}


def of_kind(kind):
    """The ids of the cases of one kind."""
    return [name for name, c in CASES.items() if c["kind"] == kind]


def graph_of(name):
    """The graph of a case, its latent variables projected out."""
    g = CASES[name]["graph"]
    hidden = g.get("latent", ())
    return CausalGraph(g["directed"], g.get("bidirected", ())).project(hidden)


class Binary(ae.Model):
    """Bernoulli sites: name → (parents, array of P(1 | parents)), causes first."""

    def __init__(self, tables):
        self.tables = tuple((name, tuple(parents), p) for name, (parents, p) in tables.items())

    def __call__(self):
        sites = {}
        for name, parents, p in self.tables:
            p_one = at.as_tensor_variable(p)[tuple(sites[v] for v in parents)]
            sites[name] = self.sample(name, ae.Bernoulli(p_one))


def binary(name):
    """The Model of a case with binary tables, hidden variables included."""
    tables = {}
    for variable, rule in CASES[name]["mechanism"]["binary_cpt"].items():
        shape = (2,) * len(rule["parents"])
        tables[variable] = (rule["parents"], np.array(list(rule["p1"].values())).reshape(shape))
    return Binary(tables)


def counts(name):
    """The table of a case as columns."""
    (rows,) = CASES[name]["mechanism"].values()
    return {key: np.array([r[key] for r in rows]) for key in rows[0]}
