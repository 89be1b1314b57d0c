"""Eight encoder layers of BERT-Large in PyTorch, with its fused attention."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import gelu, scaled_dot_product_attention

from networks.bert import HEADS, LAYERS, WIDTH


class Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v, self.out = (nn.Linear(width, width) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        t, width = x.shape
        q, k, v = (
            part(x).view(1, t, self.heads, width // self.heads).transpose(1, 2)
            for part in (self.q, self.k, self.v)
        )
        mixed = scaled_dot_product_attention(q, k, v)
        return self.out(mixed.transpose(1, 2).reshape(t, width))


class Layer(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attend = Attention(width, heads)
        self.attended = nn.LayerNorm(width, eps=1e-12)
        self.wide = nn.Linear(width, 4 * width)
        self.narrow = nn.Linear(4 * width, width)
        self.thought = nn.LayerNorm(width, eps=1e-12)

    def forward(self, x: Tensor) -> Tensor:
        x = self.attended(x + self.attend(x))
        return self.thought(x + self.narrow(gelu(self.wide(x))))


def build() -> nn.Module:
    """(64, 1024) → (64, 1024)."""
    return nn.Sequential(*(Layer(WIDTH, HEADS) for _ in range(LAYERS)))
