from anabranch._types import Generator as Generator, Module as Module, Tensor as Tensor

from .arrays import (
    as_constant as as_constant,
    as_declared as as_declared,
    as_input as as_input,
    as_tensor as as_tensor,
    as_tensors as as_tensors,
    create as create,
    dtype_of as dtype_of,
    masked_nest as masked_nest,
    named_tensors as named_tensors,
    numpy_of as numpy_of,
    on_one_device as on_one_device,
    rank_of as rank_of,
    shape_of as shape_of,
    sizes as sizes,
)
from .devices import (
    accelerator as accelerator,
    describe_device as describe_device,
    device as device,
    device_count as device_count,
    free_memory as free_memory,
    named_device as named_device,
    pins as pins,
    processes as processes,
    settle_tf32 as settle_tf32,
)
from .host_threads import (
    ELEMENTS as ELEMENTS,
    PRODUCTS as PRODUCTS,
    one_thread as one_thread,
    threads as threads,
    threads_restored as threads_restored,
)
from .inference import (
    UNKNOWN as UNKNOWN,
    described_shape as described_shape,
    infer as infer,
    shape_in_call as shape_in_call,
    silence_fakes as silence_fakes,
)
from .layouts import (
    in_keras_order as in_keras_order,
    remember as remember,
)
from .making import building as building, made_in_call as made_in_call, parameter_made_in_call as parameter_made_in_call
from .masking import (
    carried as carried,
)
from .masks import (
    Edge as Edge,
    both as both,
    distinct as distinct,
    either as either,
    mask_of as mask_of,
    mask_rank as mask_rank,
    note_mask as note_mask,
    shaped as shaped,
    side_by_side as side_by_side,
    spread as spread,
    unequal as unequal,
    with_mask as with_mask,
)
from .members import (
    cell_weights as cell_weights,
    convert as convert,
    converted as converted,
    let_train as let_train,
    module_method as module_method,
    named_targets as named_targets,
    refuse_unfrozen as refuse_unfrozen,
    rename_recurrent as rename_recurrent,
    tensors_of as tensors_of,
)
from .naming import target_of as target_of
from .narrow import check_fits as check_fits, ends as ends
from .neighbors import ALIGNED as ALIGNED, adjacent as adjacent, as_one as as_one, starts as starts
from .random import (
    drawn_from as drawn_from,
    generator as generator,
    has_streams as has_streams,
    one_stream as one_stream,
    restart_streams as restart_streams,
    stream as stream,
)
from .reports import (
    Watching as Watching,
    penalty as penalty,
    report_loss as report_loss,
    report_update as report_update,
    watch_value as watch_value,
)
from .seeding import (
    python_state as python_state,
    random_state as random_state,
    random_states as random_states,
    set_python_state as set_python_state,
    set_random_states as set_random_states,
    synchronise_seed as synchronise_seed,
)
from .state import (
    Watched as Watched,
    gathering as gathering,
    give_losses as give_losses,
    is_tracing as is_tracing,
    is_training as is_training,
    mode_of as mode_of,
    precision as precision,
    precision_scope as precision_scope,
    run as run,
    running as running,
    stored as stored,
    take_losses as take_losses,
    tracing as tracing,
    training_scope as training_scope,
)
from .stateless import (
    Substitution as Substitution,
    as_value as as_value,
    stateless_call as stateless_call,
    stateless_values as stateless_values,
    substituting as substituting,
)
from .third_party import (
    are_of as are_of,
    held_modules as held_modules,
    held_weights as held_weights,
    known_weight as known_weight,
    module_weights as module_weights,
    registered as registered,
    run_module as run_module,
    set_mode as set_mode,
    weight_of as weight_of,
)
from .torch_names import (
    constant_by_name as constant_by_name,
    name_of_constant as name_of_constant,
    name_of_torch as name_of_torch,
    torch_by_name as torch_by_name,
)
from .weights import (
    native as native,
    note_change as note_change,
    realize as realize,
    realize_all as realize_all,
    shown as shown,
    uncast as uncast,
    write as write,
)
