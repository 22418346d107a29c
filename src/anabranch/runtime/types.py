"""Types that rooms which do not name torch annotate with: a symbolic tensor is typed as what it stands for."""

from torch import Tensor as Tensor
