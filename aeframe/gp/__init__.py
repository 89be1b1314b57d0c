"""Gaussian processes: kernels as typed expressions, exact inference, kernel search."""

from aeframe.gp import rules as rules
from aeframe.gp.fit import FitResult, FitStep
from aeframe.gp.kernel import (
    Kernel,
    Product,
    Sum,
    Warped,
    hyper,
    leaf_kernels,
    setting,
    to_kernel,
)
from aeframe.gp.kernels import SE, Linear, Periodic, White
from aeframe.gp.linalg import GaussianEvidenceOp
from aeframe.gp.model import GP, Prediction
from aeframe.gp.ops import (
    GramOp,
    KernelOp,
    KernelType,
    LeafGramOp,
    LeafKernelOp,
    ProductKernelOp,
    SumKernelOp,
    WarpedKernelOp,
)
from aeframe.gp.search import KernelSearch, moves

__all__ = [
    "GP",
    "SE",
    "FitResult",
    "FitStep",
    "GaussianEvidenceOp",
    "GramOp",
    "Kernel",
    "KernelOp",
    "KernelSearch",
    "KernelType",
    "LeafGramOp",
    "LeafKernelOp",
    "Linear",
    "Periodic",
    "Prediction",
    "Product",
    "ProductKernelOp",
    "Sum",
    "SumKernelOp",
    "Warped",
    "WarpedKernelOp",
    "White",
    "hyper",
    "leaf_kernels",
    "moves",
    "setting",
    "to_kernel",
]
