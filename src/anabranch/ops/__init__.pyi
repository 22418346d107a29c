from ._activations import relu as relu, sigmoid as sigmoid, softmax as softmax, tanh as tanh
from ._arrays import (
    as_input as as_input,
    as_tensor as as_tensor,
    as_tensors as as_tensors,
    dtype_of as dtype_of,
    numpy_of as numpy_of,
    shape_of as shape_of,
)
from ._convolution import conv as conv, linear as linear
from ._device import describe_device as describe_device, device as device, threads as threads
from ._infer import infer as infer
from ._pooling import global_pool as global_pool, pool as pool
from ._random import dropout as dropout
from ._running import (
    is_recording as is_recording,
    is_training as is_training,
    recording as recording,
    run as run,
    training_scope as training_scope,
)
from ._weights import native as native, realize as realize, shown as shown, write as write
