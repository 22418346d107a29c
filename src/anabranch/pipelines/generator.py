"""Keras 2's ``ImageDataGenerator``: images changed at random, and batches of them."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias, cast

import numpy as np

from anabranch import config, ops
from anabranch._arguments import Count, Finite, NotNegative, Several, guarded_methods, is_array_like
from anabranch._asked import shown
from anabranch._errors import ArgumentError, DataError, FileError
from anabranch.graph.call_site import warn
from anabranch.pipelines import affine
from anabranch.pipelines.affine import Array, Transform
from anabranch.pipelines.flows import FileIterator, NumpyArrayIterator, Source

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".tif", ".tiff")
Range: TypeAlias = "Finite | Sequence[Finite]"
Values: TypeAlias = Any
"""Arrays, lists of them, or columns of a table."""
MODES = ("categorical", "binary", "sparse", "input", None)


@guarded_methods
class ImageDataGenerator:
    """Change images at random, and give batches of them to ``fit``. Layers such as ``RandomFlip`` do it today.

    Args:
        featurewise_center: whether the mean over the images that ``fit`` was given, of each channel, is subtracted.
        samplewise_center: whether the mean of each image is subtracted.
        featurewise_std_normalization: whether it is divided by the deviation over the images that ``fit`` was given.
        samplewise_std_normalization: whether each image is divided by its deviation.
        zca_whitening: whether pixels are decorrelated by what ``fit`` found.
        zca_epsilon: is added to the singular values then.
        rotation_range: the greatest angle, in degrees.
        width_shift_range: the greatest shift: a fraction of the width if below 1, else pixels; or a list to choose from.
        height_shift_range: the same of the height.
        brightness_range: the least and the greatest factor of brightness.
        shear_range: the greatest angle of shear, in degrees.
        zoom_range: the least and the greatest zoom, or how far they are from 1.
        channel_shift_range: the greatest number that is added to all values.
        fill_mode: what is beyond the border: ``"nearest"``, ``"constant"``, ``"reflect"`` or ``"wrap"``.
        cval: the value there, of ``"constant"``.
        horizontal_flip: whether half of the images are mirrored left to right.
        vertical_flip: whether half of them are mirrored top to bottom.
        rescale: a factor of the values.
        preprocessing_function: is applied to each image after it was changed and before it is scaled.
        data_format: ``"channels_last"`` or ``"channels_first"``; that of ``config`` unless given.
        validation_split: the fraction of images that ``subset="validation"`` gives.
        interpolation_order: 1 interpolates, 0 takes the nearest pixel.
        dtype: the type of batches; ``config.floatx()`` unless given.

    Example:
        >>> import numpy as np
        >>> generator = ImageDataGenerator(rescale=1 / 255, horizontal_flip=True)
        >>> flow = generator.flow(np.ones((5, 8, 8, 3)), np.arange(5), batch_size=2)
        >>> x, y = next(flow)
        >>> x.shape, len(flow)
        ((2, 8, 8, 3), 3)
    """

    def __init__(
        self,
        featurewise_center: bool = False,
        samplewise_center: bool = False,
        featurewise_std_normalization: bool = False,
        samplewise_std_normalization: bool = False,
        zca_whitening: bool = False,
        zca_epsilon: NotNegative = 1e-6,
        rotation_range: NotNegative = 0,
        width_shift_range: Range = 0.0,
        height_shift_range: Range = 0.0,
        brightness_range: Sequence[float] | None = None,
        shear_range: Finite = 0.0,
        zoom_range: Range = 0.0,
        channel_shift_range: NotNegative = 0.0,
        fill_mode: str = "nearest",
        cval: Finite = 0.0,
        horizontal_flip: bool = False,
        vertical_flip: bool = False,
        rescale: Finite | None = None,
        preprocessing_function: Callable[[Array], Array] | None = None,
        data_format: str | None = None,
        validation_split: float = 0.0,
        interpolation_order: int = 1,
        dtype: str | None = None,
    ) -> None:
        affine.check(fill_mode, interpolation_order)
        if not 0 <= validation_split < 1:
            raise ArgumentError("validation_split must be ≥ 0 and below 1.", got=shown(validation_split))
        for name, pair in (("brightness_range", brightness_range), ("zoom_range", zoom_range)):
            if isinstance(pair, Sequence) and len(pair) != 2:
                raise ArgumentError(f"{name} must be two numbers.", got=shown(pair))
        for name, shifts in (("width_shift_range", width_shift_range), ("height_shift_range", height_shift_range)):
            if isinstance(shifts, Sequence) and not shifts:
                raise ArgumentError(f"{name} must be a number, or a list of some.", got=shown(shifts))
        self.featurewise_center = featurewise_center or zca_whitening or featurewise_std_normalization
        self.samplewise_center = samplewise_center or samplewise_std_normalization
        self.featurewise_std_normalization = featurewise_std_normalization and not zca_whitening
        self.samplewise_std_normalization = samplewise_std_normalization
        self.zca_whitening, self.zca_epsilon = zca_whitening, zca_epsilon
        self.rotation_range, self.shear_range, self.channel_shift_range = rotation_range, shear_range, channel_shift_range
        self.width_shift_range, self.height_shift_range = width_shift_range, height_shift_range
        self.brightness_range = brightness_range
        self.zoom_range = list(zoom_range) if isinstance(zoom_range, (list, tuple)) else [1 - zoom_range, 1 + zoom_range]  # type: ignore[operator]  # a number
        self.fill_mode, self.cval, self.interpolation_order = fill_mode, cval, interpolation_order
        self.horizontal_flip, self.vertical_flip = horizontal_flip, vertical_flip
        self.rescale, self.preprocessing_function = rescale, preprocessing_function
        self.data_format = config.check_data_format(data_format)
        self.validation_split = validation_split
        self.dtype = dtype or config.floatx()
        np.dtype(self.dtype)
        self.mean: Array | None = None
        self.std: Array | None = None
        self.zca_whitening_matrix: Array | None = None

    # Batches

    def flow(
        self,
        x: Values,
        y: Values = None,
        batch_size: Several = 32,
        shuffle: bool = True,
        sample_weight: Values = None,
        seed: Count | None = None,
        save_to_dir: str | None = None,
        save_prefix: str = "",
        save_format: str = "png",
        ignore_class_split: bool = False,
        subset: str | None = None,
    ) -> NumpyArrayIterator:
        """Return batches of images in memory.

        Args:
            x: images (N, H, W, C); or a tuple of these and further arrays, which are given as they are.
            y: targets.
            batch_size: images per batch.
            shuffle: whether images are shuffled, in each pass anew.
            sample_weight: weights of the images.
            seed: the seed of order and changes; NumPy's global generator is drawn from unless given.
            save_to_dir: a folder to which the changed images are saved.
            save_prefix: what their names begin with.
            save_format: what they end with.
            ignore_class_split: whether both parts may have unequal classes.
            subset: ``"training"`` or ``"validation"``, of ``validation_split``: the first images are for validation.

        Example:
            >>> import numpy as np
            >>> next(ImageDataGenerator().flow(np.ones((3, 4, 4, 1)), batch_size=2)).shape
            (2, 4, 4, 1)
        """
        first, *extra = [np.asarray(each) for each in (x if isinstance(x, (list, tuple)) else (x,))]
        targets, weights = (None if each is None else np.asarray(each) for each in (y, sample_weight))
        if first.ndim != 4:
            raise DataError("x must be images (N, H, W, C).", got=f"shape {first.shape}")
        others = [each for each in (targets, weights, *extra) if each is not None]
        if unequal := [len(each) for each in others if len(each) != len(first)]:
            raise DataError("Each image needs a target and a weight.", expected=str(len(first)), got=str(unequal[0]))
        if subset is not None:
            cut = int(len(first) * self.validation_split)
            rows = slice(0, cut) if _checked(subset) == "validation" else slice(cut, None)
            classes = [] if targets is None else [np.unique(part) for part in (targets[:cut], targets[cut:])]
            if classes and not ignore_class_split and not np.array_equal(classes[0], classes[1]):
                raise DataError("Both parts must have all classes.", repair="shuffle x and y, or ignore_class_split=True")
            first, extra = first[rows], [each[rows] for each in extra]
            targets, weights = (None if each is None else each[rows] for each in (targets, weights))
        save = (save_to_dir, save_prefix, save_format)
        return NumpyArrayIterator(
            first, targets, weights, extra, generator=self, batch_size=batch_size, shuffle=shuffle, seed=seed, save=save
        )

    def flow_from_directory(
        self,
        directory: str | os.PathLike[str],
        target_size: tuple[int, int] = (256, 256),
        color_mode: str = "rgb",
        classes: Sequence[str] | None = None,
        class_mode: str | None = "categorical",
        batch_size: Several = 32,
        shuffle: bool = True,
        seed: Count | None = None,
        save_to_dir: str | None = None,
        save_prefix: str = "",
        save_format: str = "png",
        follow_links: bool = False,
        subset: str | None = None,
        interpolation: str = "nearest",
        keep_aspect_ratio: bool = False,
    ) -> FileIterator:
        """Return batches of the pictures in a folder that has a folder for each class.

        Args:
            directory: the folder.
            target_size: the (height, width) that pictures are resized to.
            color_mode: ``"grayscale"``, ``"rgb"`` or ``"rgba"``.
            classes: the names of the folders, in order; all in the alphabet's unless given.
            class_mode: ``"categorical"`` for one-hot rows, ``"binary"`` or ``"sparse"`` for class indices, ``"input"`` for the
                images themselves, None for no targets.
            batch_size: pictures per batch.
            shuffle: whether they are shuffled, in each pass anew.
            seed: the seed of order and changes.
            save_to_dir: a folder to which the changed images are saved.
            save_prefix: what their names begin with.
            save_format: what they end with.
            follow_links: whether links to folders are followed.
            subset: ``"training"`` or ``"validation"``: the first files of each class are for validation.
            interpolation: as in ``load_img``.
            keep_aspect_ratio: as in ``load_img``.

        Example:
            >>> import pathlib, tempfile
            >>> from anabranch import utils
            >>> folder = pathlib.Path(tempfile.mkdtemp())
            >>> for name in ("cats", "dogs"):
            ...     (folder / name).mkdir()
            ...     utils.save_img(folder / name / "1.png", [[[0.0, 0.0, 1.0]]])
            >>> flow = ImageDataGenerator().flow_from_directory(folder, target_size=(8, 8))
            Found 2 images belonging to 2 classes.
            >>> flow.class_indices, next(flow)[0].shape
            ({'cats': 0, 'dogs': 1}, (2, 8, 8, 3))
        """
        from anabranch.callbacks._say import say

        if class_mode not in MODES:
            raise ArgumentError("Unknown class_mode.", expected=", ".join(map(str, MODES)), got=shown(class_mode))
        root = Path(directory)
        try:
            found = sorted(each.name for each in root.iterdir() if each.is_dir())
        except OSError as error:
            raise FileError.of(error, f"The folder {root} cannot be read.", got=error.strerror) from error
        indices = {name: index for index, name in enumerate(classes or found)}
        paths: list[str] = []
        labels: list[int] = []
        for name, index in indices.items():
            files = list(_pictures(root / name, follow_links))
            start, stop = self._bounds(subset, len(files))
            paths += files[start:stop]
            labels += [index] * (stop - start)
        say(f"Found {len(paths)} images belonging to {len(indices)} classes.")
        names = [os.path.relpath(path, root) for path in paths]
        reading = {"color_mode": color_mode, "target_size": tuple(target_size), "interpolation": interpolation,
                   "keep_aspect_ratio": keep_aspect_ratio}  # fmt: skip
        return FileIterator(
            paths, names, np.array(labels, "int32"), indices, class_mode, reading, generator=self, batch_size=batch_size,
            shuffle=shuffle, seed=seed, save=(save_to_dir, save_prefix, save_format),
        )  # fmt: skip

    def flow_from_dataframe(
        self,
        dataframe: Values,
        directory: str | os.PathLike[str] | None = None,
        x_col: str = "filename",
        y_col: str | Sequence[str] = "class",
        weight_col: str | None = None,
        target_size: tuple[int, int] = (256, 256),
        color_mode: str = "rgb",
        classes: Sequence[str] | None = None,
        class_mode: str | None = "categorical",
        batch_size: Several = 32,
        shuffle: bool = True,
        seed: Count | None = None,
        save_to_dir: str | None = None,
        save_prefix: str = "",
        save_format: str = "png",
        subset: str | None = None,
        interpolation: str = "nearest",
        validate_filenames: bool = True,
    ) -> FileIterator:
        """Return batches of the pictures that a table lists.

        Args:
            dataframe: a table of pandas, or a dict of lists.
            directory: the folder that paths are relative to.
            x_col: the column of paths.
            y_col: the column of classes, or of numbers; several for ``"multi_output"`` and ``"raw"``.
            weight_col: the column of weights.
            target_size: the (height, width) that pictures are resized to.
            color_mode: ``"grayscale"``, ``"rgb"`` or ``"rgba"``.
            classes: the names of the classes, in order; all in the alphabet's unless given.
            class_mode: as in ``flow_from_directory``, ``"raw"`` for a column's values, ``"multi_output"`` for those of several.
            batch_size: pictures per batch.
            shuffle: whether they are shuffled, in each pass anew.
            seed: the seed of order and changes.
            save_to_dir: a folder to which the changed images are saved.
            save_prefix: what their names begin with.
            save_format: what they end with.
            subset: ``"training"`` or ``"validation"``: the first rows are for validation.
            interpolation: as in ``load_img``.
            validate_filenames: whether rows without such a file are left out, with a warning.

        Example:
            >>> import pathlib, tempfile
            >>> from anabranch import utils
            >>> folder = pathlib.Path(tempfile.mkdtemp())
            >>> utils.save_img(folder / "1.png", [[[0.0, 0.0, 1.0]]])
            >>> table = {"filename": ["1.png"], "class": ["cat"]}
            >>> ImageDataGenerator().flow_from_dataframe(table, folder, target_size=(8, 8)).samples
            1
        """
        if class_mode not in (*MODES, "raw", "multi_output"):
            raise ArgumentError(
                "Unknown class_mode.",
                expected="categorical, binary, sparse, input, raw, multi_output, None",
                got=shown(class_mode),
            )
        columns = [y_col] if isinstance(y_col, str) else list(y_col)
        names = [str(name) for name in dataframe[x_col]]
        paths = [os.path.join(directory or "", name) for name in names]
        rows = np.array([row for row, path in enumerate(paths) if not validate_filenames or os.path.isfile(path)], int)
        if len(rows) < len(paths):
            warn(f"{len(paths) - len(rows)} of {len(paths)} files of the table are not there, and left out.")
        start, stop = self._bounds(subset, len(rows))
        rows = rows[start:stop]
        indices: dict[str, int] = {}
        labels: Values = None
        if class_mode in ("raw", "multi_output"):
            values = [np.asarray(list(dataframe[name]))[rows] for name in columns]
            labels = values if class_mode == "multi_output" else values[0] if len(values) == 1 else np.stack(values, 1)
        elif class_mode in ("categorical", "binary", "sparse"):
            given = list(dataframe[columns[0]])
            flat = {str(each) for value in given for each in (value if isinstance(value, (list, tuple)) else [value])}
            indices = {name: index for index, name in enumerate(classes or sorted(flat))}
            labels = [_indices(given[row], indices) for row in rows]
            labels = np.array(labels, "int32") if all(isinstance(each, int) for each in labels) else labels
        weights = None if weight_col is None else np.asarray(list(dataframe[weight_col]))[rows]
        reading = {"color_mode": color_mode, "target_size": tuple(target_size), "interpolation": interpolation}
        return FileIterator(
            [paths[row] for row in rows], [names[row] for row in rows], labels, indices, class_mode, reading, weights,
            generator=self, batch_size=batch_size, shuffle=shuffle, seed=seed, save=(save_to_dir, save_prefix, save_format),
        )  # fmt: skip

    def _bounds(self, subset: str | None, count: int) -> tuple[int, int]:
        """Return the first position of a part, and the one behind its last."""
        if subset is None:
            return 0, count
        cut = int(self.validation_split * count)
        return (0, cut) if _checked(subset) == "validation" else (cut, count)

    # One image

    def standardize(self, x: Array) -> Array:
        """Return one image, or a batch, scaled and centered as the settings say.

        Args:
            x: the image, floats.

        Example:
            >>> import numpy as np
            >>> ImageDataGenerator(rescale=0.5).standardize(np.ones((1, 1, 1))).tolist()
            [[[0.5]]]
        """
        if self.preprocessing_function is not None:
            x = _as_image(self.preprocessing_function(x))
        x = x * self.rescale if self.rescale else x
        x = x - np.mean(x, keepdims=True) if self.samplewise_center else x
        x = x / (np.std(x, keepdims=True) + 1e-6) if self.samplewise_std_normalization else x
        if self.featurewise_center and self.mean is None:
            warn("This ImageDataGenerator needs the statistics of images: call fit(x) first.")
            return x
        x = x - self.mean if self.mean is not None else x
        x = x / (self.std + 1e-6) if self.std is not None else x
        if self.zca_whitening_matrix is not None:
            x = (x.reshape(-1, math.prod(x.shape[-3:])) @ self.zca_whitening_matrix).reshape(x.shape)
        return x

    def get_random_transform(self, img_shape: Sequence[int], seed: Count | None = None) -> dict[str, Any]:
        """Return what would be done to one image of that shape.

        Args:
            img_shape: the image's shape.
            seed: the seed.

        Example:
            >>> ImageDataGenerator().get_random_transform((8, 8, 3))["theta"]
            0.0
        """
        return self._drawn(img_shape, np.random if seed is None else np.random.RandomState(seed))._asdict()

    def apply_transform(self, x: Array, transform_parameters: dict[str, Any]) -> Array:
        """Return one image under what ``get_random_transform`` returned.

        Args:
            x: the image.
            transform_parameters: what is done to it.

        Example:
            >>> import numpy as np
            >>> ImageDataGenerator().apply_transform(np.array([[[1.0], [2.0]]]), {"flip_horizontal": True}).ravel().tolist()
            [2.0, 1.0]
        """
        if np.ndim(x) != 3:
            raise DataError("x must be an image (H, W, C).", got=shown(x))
        by = Transform(**transform_parameters)
        first = self.data_format == "channels_first"
        x = np.moveaxis(x, 0, -1) if first else x
        x = affine.moved(x, by, self.fill_mode, self.cval, self.interpolation_order) if by.moves else x
        x = x if by.channel_shift_intensity is None else affine.shifted_channels(x, by.channel_shift_intensity)
        x = x[:, ::-1] if by.flip_horizontal else x
        x = x[::-1] if by.flip_vertical else x
        x = x if by.brightness is None else affine.brightened(x, by.brightness)
        return np.moveaxis(x, -1, 0) if first else x

    def random_transform(self, x: Array, seed: Count | None = None) -> Array:
        """Return one image, changed at random.

        Args:
            x: the image.
            seed: the seed.

        Example:
            >>> import numpy as np
            >>> ImageDataGenerator(rotation_range=20).random_transform(np.ones((8, 8, 3))).shape
            (8, 8, 3)
        """
        return self.apply_transform(x, self.get_random_transform(x.shape, seed))

    def augmented(self, x: Array, source: Source) -> Array:
        """Return one image, changed by what is drawn from ``source``, as ``numpy.random`` has it.

        Args:
            x: the image.
            source: ``numpy.random``, or a ``RandomState``.

        Example:
            >>> import numpy as np
            >>> ImageDataGenerator().augmented(np.ones((8, 8, 3)), np.random).shape
            (8, 8, 3)
        """
        return self.apply_transform(x, self._drawn(x.shape, source)._asdict())

    def _drawn(self, shape: Sequence[int], source: Source) -> Transform:
        """Draw in Keras's order, so that a seed means the same."""
        rows, columns = shape[1:] if self.data_format == "channels_first" else shape[:2]
        theta = source.uniform(-self.rotation_range, self.rotation_range) if self.rotation_range else 0.0
        tx = _shift(self.height_shift_range, rows, source)
        ty = _shift(self.width_shift_range, columns, source)
        shear = source.uniform(-self.shear_range, self.shear_range) if self.shear_range else 0.0
        low, high = self.zoom_range
        zx, zy = (1.0, 1.0) if low == high == 1 else source.uniform(low, high, 2)
        horizontal = bool(source.random_sample() < 0.5) and self.horizontal_flip
        vertical = bool(source.random_sample() < 0.5) and self.vertical_flip
        shift = self.channel_shift_range
        channels = source.uniform(-shift, shift) if shift else None
        bright = None if self.brightness_range is None else source.uniform(*self.brightness_range)
        return Transform(theta, tx, ty, shear, zx, zy, channels, horizontal, vertical, bright)

    def fit(self, x: Values, augment: bool = False, rounds: int = 1, seed: Count | None = None) -> None:
        """Find the mean, the deviation and the whitening of images, as far as the settings ask for them.

        Args:
            x: images (N, H, W, C).
            augment: whether they are changed at random first.
            rounds: how many times over, then.
            seed: the seed.

        Example:
            >>> import numpy as np
            >>> generator = ImageDataGenerator(featurewise_center=True)
            >>> generator.fit(np.full((2, 4, 4, 1), 3.0))
            >>> generator.standardize(np.full((4, 4, 1), 3.0)).max().item()
            0.0
        """
        x = np.array(x, self.dtype)
        if x.ndim != 4:
            raise DataError("x must be images (N, H, W, C).", got=f"shape {x.shape}")
        source = np.random if seed is None else np.random.RandomState(seed)
        x = x * self.rescale if self.rescale else x
        if augment:
            x = np.stack([self.augmented(image, source) for _ in range(rounds) for image in x])
        axes = (0, 2, 3) if self.data_format == "channels_first" else (0, 1, 2)
        if self.featurewise_center:
            self.mean = np.mean(x, axes, keepdims=True)[0]
            x = x - self.mean
        if self.featurewise_std_normalization:
            self.std = np.std(x, axes, keepdims=True)[0]
            x = x / (self.std + 1e-6)
        if self.zca_whitening:
            u, s, _ = np.linalg.svd(x.reshape(len(x), -1).T, full_matrices=False)
            self.zca_whitening_matrix = (u * (np.sqrt(len(x)) / (s + self.zca_epsilon))) @ u.T


