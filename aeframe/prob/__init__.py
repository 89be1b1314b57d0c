"""Model: a generative program, its sites, its observations and its log joint density."""

from aeframe.prob.model import Model
from aeframe.prob.observe import Observe
from aeframe.prob.sites import ObserveOp, SiteOp, sites_of

__all__ = ["Model", "Observe", "ObserveOp", "SiteOp", "sites_of"]
