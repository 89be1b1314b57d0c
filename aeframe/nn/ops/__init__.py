"""The typed Ops of networks."""

from aeframe.nn.ops.activations import (
    EluOp,
    GeluOp,
    LeakyReluOp,
    LogSoftmaxOp,
    ReluOp,
    SigmoidOp,
    SiluOp,
    SoftmaxOp,
    SoftplusOp,
    TanhOp,
)
from aeframe.nn.ops.attention import AttentionOp, RotaryOp
from aeframe.nn.ops.linear import DenseOp, EmbeddingOp
from aeframe.nn.ops.losses import (
    BinaryCrossEntropyOp,
    CosineOp,
    HingeOp,
    HuberOp,
    KLDivergenceOp,
    MeanAbsoluteErrorOp,
    MeanSquaredErrorOp,
    NegativeLogLikelihoodOp,
    SoftmaxCrossEntropyOp,
)
from aeframe.nn.ops.normalize import (
    BatchNormInferenceOp,
    BatchNormOp,
    GroupNormOp,
    LayerNormOp,
    RMSNormOp,
)
from aeframe.nn.ops.recurrent import GRUOp, LSTMOp, RecurrentOp, SimpleRNNOp
from aeframe.nn.ops.regularize import DropoutOp

__all__ = [
    "AttentionOp",
    "BatchNormInferenceOp",
    "BatchNormOp",
    "BinaryCrossEntropyOp",
    "CosineOp",
    "DenseOp",
    "DropoutOp",
    "EluOp",
    "EmbeddingOp",
    "GRUOp",
    "GeluOp",
    "GroupNormOp",
    "HingeOp",
    "HuberOp",
    "KLDivergenceOp",
    "LSTMOp",
    "LayerNormOp",
    "LeakyReluOp",
    "LogSoftmaxOp",
    "MeanAbsoluteErrorOp",
    "MeanSquaredErrorOp",
    "NegativeLogLikelihoodOp",
    "RMSNormOp",
    "RecurrentOp",
    "ReluOp",
    "RotaryOp",
    "SigmoidOp",
    "SiluOp",
    "SimpleRNNOp",
    "SoftmaxCrossEntropyOp",
    "SoftmaxOp",
    "SoftplusOp",
    "TanhOp",
]
