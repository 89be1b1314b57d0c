"""Imported before any test: aeframe first, so that Aesara is imported on what compat repairs."""

import aeframe  # noqa: F401
import matplotlib

matplotlib.use("Agg")
