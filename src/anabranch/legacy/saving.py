"""Objects as JSON in the form of Keras 2."""

from anabranch.saving.legacy_objects import deserialize_keras_object, serialize_keras_object

__all__ = ["deserialize_keras_object", "serialize_keras_object"]
__dir__ = __all__.copy
