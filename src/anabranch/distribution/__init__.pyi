from .devices import get_device_count as get_device_count, initialize as initialize, list_devices as list_devices
from .meshes import DeviceMesh as DeviceMesh, LayoutMap as LayoutMap, TensorLayout as TensorLayout
from .strategies import (
    DataParallel as DataParallel,
    ModelParallel as ModelParallel,
    distribute_tensor as distribute_tensor,
    distribution as distribution,
    set_distribution as set_distribution,
)
