from .attention import (
    disable_flash_attention as disable_flash_attention,
    enable_flash_attention as enable_flash_attention,
    is_flash_attention_enabled as is_flash_attention_enabled,
)
from .engines import (
    backend as backend,
    enable_unsafe_deserialization as enable_unsafe_deserialization,
    inference_engine as inference_engine,
    is_nnx_enabled as is_nnx_enabled,
    set_backend as set_backend,
    set_inference_engine as set_inference_engine,
)
from .layout import (
    check_data_format as check_data_format,
    image_data_format as image_data_format,
    set_image_data_format as set_image_data_format,
)
from .limits import (
    max_epochs as max_epochs,
    max_steps_per_epoch as max_steps_per_epoch,
    set_max_epochs as set_max_epochs,
    set_max_steps_per_epoch as set_max_steps_per_epoch,
)
from .placement import (
    data_folder as data_folder,
    device as device,
    keep_memory as keep_memory,
    set_device as set_device,
    set_keep_memory as set_keep_memory,
)
from .precision import (
    DTypePolicy as DTypePolicy,
    dtype_policy as dtype_policy,
    epsilon as epsilon,
    floatx as floatx,
    set_dtype_policy as set_dtype_policy,
    set_epsilon as set_epsilon,
    set_floatx as set_floatx,
    set_tf32 as set_tf32,
    tf32 as tf32,
)
from .progress import (
    disable_interactive_logging as disable_interactive_logging,
    enable_interactive_logging as enable_interactive_logging,
    is_interactive_logging_enabled as is_interactive_logging_enabled,
)
from .randomness import (
    disable_op_determinism as disable_op_determinism,
    enable_op_determinism as enable_op_determinism,
    is_op_determinism_enabled as is_op_determinism_enabled,
    seed as seed,
    set_seed as set_seed,
)
from .strictness import (
    ignore_findings as ignore_findings,
    ignored_findings as ignored_findings,
    set_strict_merges as set_strict_merges,
    strict_merges as strict_merges,
)
from .tracebacks import (
    disable_traceback_filtering as disable_traceback_filtering,
    enable_traceback_filtering as enable_traceback_filtering,
    is_traceback_filtering_enabled as is_traceback_filtering_enabled,
)
