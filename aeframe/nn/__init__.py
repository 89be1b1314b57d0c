"""Layers, activations, losses and initializers, and the rules on them."""

from aeframe.nn import rules as rules
from aeframe.nn.functions import (
    log_softmax,
    mean_squared_error,
    negative_log_likelihood,
    relu,
    softmax_cross_entropy,
)
from aeframe.nn.initializers import glorot_uniform, he_normal, zeros
from aeframe.nn.layers import Dense, Dropout, Layer

__all__ = [
    "Dense",
    "Dropout",
    "Layer",
    "glorot_uniform",
    "he_normal",
    "log_softmax",
    "mean_squared_error",
    "negative_log_likelihood",
    "relu",
    "rules",
    "softmax_cross_entropy",
    "zeros",
]
