"""Model: a generative program, its sites and observations; linear models from formulas."""

from aeframe.prob import families
from aeframe.prob.linear import Horseshoe, LinearModel, WeaklyInformative
from aeframe.prob.model import Model
from aeframe.prob.observe import Observe
from aeframe.prob.sites import ObserveOp, SiteOp, sites_of
from aeframe.prob.unconstrain import Unconstrained

__all__ = [
    "Horseshoe",
    "LinearModel",
    "Model",
    "Observe",
    "ObserveOp",
    "SiteOp",
    "Unconstrained",
    "WeaklyInformative",
    "families",
    "sites_of",
]
