"""Variational inference: guides made from a Model by rules, and the ELBO that they climb."""

from aeframe.infer.variational.method import (
    FullRank,
    MeanField,
    StructuredVI,
    VariationalPosterior,
)

__all__ = ["FullRank", "MeanField", "StructuredVI", "VariationalPosterior"]
