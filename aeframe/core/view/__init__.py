"""``model.view()``: the typed graph of a Module as one HTML page."""

from aeframe.core.view.page import View, view
from aeframe.core.view.scene import scene

__all__ = ["View", "scene", "view"]
