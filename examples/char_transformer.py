"""A transformer that learns to write Shakespeare, character by character.

``python examples/char_transformer.py --data tinyshakespeare.txt``: nanoGPT's small setting (4
layers, 4 heads, width 128, context 64, 2000 steps of 12 windows), for which it reports a validation
loss of 1.88 nats a character.
"""

# ruff: noqa: I001
from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import aeframe as ae
import aesara.tensor as at
import numpy as np
from aesara.graph.basic import Variable
from numpy.typing import NDArray

from aeframe import nn
from aeframe.train import ClipNorm, Cosine, WarmUp
from data import shakespeare

Ids = NDArray[np.int64]


class Block(nn.Layer):
    """Attention to what came before, then a network on each place, both on top of what is there."""

    def __init__(self, width: int, heads: int) -> None:
        self.attend = nn.Residual(nn.LayerNorm(), nn.MultiHeadAttention(heads, causal=True))
        self.think = nn.Residual(nn.LayerNorm(), nn.Dense(4 * width), nn.gelu, nn.Dense(width))

    def __call__(self, x: Variable) -> Variable:
        """(n, t, width) → (n, t, width)."""
        return self.think(self.attend(x))


class Transformer(nn.Layer):
    """Characters (n, t) → logits of the next one (n, t, characters)."""

    def __init__(self, characters: int, context: int, width: int, depth: int, heads: int) -> None:
        self.characters = nn.Embedding(characters, width)
        self.places = nn.Embedding(context, width)
        self.blocks = [Block(width, heads) for _ in range(depth)]
        self.norm = nn.LayerNorm()

    def __call__(self, ids: Variable) -> Variable:
        """The table of characters is read twice: going in and, transposed, coming out."""
        x = self.characters(ids) + self.places(at.arange(ids.type.shape[1]))
        for block in self.blocks:
            x = block(x)
        return nn.Dense(self.characters.table.T)(self.norm(x))


class Windows:
    """Endless batches of windows into a text, and of the same windows one character later."""

    def __init__(self, text: Ids, context: int, batch: int, seed: int) -> None:
        self.text, self.context, self.batch, self.seed = text, context, batch, seed

    def __iter__(self) -> Iterator[tuple[Ids, Ids]]:
        rng = np.random.default_rng(self.seed)
        while True:
            yield self.cut(rng.integers(0, len(self.text) - self.context, self.batch))

    def cut(self, starts: Ids) -> tuple[Ids, Ids]:
        """The windows that start there."""
        window = self.text[starts[:, None] + np.arange(self.context + 1)]
        return window[:, :-1], window[:, 1:]


def write(model: Transformer, text: Ids, n: int, context: int, rng: np.random.Generator) -> Ids:
    """``text`` and ``n`` more characters, each drawn from what the model expects."""
    for _ in range(n):
        seen = text[-context:]
        logits = model.predict(np.pad(seen, (0, context - len(seen)))[None])[0, len(seen) - 1]
        # arg max of logits and Gumbel noise is a draw from their softmax
        text = np.append(text, np.argmax(logits + rng.gumbel(size=len(logits))))
    return text


def main() -> None:
    """Train, say the validation loss, and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="tinyshakespeare.txt or its folder")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--length", type=int, default=500, help="characters to write")
    parser.add_argument("--quick", action="store_true", help="a tiny model learns this file")
    options = parser.parse_args()
    context, width, depth, heads, batch = (
        (16, 16, 1, 2, 4) if options.quick else (64, 128, 4, 4, 12)
    )
    steps, length = (20, 20) if options.quick else (options.steps, options.length)
    text = Path(__file__).read_text() if options.quick else shakespeare(options.data)
    letters = sorted(set(text))
    ids = np.array([letters.index(c) for c in text])
    train, held = ids[: len(ids) * 9 // 10], ids[len(ids) * 9 // 10 :]
    warm = steps // 20
    rate = WarmUp(Cosine(1e-3, steps - warm, floor=1e-4), warm)
    model = Transformer(len(letters), context, width, depth, heads).compile(
        optimizer=ClipNorm(ae.AdamW(rate, beta_2=0.99, weight_decay=0.1), 1.0),
        loss=nn.softmax_cross_entropy,
    )
    held_out = Windows(held, context, batch, seed=1).cut(np.arange(0, len(held) - context, context))
    print(
        model.fit(
            Windows(train, context, batch, seed=0),
            epochs=4,
            steps_per_epoch=steps // 4,
            validation_data=held_out,
        )
    )
    print(f"validation loss {model.evaluate(*held_out)['loss']:.3f} on {len(held):,} characters")
    start = ids[:1]
    written = write(model, start, length, context, np.random.default_rng(0))
    print("".join(letters[i] for i in written))


if __name__ == "__main__":
    main()
