"""The small rooms: config, utils, saving, datasets, precision."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterator
from typing import Any

import numpy as np
from nonsense.target import Target, function
from small_model import data, made

import anabranch as ab
from anabranch import (
    config as settings,
    datasets as sets,
    distribution as spread,
    dtype_policies,
    mixed_precision,
    saving as files,
    utils as tools,
    visualization as pictures,
)

SETTERS: dict[str, Any] = {
    "check_data_format": "channels_last", "set_device": "cpu", "set_dtype_policy": "float32", "set_epsilon": 1e-7,
    "set_floatx": "float32", "set_image_data_format": "channels_last", "set_keep_memory": "fit", "set_seed": 3,
    "ignore_findings": "AB202", "set_strict_merges": True, "set_tf32": True, "set_global_policy": "float32",
    "clear_session": True, "set_backend": "torch", "set_max_epochs": 2, "set_max_steps_per_epoch": 2,
    "set_inference_engine": None,
}  # fmt: skip


def config() -> Iterator[Target]:
    """Yield the settings of the process, each used by a fit."""

    def used(_: Any) -> None:
        made(ab).fit(*data(4), verbose=0)

    for room in (settings, ab.backend, mixed_precision):
        for name in dir(room):
            thing = getattr(room, name)
            if not inspect.isfunction(thing) or not inspect.signature(thing).parameters:
                continue
            first = next(iter(inspect.signature(thing).parameters))
            label = f"{room.__name__.rpartition('.')[2]}.{name}"
            call = functools.partial(_by_position, thing) if name in ("ignore_findings", "result_type") else thing
            yield function(
                label, call, lambda first=first, name=name: {first: SETTERS.get(name, "float32")}, use=used, alone=True
            )
    policy = dtype_policies.DTypePolicy("float32")
    for name, given in {
        "DTypePolicy": {"name": "float32"}, "get": {"identifier": "float32"}, "serialize": {"dtype_policy": policy},
        "deserialize": {"config": dtype_policies.serialize(policy)},
        **{
            name: {"mode": mode, "source_name": "float32"}
            for name, mode in (
                ("QuantizedDTypePolicy", "int8"), ("QuantizedFloat8DTypePolicy", "float8"), ("Int4DTypePolicy", "int4/8"),
                ("GPTQDTypePolicy", "gptq/4/8"), ("AWQDTypePolicy", "awq/4/8"),
            )
        },
        "DTypePolicyMap": {"default_policy": "float32", "policy_map": {"a": "bfloat16"}},
    }.items():  # fmt: skip
        yield function(f"dtype_policies.{name}", getattr(dtype_policies, name), lambda given=given: given)


def _by_position(thing: Any, **given: Any) -> Any:
    return thing(*given.values())


class Sequence(tools.PyDataset):
    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> Any:
        return data(4)


def _picture() -> str:
    tools.save_img("p.png", np.ones((2, 3, 3)))
    return "p.png"


def _boxes() -> Iterator[Target]:
    boxes = np.array([[1.0, 2.0, 5.0, 7.0], [3.0, 1.0, 8.0, 9.0]], "float32")
    of_pair = {"boxes1": boxes, "boxes2": boxes, "bounding_box_format": "xyxy"}
    from_anchors = {"anchor_format": "xyxy", "box_format": "xyxy"}
    right: dict[str, dict[str, Any]] = {
        "affine_transform": {
            "boxes": boxes, "angle": 9.0, "translate_x": 0.1, "translate_y": 0.1, "scale": 1.0, "shear_x": 1.0, "shear_y": 1.0,
            "height": 9, "width": 9,
        },
        "clip_to_image_size": {"bounding_boxes": {"boxes": boxes}, "height": 6, "width": 6},
        "compute_ciou": of_pair,
        "compute_iou": of_pair,
        "convert_format": {"boxes": boxes, "source": "xyxy", "target": "xywh"},
        "crop": {"boxes": boxes, "top": 1, "left": 1, "height": 5, "width": 5},
        "decode_deltas_to_boxes": {"anchors": boxes, "boxes_delta": boxes, **from_anchors},
        "encode_box_to_deltas": {"anchors": boxes, "boxes": boxes, **from_anchors},
        "pad": {"boxes": boxes, "top": 1, "left": 1},
    }  # fmt: skip
    for name, given in right.items():
        yield function(f"utils.bounding_boxes.{name}", getattr(tools.bounding_boxes, name), lambda given=given: dict(given))


def utils() -> Iterator[Target]:
    """Yield helpers."""
    huber = tools.serialize_keras_object(ab.losses.Huber())
    right: dict[str, Any] = {
        "CustomObjectScope": lambda: {"custom_objects": {"a": len}},
        "custom_object_scope": lambda: {"custom_objects": {"a": len}},
        "deserialize_keras_object": lambda: {"config": huber},
        "get_registered_name": lambda: {"obj": len},
        "get_registered_object": lambda: {"name": "a"},
        "normalize": lambda: {"x": np.ones((2, 3))},
        "pack_x_y_sample_weight": lambda: {"x": np.ones((2, 3))},
        "prefetch": lambda: {"items": [1, 2]},
        "register_keras_serializable": dict,
        "serialize_keras_object": lambda: {"obj": ab.losses.Huber()},
        "set_random_seed": lambda: {"seed": 3},
        "model_to_dot": lambda: {"model": ab.Sequential([ab.Input((2,)), ab.layers.Dense(1)])},
        "plot_model": lambda: {"model": ab.Sequential([ab.Input((2,)), ab.layers.Dense(1)]), "to_file": "m.svg"},
        "to_categorical": lambda: {"x": [0, 1]},
        "unpack_x_y_sample_weight": lambda: {"data": (1, 2)},
        "Config": lambda: {"kwargs": {"a": 1}},
        "FeatureSpace": lambda: {"features": {"a": "float", "b": "integer_hashed"}, "crosses": [("b", "b")]},
        "Progbar": lambda: {"target": 3},
        "pad_sequences": lambda: {"sequences": [[1], [2, 3]]},
        "array_to_img": lambda: {"x": np.ones((2, 3, 3))},
        "clear_session": lambda: {"free_memory": True},
        "get_source_inputs": lambda: {"tensor": ab.Input((2,))},
        "img_to_array": lambda: {"img": tools.array_to_img(np.ones((2, 3, 3)))},
        "is_keras_tensor": lambda: {"x": ab.Input((2,))},
        "load_img": lambda: {"path": _picture()},
        "save_img": lambda: {"path": "p.png", "x": np.ones((2, 3, 3))},
        "split_dataset": lambda: {"dataset": np.arange(6.0), "left_size": 0.5},
        "standardize_dtype": lambda: {"dtype": "float32"},
        "timeseries_dataset_from_array": lambda: {"data": np.arange(9.0), "targets": np.arange(9.0), "sequence_length": 3},
    }
    uses = {
        "model_to_dot": str,
        "prefetch": list,
        "timeseries_dataset_from_array": list,
        "CustomObjectScope": lambda made: made.__enter__(),
        "custom_object_scope": lambda made: made.__enter__(),
    }
    for name, given in right.items():
        yield function(
            f"utils.{name}", getattr(tools, name), given, use=uses.get(name), alone="seed" in name or "regist" in name
        )

    yield from _boxes()

    def fed(source: Any) -> None:
        made(ab).fit(source, verbose=0)

    yield function("utils.PyDataset", Sequence, use=fed)


def visualization() -> Iterator[Target]:
    """Yield what draws on images and shows them."""
    images, masks = np.ones((2, 16, 16, 3), "float32"), np.ones((2, 16, 16), "int32")
    boxes = {"boxes": np.ones((2, 1, 4), "float32"), "labels": np.ones((2, 1), "int32"), "confidences": np.ones((2, 1))}
    right: dict[str, dict[str, Any]] = {
        "draw_bounding_boxes": {"bounding_boxes": boxes, "bounding_box_format": "xywh", "class_mapping": {1: "a"}},
        "draw_segmentation_masks": {"segmentation_masks": masks},
        "plot_bounding_box_gallery": {
            "bounding_box_format": "xyxy", "y_true": boxes, "y_pred": boxes, "class_mapping": {1: "a"}, "kwargs": {},
        },
        "plot_image_gallery": {"y_true": [0, 1], "y_pred": [0, 1], "label_map": {0: "a", 1: "b"}},
        "plot_segmentation_mask_gallery": {"num_classes": 2, "y_true": masks, "y_pred": masks, "kwargs": {}},
    }  # fmt: skip
    for name, given in right.items():
        thing, saved = getattr(pictures, name), {"path": "gallery.png"} if name.startswith("plot") else {}

        def call(thing: Any = thing, saved: Any = saved, **given: Any) -> None:
            thing(**{**saved, **given.pop("kwargs", {}), **given})

        takes = tuple(each for each in inspect.signature(thing).parameters if each != "kwargs")
        yield Target(f"visualization.{name}", call, lambda given=given: {"images": images, **given}, takes)


def distributed() -> Iterator[Target]:
    """Yield devices, meshes, layouts, and what is spread over them."""
    mesh = spread.DeviceMesh((1,), ("batch",), ["cpu:0"])
    right: dict[str, dict[str, Any]] = {
        "DataParallel": {"devices": ["cpu:0"]}, "DeviceMesh": {"shape": (1,), "axis_names": ("a",), "devices": ["cpu:0"]},
        "LayoutMap": {"device_mesh": mesh}, "ModelParallel": {"layout_map": spread.LayoutMap(mesh)},
        "TensorLayout": {"axes": ("batch", None), "device_mesh": mesh}, "get_device_count": {}, "initialize": {},
        "list_devices": {}, "set_distribution": {"value": spread.DataParallel(mesh)},
        "distribute_tensor": {"tensor": np.ones((2, 3)), "layout": spread.TensorLayout(("batch", None), mesh)},
    }  # fmt: skip
    for name, given in right.items():
        yield function(f"distribution.{name}", getattr(spread, name), lambda given=given: given, alone=name.startswith("set"))


def saving() -> Iterator[Target]:
    """Yield the reading and writing of weights."""
    yield function("saving.save_weights", files.save_weights, lambda: {"model": made(ab), "filepath": "w.safetensors"})

    def read(**given: Any) -> None:
        files.save_weights(made(ab), "w.safetensors")
        files.load_weights(**given)

    yield Target("saving.load_weights", read, lambda: {"model": made(ab), "filepath": "w.safetensors"},
                 ("model", "filepath", "skip_mismatch"))  # fmt: skip


def datasets() -> Iterator[Target]:
    """Yield the data that are made here; others are downloaded, which their arguments do not change."""
    yield function("datasets.shapes.load_data", sets.shapes.load_data)
