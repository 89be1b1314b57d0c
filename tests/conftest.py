"""Imported before any test: aeframe first, so that Aesara is imported on what compat repairs."""

import matplotlib

import aeframe  # noqa: F401

matplotlib.use("Agg")
