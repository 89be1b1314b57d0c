"""What several networks are made of."""

from __future__ import annotations

from typing import Any

from aeframe import nn


def conv_bn(width: int, kernel: Any, *more: Any, **options: Any) -> nn.Sequential:
    """A convolution without a bias, batch normalization, and what comes after."""
    convolution = nn.Conv2D(width, kernel, bias=False, init=nn.he_normal, **options)
    return nn.Sequential(convolution, nn.BatchNorm(), *more)


def conv_relu(width: int, kernel: Any, **options: Any) -> nn.Sequential:
    """A convolution with a bias, and a relu."""
    return nn.Sequential(nn.Conv2D(width, kernel, init=nn.he_normal, **options), nn.relu)
