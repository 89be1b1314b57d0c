"""The backend selector and the programs it compiles."""

from aeframe.backends.base import (
    Backend,
    Diagnosis,
    as_backend,
    backend_names,
    current_backend,
    diagnose,
    to_numpy,
)
from aeframe.backends.claims import implement
from aeframe.backends.cost import Analytic, Measured
from aeframe.backends.interrupts import interrupts_between, interrupts_wait
from aeframe.backends.jax.mesh import connect
from aeframe.backends.optimize import optimize
from aeframe.backends.program import Program
from aeframe.backends.run import as_array, program_for, require_finite, run

__all__ = [
    "Analytic",
    "Backend",
    "Diagnosis",
    "Measured",
    "Program",
    "as_array",
    "as_backend",
    "backend_names",
    "connect",
    "current_backend",
    "diagnose",
    "implement",
    "interrupts_between",
    "interrupts_wait",
    "optimize",
    "program_for",
    "require_finite",
    "run",
    "to_numpy",
]