def _shift(wanted: Range, size: int, source: Source) -> float:
    """Draw a shift: one of a list, a number of pixels below an integer, or a fraction of the size."""
    if not wanted:
        return 0.0
    if isinstance(wanted, float):
        found = source.uniform(-wanted, wanted)
    else:
        found = float(source.choice(wanted)) * source.choice([-1, 1])
    return float(found * size if np.max(wanted) < 1 else found)


def _as_image(found: object) -> Array:
    """Return what the user's function gives of an image as an array."""
    image = ops.convert_to_numpy(cast("Array", found)) if is_array_like(found) else np.empty(0)
    if image.ndim != 3:
        raise DataError("preprocessing_function must return an image.", expected="an array (H, W, C)", got=shown(found))
    return image


def _checked(subset: str) -> str:
    if subset not in ("training", "validation"):
        raise ArgumentError("subset must be 'training' or 'validation'.", got=shown(subset))
    return subset


def _pictures(folder: Path, follow_links: bool) -> Iterator[str]:
    for parent, _, files in sorted(os.walk(folder, followlinks=follow_links)):
        for name in sorted(files):
            if name.lower().endswith(ENDINGS):
                yield os.path.join(parent, name)


def _indices(value: Values, indices: dict[str, int]) -> int | list[int]:
    return [indices[str(each)] for each in value] if isinstance(value, (list, tuple)) else indices[str(value)]
