"""The typed Ops of networks."""

from aeframe.nn.ops import xla as xla
from aeframe.nn.ops.activations import (
    ActivationOp,
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
from aeframe.nn.ops.attention import (
    AttentionOp,
    RotaryOp,
)
from aeframe.nn.ops.bfloat16 import (
    Bfloat16Op,
    RoundOp,
)
from aeframe.nn.ops.convolve import (
    Conv2DOp,
    ConvKernel2DOp,
    ConvTranspose2DOp,
)
from aeframe.nn.ops.fused import (
    FusedOp,
)
from aeframe.nn.ops.linear import (
    BilinearOp,
    DenseOp,
    EmbeddingOp,
)
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
from aeframe.nn.ops.pool import (
    AvgPool2DOp,
    GlobalAvgPoolOp,
    MaxPool2DOp,
    PoolOp,
)
from aeframe.nn.ops.recurrent import (
    GRUOp,
    LSTMOp,
    RecurrentOp,
    SimpleRNNOp,
)
from aeframe.nn.ops.regularize import (
    DropoutOp,
)
from aeframe.nn.ops.winograd import (
    WinogradKernelOp,
    WinogradOp,
)

__all__ = [
    "ActivationOp",
    "AttentionOp",
    "AvgPool2DOp",
    "BatchNormInferenceOp",
    "BatchNormOp",
    "Bfloat16Op",
    "BilinearOp",
    "BinaryCrossEntropyOp",
    "Conv2DOp",
    "ConvKernel2DOp",
    "ConvTranspose2DOp",
    "CosineOp",
    "DenseOp",
    "DropoutOp",
    "EluOp",
    "EmbeddingOp",
    "FusedOp",
    "GRUOp",
    "GeluOp",
    "GlobalAvgPoolOp",
    "GroupNormOp",
    "HingeOp",
    "HuberOp",
    "KLDivergenceOp",
    "LSTMOp",
    "LayerNormOp",
    "LeakyReluOp",
    "LogSoftmaxOp",
    "MaxPool2DOp",
    "MeanAbsoluteErrorOp",
    "MeanSquaredErrorOp",
    "NegativeLogLikelihoodOp",
    "PoolOp",
    "RMSNormOp",
    "RecurrentOp",
    "ReluOp",
    "RotaryOp",
    "RoundOp",
    "SigmoidOp",
    "SiluOp",
    "SimpleRNNOp",
    "SoftmaxCrossEntropyOp",
    "SoftmaxOp",
    "SoftplusOp",
    "TanhOp",
    "WinogradKernelOp",
    "WinogradOp",
    "xla",
]
