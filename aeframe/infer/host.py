"""Markov chains on backends that JAX cannot trace: nutpie's sampler calls the compiled density."""

from __future__ import annotations

import time
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from aeframe.backends import to_numpy
from aeframe.core.errors import BackendError
from aeframe.infer.chains import Chains
from aeframe.prob.unconstrain import Unconstrained, Vector

if TYPE_CHECKING:
    from aeframe.infer.nuts import NUTS
