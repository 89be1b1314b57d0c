"""What several networks are made of, in PyTorch."""

from __future__ import annotations

from typing import Any

from torch import nn


def conv_bn(
    inputs: int, outputs: int, kernel: Any, *more: nn.Module, **options: Any
) -> nn.Sequential:
    """A convolution without a bias, batch normalization, and what comes after."""
    convolution = nn.Conv2d(inputs, outputs, kernel, bias=False, **options)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs, eps=1e-3), *more)
