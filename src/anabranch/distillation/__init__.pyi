from .between import (
    DistillationLoss as DistillationLoss,
    FeatureDistillation as FeatureDistillation,
    LogitsDistillation as LogitsDistillation,
)
from .distiller import Distiller as Distiller
from .registry import deserialize as deserialize
