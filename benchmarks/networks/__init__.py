"""Seven networks for one input, in aeframe and in PyTorch.

``networks.NAME`` has `SHAPE`, the shape of the input as aeframe takes it, and `build`, which
returns the Module; ``networks.NAME_torch`` has PyTorch's `build`. Both hold their layers in the
same order, so that weights can be copied, see :mod:`networks.weights`.

Sizes are those with which TASO (Jia et al. 2019) and Tensat (Yang et al. 2021) report their gains.
The layers are those of the networks' papers: TASO and Tensat leave out batch normalization, biases,
and of BERT all but the products of its attention.
"""

import aeframe as aeframe  # before Aesara, which it prepares for the libraries of today

NETWORKS = ("bert", "resnext50", "nasnet", "nasrnn", "inception", "squeezenet", "vgg19")
