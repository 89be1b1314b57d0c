"""Layers, activations, losses and initializers, and the rules on them."""

from aeframe.nn import equalities as equalities
from aeframe.nn import native as native
from aeframe.nn import rules as rules
from aeframe.nn import work as work
from aeframe.nn.adapt import (
    LoRA,
    lora,
    merge_lora,
)
from aeframe.nn.attention import (
    MultiHeadAttention,
)
from aeframe.nn.bfloat16 import (
    Bfloat16,
)
from aeframe.nn.combine import (
    Parallel,
    Residual,
    Sequential,
)
from aeframe.nn.convolve import (
    Conv1D,
    Conv2D,
    ConvTranspose2D,
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
from aeframe.nn.pool import (
    AvgPool1D,
    AvgPool2D,
    GlobalAvgPool1D,
    GlobalAvgPool2D,
    MaxPool1D,
    MaxPool2D,
)
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
    "AvgPool1D",
    "AvgPool2D",
    "BatchNorm",
    "Bfloat16",
    "Bidirectional",
    "Conv1D",
    "Conv2D",
    "ConvTranspose2D",
    "Dense",
    "Dropout",
    "Embedding",
    "Flatten",
    "GlobalAvgPool1D",
    "GlobalAvgPool2D",
    "GroupNorm",
    "Layer",
    "LayerNorm",
    "LoRA",
    "MaxPool1D",
    "MaxPool2D",
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
    "equalities",
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
