from .arrays import normalize as normalize, to_categorical as to_categorical
from .batches import (
    PyDataset as PyDataset,
    Sequence as Sequence,
    pack_x_y_sample_weight as pack_x_y_sample_weight,
    prefetch as prefetch,
    unpack_x_y_sample_weight as unpack_x_y_sample_weight,
)
from .objects import (
    CustomObjectScope as CustomObjectScope,
    custom_object_scope as custom_object_scope,
    deserialize_keras_object as deserialize_keras_object,
    get_custom_objects as get_custom_objects,
    get_registered_name as get_registered_name,
    get_registered_object as get_registered_object,
    register_keras_serializable as register_keras_serializable,
    serialize_keras_object as serialize_keras_object,
)
from .pictures import model_to_dot as model_to_dot, plot_model as plot_model
from .seeding import set_random_seed as set_random_seed
