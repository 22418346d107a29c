from . import bounding_boxes as bounding_boxes, legacy as legacy
from .arrays import normalize as normalize, to_categorical as to_categorical
from .batches import (
    PyDataset as PyDataset,
    Sequence as Sequence,
    pack_x_y_sample_weight as pack_x_y_sample_weight,
    prefetch as prefetch,
    unpack_x_y_sample_weight as unpack_x_y_sample_weight,
)
from .configuration import Config as Config
from .data import (
    audio_dataset_from_directory as audio_dataset_from_directory,
    image_dataset_from_directory as image_dataset_from_directory,
    split_dataset as split_dataset,
    text_dataset_from_directory as text_dataset_from_directory,
    timeseries_dataset_from_array as timeseries_dataset_from_array,
)
from .feature_space import FeatureSpace as FeatureSpace
from .files import (
    array_to_img as array_to_img,
    get_file as get_file,
    img_to_array as img_to_array,
    load_img as load_img,
    save_img as save_img,
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
from .process import (
    clear_session as clear_session,
    disable_interactive_logging as disable_interactive_logging,
    enable_interactive_logging as enable_interactive_logging,
    is_interactive_logging_enabled as is_interactive_logging_enabled,
)
from .progress import Progbar as Progbar
from .seeding import set_random_seed as set_random_seed
from .sequences import pad_sequences as pad_sequences
from .symbols import (
    get_source_inputs as get_source_inputs,
    is_keras_tensor as is_keras_tensor,
    standardize_dtype as standardize_dtype,
)
