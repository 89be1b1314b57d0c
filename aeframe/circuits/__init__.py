"""Probabilistic circuits: sums, products and leaves, and queries on them."""

from aeframe.circuits import rules as rules
from aeframe.circuits.convert import to_circuit
from aeframe.circuits.em import FitResult
from aeframe.circuits.leaves import Bernoulli, Leaf
from aeframe.circuits.nodes import Circuit, Product, Sum
from aeframe.circuits.ops import CircuitType

__all__ = [
    "Bernoulli",
    "Circuit",
    "CircuitType",
    "FitResult",
    "Leaf",
    "Product",
    "Sum",
    "rules",
    "to_circuit",
]
