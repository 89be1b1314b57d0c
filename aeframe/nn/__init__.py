"""Layers, activations, losses and initializers, and the rules on them."""

from aeframe.nn import rules as rules
from aeframe.nn.adapt import LoRA, lora, merge_lora
from aeframe.nn.attention import MultiHeadAttention
from aeframe.nn.combine import (
    Parallel,
    Residual,
    Sequential,
)
from aeframe.nn.functions import (
    elu,
    gelu,
    leaky_relu,
    log_softmax,
    relu,
    sigmoid,
    silu,
    softmax,
    softplus,
    tanh,
)
from aeframe.nn.initializers import (
    glorot_uniform,
    he_normal,
    ones,
    orthogonal,
    truncated_normal,
    zeros,
)
from aeframe.nn.layers import (
    Dense,
    Dropout,
    Embedding,
    Flatten,
    Layer,
)
from aeframe.nn.losses import (
    binary_cross_entropy,
    cosine_distance,
    hinge,
    huber,
    kl_divergence,
    mean_absolute_error,
    mean_squared_error,
    negative_log_likelihood,
    softmax_cross_entropy,
)
from aeframe.nn.normalize import (
    BatchNorm,
    GroupNorm,
    LayerNorm,
    RMSNorm,
)
from aeframe.nn.ops import recurrent_jax as recurrent_jax
from aeframe.nn.recurrent import (
    GRU,
    LSTM,
    Bidirectional,
    Recurrent,
    SimpleRNN,
)

__all__ = [
    "GRU",
    "LSTM",
    "BatchNorm",
    "Bidirectional",
    "Dense",
    "Dropout",
    "Embedding",
    "Flatten",
    "GroupNorm",
    "Layer",
    "LayerNorm",
    "LoRA",
    "MultiHeadAttention",
    "Parallel",
    "RMSNorm",
    "Recurrent",
    "Residual",
    "Sequential",
    "SimpleRNN",
    "binary_cross_entropy",
    "cosine_distance",
    "elu",
    "gelu",
    "glorot_uniform",
    "he_normal",
    "hinge",
    "huber",
    "kl_divergence",
    "leaky_relu",
    "log_softmax",
    "lora",
    "mean_absolute_error",
    "mean_squared_error",
    "merge_lora",
    "negative_log_likelihood",
    "ones",
    "orthogonal",
    "relu",
    "rules",
    "sigmoid",
    "silu",
    "softmax",
    "softmax_cross_entropy",
    "softplus",
    "tanh",
    "truncated_normal",
    "zeros",
]
