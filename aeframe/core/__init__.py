"""Typed Ops, cells, Modules, and the tools that walk, rebuild, differentiate and write graphs."""

from aeframe.core.cells import Cell, Parameter, RandomState, State, Store, cells, parameters
from aeframe.core.expand import expand, typed_nodes
from aeframe.core.files import load, save
from aeframe.core.grad import grad, vjp
from aeframe.core.graph import Graph, replay, toposort
from aeframe.core.intermediate import IntermediateOp, IntermediateType
from aeframe.core.module import Module, graph_method, lower
from aeframe.core.ops import Pullback, TypedOp
from aeframe.core.outline import OutlinedOp, outline
from aeframe.core.structure import Structure, register
from aeframe.core.supports import (
    Binary,
    Bounded,
    CorrelationCholesky,
    Integers,
    Interval,
    Ordered,
    Positive,
    PositiveOrdered,
    Real,
    Simplex,
    Softmax,
    Support,
)

__all__ = [
    "Binary",
    "Bounded",
    "Cell",
    "CorrelationCholesky",
    "Graph",
    "Integers",
    "IntermediateOp",
    "IntermediateType",
    "Interval",
    "Module",
    "Ordered",
    "OutlinedOp",
    "Parameter",
    "Positive",
    "PositiveOrdered",
    "Pullback",
    "RandomState",
    "Real",
    "Simplex",
    "Softmax",
    "State",
    "Store",
    "Structure",
    "Support",
    "TypedOp",
    "cells",
    "expand",
    "grad",
    "graph_method",
    "load",
    "lower",
    "outline",
    "parameters",
    "register",
    "replay",
    "save",
    "toposort",
    "typed_nodes",
    "vjp",
]
