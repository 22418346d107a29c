from ._activations import (
    celu as celu,
    elu as elu,
    exp as exp,
    gelu as gelu,
    glu as glu,
    hard_shrink as hard_shrink,
    hard_sigmoid as hard_sigmoid,
    hard_silu as hard_silu,
    hard_tanh as hard_tanh,
    log_sigmoid as log_sigmoid,
    log_softmax as log_softmax,
    masked_softmax as masked_softmax,
    mish as mish,
    prelu as prelu,
    relu as relu,
    selu as selu,
    sigmoid as sigmoid,
    silu as silu,
    soft_shrink as soft_shrink,
    softmax as softmax,
    softplus as softplus,
    softsign as softsign,
    sparse_plus as sparse_plus,
    sparse_sigmoid as sparse_sigmoid,
    sparsemax as sparsemax,
    squareplus as squareplus,
    tanh as tanh,
    tanh_shrink as tanh_shrink,
    threshold as threshold,
)
from ._arrays import (
    as_input as as_input,
    as_tensor as as_tensor,
    as_tensors as as_tensors,
    dtype_of as dtype_of,
    masked_nest as masked_nest,
    numpy_of as numpy_of,
    rank_of as rank_of,
    shape_of as shape_of,
)
from ._convolution import (
    channels_back as channels_back,
    channels_front as channels_front,
    conv as conv,
    conv_transpose as conv_transpose,
    convolve as convolve,
    depthwise_conv as depthwise_conv,
    flat_pads as flat_pads,
    linear as linear,
    same_pads as same_pads,
)
from ._device import describe_device as describe_device, device as device, settle_tf32 as settle_tf32, threads as threads
from ._foreign import module_weights as module_weights, run_module as run_module, weight_of as weight_of
from ._image import (
    Sampling as Sampling,
    middle as middle,
    random_brightness as random_brightness,
    random_contrast as random_contrast,
    random_crop as random_crop,
    random_flip as random_flip,
    random_rotation as random_rotation,
    random_translation as random_translation,
    random_zoom as random_zoom,
    upsample as upsample,
)
from ._infer import UNKNOWN as UNKNOWN, described_shape as described_shape, infer as infer
from ._masks import (
    both as both,
    either as either,
    keep as keep,
    mask_of as mask_of,
    masked_extreme as masked_extreme,
    masked_mean as masked_mean,
    masked_product as masked_product,
    shaped as shaped,
    side_by_side as side_by_side,
    unequal as unequal,
    with_mask as with_mask,
)
from ._normalization import (
    batch_norm as batch_norm,
    group_norm as group_norm,
    layer_norm as layer_norm,
    rms_norm as rms_norm,
    standardize as standardize,
    unit_norm as unit_norm,
)
from ._pooling import global_pool as global_pool, pool as pool
from ._random import (
    dropout as dropout,
    gaussian_dropout as gaussian_dropout,
    gaussian_noise as gaussian_noise,
    generator as generator,
)
from ._running import (
    gathering as gathering,
    give_losses as give_losses,
    is_recording as is_recording,
    is_training as is_training,
    recording as recording,
    run as run,
    take_losses as take_losses,
    training_scope as training_scope,
)
from ._seeding import random_state as random_state, synchronise_seed as synchronise_seed
from ._shapes import (
    as_equal_ranks as as_equal_ranks,
    batch_dot as batch_dot,
    cast as cast,
    concatenate as concatenate,
    crop_spatial as crop_spatial,
    embedding as embedding,
    flatten as flatten,
    maximum as maximum,
    minimum as minimum,
    pad_spatial as pad_spatial,
    permute as permute,
    repeat_vector as repeat_vector,
    reshape as reshape,
)
from ._telling import (
    Watching as Watching,
    tell_loss as tell_loss,
    tell_update as tell_update,
    watch_value as watch_value,
)
from ._weights import native as native, realize as realize, shown as shown, write as write
