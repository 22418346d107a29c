from .activation import (
    elu as elu,
    masked_softmax as masked_softmax,
    prelu as prelu,
    relu as relu,
    soft_capped as soft_capped,
    softmax as softmax,
)
from .adjusting import (
    beside_images as beside_images,
    brightened as brightened,
    chosen as chosen,
    contrasted as contrasted,
    cut as cut,
    equalized as equalized,
    equalized_by_tiles as equalized_by_tiles,
    erased as erased,
    greyed as greyed,
    hue_shifted as hue_shifted,
    posterized as posterized,
    rectangles as rectangles,
    rescaled as rescaled,
    saturated as saturated,
    sharpened as sharpened,
    signs as signs,
    solarized as solarized,
    stretched as stretched,
)
from .attention import (
    NO_NOISE as NO_NOISE,
    Noise as Noise,
    attend as attend,
    attend_by as attend_by,
    attend_single as attend_single,
    dropped as dropped,
    earlier as earlier,
    masked_scores as masked_scores,
    pair_mask as pair_mask,
    products as products,
    softmax_scores as softmax_scores,
    summed_tanh as summed_tanh,
    times as times,
    truth as truth,
    within as within,
)
from .boxes import (
    boxes_chosen as boxes_chosen,
    boxes_from as boxes_from,
    clipped as clipped,
    converted as converted,
    labels_of_any as labels_of_any,
    mirrored_boxes as mirrored_boxes,
    moved as moved,
    scaled_boxes as scaled_boxes,
)
from .colors import (
    grey as grey,
    hsv_to_rgb as hsv_to_rgb,
    rgb_to_hsv as rgb_to_hsv,
)
from .convolution import (
    channels_back as channels_back,
    channels_front as channels_front,
    conv as conv,
    conv_transpose as conv_transpose,
    convolve as convolve,
    depthwise_conv as depthwise_conv,
    einsum as einsum,
    flat_pads as flat_pads,
    linear as linear,
    linear_back as linear_back,
    linear_over as linear_over,
    plus as plus,
    same_pads as same_pads,
)
from .encoding import (
    bins as bins,
    encode as encode,
    find as find,
    first_or as first_or,
)
from .filtering import (
    blurred as blurred,
    filtered as filtered,
    gaussian as gaussian,
    patches as patches,
    weights_like as weights_like,
)
from .image import (
    as_dtype_of as as_dtype_of,
    cropped as cropped,
    cropped_at as cropped_at,
    drawn as drawn,
    mirrored as mirrored,
    normal as normal,
    start_drawn as start_drawn,
    upsample as upsample,
)
from .masked import (
    keep as keep,
    masked_extreme as masked_extreme,
    masked_mean as masked_mean,
    masked_product as masked_product,
)
from .mixing import (
    beta as beta,
    boxes_to as boxes_to,
    fractions as fractions,
    indices_drawn as indices_drawn,
    mixed as mixed,
    pasted as pasted,
    shuffled as shuffled,
    with_others as with_others,
)
from .noise import (
    alpha_dropout as alpha_dropout,
    dropout as dropout,
    gaussian_dropout as gaussian_dropout,
    gaussian_noise as gaussian_noise,
)
from .normalization import (
    batch_norm as batch_norm,
    group_norm as group_norm,
    layer_norm as layer_norm,
    rms_norm as rms_norm,
    spectral_normalize as spectral_normalize,
    standardize as standardize,
    unit_norm as unit_norm,
)
from .pooling import (
    adaptive_pool as adaptive_pool,
    global_pool as global_pool,
    pool as pool,
)
from .recurrent import (
    as_state as as_state,
    copied as copied,
    dropout_factors as dropout_factors,
    gate_convolutions as gate_convolutions,
    gate_products as gate_products,
    gru as gru,
    gru_step as gru_step,
    gru_step_before as gru_step_before,
    length_of as length_of,
    lstm as lstm,
    lstm_step as lstm_step,
    over_steps as over_steps,
    simple_rnn as simple_rnn,
    zeroed as zeroed,
)
from .reduction import (
    quantile as quantile,
)
from .shaping import (
    as_equal_ranks as as_equal_ranks,
    batch_dot as batch_dot,
    cast as cast,
    concatenate as concatenate,
    crop_spatial as crop_spatial,
    embedding as embedding,
    flatten as flatten,
    is_float as is_float,
    maximum as maximum,
    minimum as minimum,
    pad_spatial as pad_spatial,
    permute as permute,
    repeat_vector as repeat_vector,
    reshape as reshape,
)
from .spectra import (
    channels_merged as channels_merged,
    decibels as decibels,
    framed_by as framed_by,
    mel as mel,
    spectrum as spectrum,
    wide as wide,
)
from .warping import (
    Sampling as Sampling,
    bent as bent,
    corner_points as corner_points,
    elastic as elastic,
    homography as homography,
    number_like as number_like,
    pixels as pixels,
    projected as projected,
    read_at as read_at,
    resampling as resampling,
    sampled as sampled,
    shearing as shearing,
    shifting as shifting,
    turning as turning,
    zooming as zooming,
)
