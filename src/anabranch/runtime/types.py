"""Types for annotations in packages that do not name torch: a symbolic tensor is typed as a real one."""

from torch import Tensor as Tensor
