"""Known differences from Keras, each with its reason and a script that shows it; the test runs the script, so that none is stale."""

from __future__ import annotations

import re
from typing import NamedTuple

from fuzz.beside import Difference


class Known(NamedTuple):
    """A difference that is meant, or that is Keras's mistake.

    Args:
        reason: why.
        subject: a pattern of what was called.
        what: a pattern of the way in which it differs.
        ours: a pattern that begins what Anabranch gives.
        theirs: a pattern that begins what Keras gives.
        script: a pattern that is found in the script.
        shown: a script that shows the difference; "" where another entry's does.
    """

    reason: str
    subject: str = ".*"
    what: str = ".*"
    ours: str = ""
    theirs: str = ""
    script: str = ""
    shown: str = ""

    def fits(self, found: Difference) -> bool:
        """Return whether the entry speaks of a difference."""
        return (
            re.fullmatch(self.subject, found.subject) is not None
            and re.fullmatch(self.what, found.what) is not None
            and re.match(self.ours, found.ours) is not None
            and re.match(self.theirs, found.theirs) is not None
            and re.search(self.script, "\n".join(found.lines)) is not None
        )


def known(found: Difference) -> Known | None:
    """Return the entry that speaks of a difference."""
    return next((each for each in KNOWN if each.fits(found)), None)


ELEMENTWISE = (
    "Activation|ReLU|LeakyReLU|ELU|PReLU|Softmax|Dropout|SpatialDropout.D|GaussianNoise|GaussianDropout|ActivityRegularization|"
    "Masking|Rescaling|UnitNormalization|RMSNormalization|LayerNormalization|GroupNormalization|BatchNormalization|"
    "Random.*|Global.*|(Max|Average)Pooling.D|UpSampling2D|Normalization|Dot|Average"
)
MOVING = "ZeroPadding.D|Cropping.D|UpSampling.D|RepeatVector|Add|Subtract|Multiply|Maximum|Minimum|Concatenate|Average|Dot|Flatten|Reshape|Permute"
WHOLE = "(u?int(8|16|32|64)|bool)"
HALF = "(float16|bfloat16)"

KNOWN: tuple[Known, ...] = (
    # Keras disagrees with itself
    Known(
        "Keras's symbolic tensor has not the shape or dtype of its own value; here both are the same",
        what="(symbolic .*|refused), Keras's is not of its value",
        shown="x = draw(0, 'int32', (3,))\ny = keras.ops.erf(x)\nx = keras.Input(batch_shape=(None,), dtype='int32')\ns = keras.ops.erf(x)\n#: same s",
    ),
    Known(
        "Keras describes with symbolic tensors what it refuses as soon as there are values",
        what="(symbolic .*|refused), Keras refuses the value",
        shown="x = draw(0, 'int32', (3,))\ny = keras.ops.elu(x)\nx = keras.Input(batch_shape=(None,), dtype='int32')\ns = keras.ops.elu(x)\n#: same s",
    ),
    Known(
        "the value's dtype is what Keras's symbolic tensor promises",
        what="dtype, Keras's symbol agrees",
        shown="x = draw(0, 'float32', (3,))\ny = keras.ops.top_k(x, 2)\nx = keras.Input(batch_shape=(3,))\ns = keras.ops.top_k(x, 2)\n#: same y",
    ),
    Known(
        "NumPy gives what is given here",
        subject="ops[.].*",
        what=".*, NumPy agrees",
    ),
    # dtypes
    Known(
        "64 bits beside 32, or in sums of int64, stay 64 bits, as in torch",
        what="(symbolic )?dtype",
        ours="(int|float)64",
        theirs="(u?int|float)(32|16|8)",
        script="64",
        shown="x = draw(0, 'float64', (3,))\ny = keras.ops.maximum(x, draw(0, 'float32', (3,)))\n#: same y",
    ),
    Known(
        "integers become floats in layers that compute element by element, normalize or pool, as the symbolic tensor says",
        subject=f"layers[.]({ELEMENTWISE})( in a graph)?",
        what="dtype",
        ours="b?float",
        theirs=WHOLE,
        shown="layer = keras.layers.ReLU()\ny = layer(draw(0, 'int32', (3,)))\n#: same y",
    ),
    Known(
        "the symbolic tensor of integers that a layer moves or merges has the dtype of the result; Keras says the layer's",
        subject=f"layers[.]({MOVING})( in a graph)?",
        what="symbolic dtype",
        ours=WHOLE,
        theirs="b?float",
        shown="s = keras.layers.Add()([keras.Input((3,), dtype='int32'), keras.Input((3,), dtype='int32')])\n#: same s",
    ),
    # layers
    Known(
        "merging layers broadcast only where it is said",
        subject="layers[.](Add|Average|Maximum|Minimum|Subtract|Multiply)( in a graph)?",
        what="refused",
        ours="ShapeError: .* would stretch",
        shown="s = keras.layers.Add()([keras.Input((4, 3)), keras.Input((1, 3))])",
    ),
    Known(
        "merging of an unknown and a known size above 1 has the known one: the other is that or 1",
        subject="layers[.](Add|Average|Maximum|Minimum|Subtract|Multiply)( in a graph)?",
        what="symbolic shape",
        theirs=".*None",
        shown="s = keras.layers.Add()([keras.Input((None, 3)), keras.Input((4, 3))])\n#: same s",
    ),
    Known(
        "RandomCrop takes the center outside training; Keras leaves the images whole, against its own symbolic tensor",
        subject="layers[.]RandomCrop",
        what="shape|values|dtype",
        shown="layer = keras.layers.RandomCrop(4, 3)\ny = layer(draw(0, 'float32', (2, 6, 5, 3)), training=False)\n#: same y",
    ),
    Known(
        "RandomCrop of images that are smaller is refused; Keras scales them",
        subject="layers[.]RandomCrop",
        what="refused",
        ours="ShapeError: The crop is larger",
        shown="s = keras.layers.RandomCrop(4, 3)(keras.Input((2, 2, 3)))",
    ),
    Known(
        "sparsemax of Keras on torch gives values that do not sum to 1",
        what="values.*",
        script="sparsemax",
        shown="y = keras.layers.Activation('sparsemax')(draw(4, 'float32', (2, 3, 4), -2.0, 2.0))\n#: same y",
    ),
    Known(
        "the symbolic tensor of glu has the halved axis; Keras's keeps its size",
        what="symbolic shape|refused",
        script="glu",
        shown="s = keras.layers.Activation('glu')(keras.Input((4,)))\n#: same s",
    ),
    Known(
        "get_config holds the axes as given; Keras makes a list of them",
        subject="layers[.](LayerNormalization|RMSNormalization|GroupNormalization)",
        what="object of 'axis'",
        shown="layer = keras.layers.LayerNormalization(axis=1)\nlayer(draw(0, 'float32', (2, 3)))\nc = layer.get_config()\n#: same c",
    ),
    Known(
        "get_config holds the axis that a list of one means",
        subject="layers[.](Concatenate|BatchNormalization|GroupNormalization)",
        what="object of 'axis'",
        theirs=r"\[",
        shown="layer = keras.layers.Concatenate(axis=[-1])\nc = layer.get_config()\n#: same c",
    ),
    Known(
        "get_config holds the factor as given; Keras makes a range of it",
        subject="layers[.]RandomContrast",
        what="object of 'factor'",
        shown="layer = keras.layers.RandomContrast(0.3)\nc = layer.get_config()\n#: same c",
    ),
    Known(
        "get_config holds a padding in small letters",
        subject="layers[.].*",
        what="object of 'padding'",
        theirs="'SAME'",
        shown="layer = keras.layers.MaxPooling2D(padding='SAME')\nc = layer.get_config()\n#: same c",
    ),
    # functions
    Known(
        "axes that a tensor has not are refused, as in NumPy; torch lets a scalar have axis 0 and -1",
        subject="ops[.].*",
        what="refused",
        ours="(ArgumentError|OutOfRangeError): There (is|are) no",
        shown="y = keras.ops.amax(draw(0, 'float32', ()), 0)",
    ),
    Known(
        "an axis that is not of size 1 cannot be squeezed, as in NumPy; torch leaves it",
        subject="ops[.]squeeze.*",
        what="refused",
        ours="ShapeError: Axis .* has size",
        shown="y = keras.ops.squeeze(draw(0, 'float32', (2, 3)), 1)",
    ),
    Known(
        "which sizes are 1 is not known of unknown ones",
        subject="ops[.]squeeze.*",
        what="symbol against value",
    ),
    Known(
        "the sizes of unknown batches fit no shape whose sizes are all given",
        subject="ops[.]reshape",
        what="refused",
        ours="ShapeError: How large the batch is is not known",
        shown="s = keras.ops.reshape(keras.Input((3,)), (2, 3))",
    ),
    Known(
        "no sparse tensors",
        subject="ops[.].*",
        what="refused",
        ours=".*(Tensors here are dense|sparse)",
        script="sparse=True",
        shown="s = keras.ops.one_hot(keras.Input((4,)), 6, sparse=True)",
    ),
    Known(
        "moments of several processes are not combined",
        subject="ops[.]moments",
        what="refused",
        script="synchronized=True",
        shown="s = keras.ops.moments(keras.Input(batch_shape=(3, 4)), [1], synchronized=True)",
    ),
    Known(
        "Keras's rule for adaptive pooling has an axis too many",
        subject="ops[.]adaptive_.*",
        what="symbolic shape",
        shown="s = keras.ops.adaptive_max_pool(keras.Input((8, 9, 4)), (2, 3))\n#: same s",
    ),
    Known(
        "integers become floats in the functions of networks, as the symbolic tensor says",
        subject="ops[.]((max|average|adaptive_.*)_pool|(depthwise_|separable_)?conv.*|.*softmax|.*_normalization|normalize|moments|glu|"
        "relu.*|.*elu|.*sigmoid|soft.*|hard_.*|.*_shrink|silu|swish|squareplus|sparse_plus|tanh.*|dot_product_attention|psnr)",
        what="(symbolic )?dtype|values",
        ours=".*b?float",
        theirs=".*(u?int|bool)",
        shown="y = keras.ops.softmax(draw(0, 'uint8', (1, 5, 0)))\n#: same y",
    ),
    Known(
        "arithmetic of integers does not wrap on the way to a float",
        subject="ops[.](sparse_plus|trapezoid|sparsemax|hard_silu|hard_swish|celu)",
        what="values",
        script="int",
        shown="y = keras.ops.sparse_plus(draw(329, 'uint8', (3, 4), 0, 4))\n#: same y",
    ),
    Known(
        "pieces between given positions of an axis of unknown size have unknown sizes: it may end before",
        subject="ops[.](.*split)",
        what="symbolic shape",
        ours=".*None",
        shown="s = keras.ops.split(keras.Input((None, 3)), [1, 3], axis=1)\n#: same s",
    ),
    Known(
        "of an unknown and a known size above 1 the known one results: the other is that or 1",
        subject="ops[.].*",
        what="symbolic shape",
        theirs=".*None",
        shown="s = keras.ops.left_shift(keras.Input((5,), dtype='int32'), draw(0, 'int32', (3, 5)))\n#: same s",
    ),
    Known(
        "Keras on torch turns the result of count_nonzero",
        subject="ops[.]count_nonzero",
        what="shape|values",
        shown="y = keras.ops.count_nonzero(draw(0, 'bool', (1, 2, 3, 5)), axis=3)\n#: same y",
    ),
    Known(
        "Keras on torch has the minimum of an empty tensor with initial= in another shape",
        subject="ops[.](max|min|amax|amin)",
        what="shape",
        script="initial=",
        shown="y = keras.ops.min(draw(0, 'int8', (0, 2, 3)), axis=-1, keepdims=True, initial=0)\n#: same y",
    ),
    Known(
        "a slice that does not fit is refused; Keras cuts it short",
        subject="ops[.]slice",
        what="refused",
        ours="EngineError: .*exceeds dimension",
        shown="y = keras.ops.slice(draw(0, 'float32', (1, 1, 3)), (0, 1, 2), (1, 2, 3))",
    ),
    Known(
        "indices of uint8 are indices; torch reads them as a mask",
        subject="ops[.](scatter|scatter_update|take|get_item)",
        what="values|shape|raw error|count",
        script="uint8",
        shown="y = keras.ops.scatter(draw(15, 'uint8', (3, 2), 0, 4), draw(0, 'float32', (3,)), (4, 4))\n#: same y",
    ),
    Known(
        "degrees of int64 are float32, as all functions have it",
        subject="ops[.](deg2rad|rad2deg|.*)",
        what="(symbolic )?dtype",
        ours="float32",
        theirs="float64",
        script="int64",
        shown="y = keras.ops.deg2rad(draw(0, 'int64', (2,)))\n#: same y",
    ),
    Known(
        "a number of Python, or a tensor without axes, beside half floats leaves them as they are",
        subject="ops[.].*|graph.*",
        what="(symbolic )?dtype",
        ours="b?float16",
        theirs="float32",
        shown="y = keras.ops.hypot(draw(0, 'bfloat16', (2,)), 2.5)\n#: same y",
    ),
    Known(
        "a padding that the function does not know is refused",
        subject="ops[.].*(conv|pool).*",
        what="refused",
        ours="UnknownNameError: Unknown padding",
        shown="y = keras.ops.depthwise_conv(draw(4, 'float32', (1, 8, 9, 2)), draw(5, 'float32', (1, 1, 2, 3)), padding='causal')",
    ),
    Known(
        "sizes below 0 are refused",
        subject="ops[.](eye|identity|tri)",
        what="refused",
        ours="ArgumentError: [MNn] must be",
        shown="y = keras.ops.eye(3, -4, k=-1)",
    ),
    Known(
        "powers of booleans are integers, as in NumPy",
        subject="ops[.]vander",
        what="(symbolic )?dtype",
        theirs="bool",
        shown="y = keras.ops.vander(draw(0, 'bool', (3,)), 4)\n#: same y",
    ),
    Known(
        "nonzero gives a tuple, as NumPy; Keras one tensor",
        subject="ops[.]nonzero",
        what="object|count.*",
        shown="y = keras.ops.nonzero(draw(0, 'int32', (2, 2)))\n#: same y",
    ),
    Known(
        "a window larger than an empty image is refused, whatever the padding",
        subject="layers[.].*",
        what="refused",
        ours="ShapeError: A window of .* does not fit into 0",
        shown="s = keras.layers.MaxPooling2D(2, padding='same')(keras.Input((0, 4, 3)))",
    ),
    Known(
        "an empty batch has no statistics to learn",
        subject="layers[.]BatchNormalization",
        what="refused",
        ours="EngineError: .*at least one element",
        script="training=True",
        shown="layer = keras.layers.BatchNormalization()\nz = layer(draw(0, 'float32', (0, 6)), training=True)",
    ),
    Known(
        "the same, in the layer's statistics afterwards",
        subject="layers[.]BatchNormalization",
        what="values",
        script=r"\(0, .*training=True(.|\n)*same w",
    ),
    Known(
        "Concatenate along one axis: the others are equal, so one that is known is all",
        subject="layers[.]Concatenate( in a graph)?",
        what="symbolic shape",
        theirs=".*None",
        shown="s = keras.layers.Concatenate()([keras.Input((None, 3)), keras.Input((4, 2))])\n#: same s",
    ),
    Known(
        "integers are normalized as floats; Keras rounds them to integers on the way",
        subject="layers[.](LayerNormalization|GroupNormalization|BatchNormalization|RMSNormalization|UnitNormalization)",
        what="values",
        script="x0 = draw[(]\\d+, '(u?int|bool)",
        shown="layer = keras.layers.GroupNormalization(3)\nx0 = draw(991, 'int64', (3, 4, 5, 6), -2.0, 2.0)\n"
        "y = layer(x0)\n#: same y",
    ),
    Known(
        "padding is never counted in averages",
        subject="layers[.]AveragePooling.D",
        what="values",
        script="(?i)same'",
        shown="y = keras.layers.AveragePooling2D(3, 2, padding='same')(draw(0, 'float32', (1, 8, 6, 3)))\n#: same y",
    ),
    Known(
        "a model whose outputs are a list of one gives a list; Keras gives the tensor",
        subject="ops[.].*",
        what="object",
        ours=r"\[",
        theirs="tensor",
        script="keras.Model",
        shown="x = keras.Input((2,))\ns = keras.ops.split(x, 1)\nm = keras.Model([x], s)\nz = m([draw(0, 'float32', (1, 2))])\n#: same z",
    ),
    Known(
        "integers to negative powers are refused, as in NumPy",
        subject="ops[.]power",
        what="refused",
        ours=".*negative integer powers",
        shown="y = keras.ops.power(-1, -200)",
    ),
    Known(
        "noise_shape has an entry for each axis",
        subject="layers[.]Dropout( in a graph)?",
        what="refused",
        ours="ShapeError: noise_shape",
        shown="s = keras.layers.Dropout(0.4, noise_shape=(None, 1))(keras.Input((4, 3)))",
    ),
    Known(
        "a call that does not fit a layer's weights is refused as it is described; Keras refuses the values",
        subject="graph.*|layers[.].*",
        what="refused",
        ours="ShapeError: The input does not fit the sizes",
        shown="layer = keras.layers.LayerNormalization()\ns = layer(keras.Input((None, 6)))\ns = layer(keras.Input((None, 3)))",
    ),
    Known(
        "updates have as many axes as the tensor, as Keras's documentation has it; Keras fills all",
        subject="ops[.]slice_update",
        what="refused",
        ours="ShapeError: start_indices and updates",
        shown="y = keras.ops.slice_update(draw(0, 'int16', (3, 4, 5)), (0, 1, 2), -1)",
    ),
    Known(
        "-1 in the shape of a slice means all that is left; Keras leaves the last element out",
        subject="ops[.]slice",
        what="values|shape",
        script="-1",
        shown="y = keras.ops.slice(draw(137, 'float32', (3, 4, 5)), (1, 1, 2), (-1, 2, 3))\n#: same y",
    ),
    Known(
        "indices of the greatest are int32, as Keras's symbolic tensor has it",
        subject="ops[.]top_k",
        what="dtype",
        ours="int32",
        theirs="int64",
        shown="y = keras.ops.top_k(draw(0, 'float32', (3, 4)), 2)\n#: same y",
    ),
    Known(
        "a target larger than the image cannot be cropped to",
        subject="ops[.]image.crop_images",
        what="refused",
        ours="ArgumentError: The cropping would be negative",
        shown="y = keras.ops.image.crop_images(draw(0, 'float32', (5, 5, 0, 4)), 1, 1, target_height=4, target_width=0)",
    ),
    Known(
        "an axis that the tensors have not is refused, of one tensor too",
        subject="layers[.]Concatenate( in a graph)?",
        what="refused",
        ours="OutOfRangeError: No such axis",
        shown="s = keras.layers.Concatenate(axis=2)([keras.Input((4,))])",
    ),
    Known(
        "a mean of integers has the layer's dtype, as the symbolic tensor says",
        subject="layers[.]Average",
        what="dtype",
        ours="b?float16",
        theirs="float32",
        script="int|bool",
        shown="layer = keras.layers.Average(dtype='bfloat16')\ny = layer([draw(0, 'int32', (2, 3)), draw(1, 'int32', (2, 3))])\n#: same y",
    ),
    Known(
        "arithmetic of unsigned integers does not wrap in layers",
        subject="layers[.]PReLU",
        what="values",
        script="'uint8'",
        shown="layer = keras.layers.PReLU()\nlayer(draw(0, 'uint8', (2, 3)))\nfill(layer, 7)\ny = layer(draw(0, 'uint8', (2, 3)))\n#: same y",
    ),
    Known(
        "without values, it is not known which size a -1 means",
        subject="layers[.]Reshape( in a graph)?",
        what="refused",
        ours="EngineError: Reshape could not run: cannot reshape tensor of 0 elements",
        shown="layer = keras.layers.Reshape((-1,))\nlayer(draw(0, 'float32', (3, 6, 0)))",
    ),
    Known(
        "outputs and targets have a sample for each of the inputs",
        subject="graph",
        what="refused",
        ours="DataError: The data have different numbers of samples",
    ),
    Known(
        "a model is called on what its Input says; a scalar is no batch of them",
        subject="graph: nested model",
        what="refused",
        ours="ShapeError: Input .* takes another shape",
    ),
    Known(
        "what has no channels is not normalized",
        subject="layers[.]BatchNormalization( in a graph)?",
        what="refused",
        ours="EngineError: .*index 0 out of range for tensor of size .0.",
        shown="layer = keras.layers.BatchNormalization()\nlayer(draw(169, 'float32', (3, 4, 3, 0)))",
    ),
    Known(
        "an empty segment has the greatest or least value of the dtype, as Keras on JAX has it",
        subject="ops[.]segment_(min|max)",
        what="values",
        script="int|bool",
        shown="y = keras.ops.segment_min(draw(0, 'int16', (3, 4)), draw(1, 'int32', (3,), 0, 2), 4)\n#: same y",
    ),
    Known(
        "0 segments are none; Keras takes 0 for None",
        subject="ops[.]segment_.*",
        what="shape",
        shown="y = keras.ops.segment_sum(draw(0, 'float32', (3, 4)), draw(1, 'int32', (3,), 0, 3), 0)\n#: same y",
    ),
    Known(
        "a slice that begins outside is refused",
        subject="ops[.]slice(_update)?",
        what="refused",
        ours="EngineError: .*start out of range",
        shown="y = keras.ops.slice(draw(0, 'float32', (1, 4, 1)), (0, 1, 2), (1, 2, 3))",
    ),
    Known(
        "colours have three channels",
        subject="ops[.]image.rgb_to_grayscale",
        what="refused",
        ours="ShapeError: Colours",
        shown="y = keras.ops.image.rgb_to_grayscale(draw(0, 'float32', (1, 4, 4, 1)))",
    ),
    Known(
        "num is how many parts there are, or an error",
        subject="ops[.]unstack",
        what="refused",
        ours="ShapeError: Axis .* has .* parts",
        shown="y = keras.ops.unstack(draw(0, 'float32', (3, 3)), num=1, axis=1)",
    ),
    Known(
        "where and nonzero of a scalar",
        subject="ops[.](where|nonzero)",
        what="shape|object|count.*",
        script=r", \(\)",
        shown="y = keras.ops.where(draw(192, 'bool', ()))\n#: same y",
    ),
    Known(
        "a fraction is no class index; Keras cuts it to an integer",
        subject="ops[.](one_hot|multi_hot)",
        what="values",
        script="float",
        shown="y = keras.ops.one_hot(draw(934, 'float16', (3, 4), 0, 6), 7)\n#: same y",
    ),
    Known(
        "axes are counted in the result, as NumPy counts new axes",
        subject="ops[.](one_hot|multi_hot)",
        what="shape|values",
        script="axis=|, -?\\d",
        shown="y = keras.ops.one_hot(draw(985, 'int8', (3, 4), 0, 6), 6, -2)\n#: same y",
    ),
    Known(
        "an axis is an integer",
        subject="ops[.].*crossentropy",
        what="refused",
        ours="ArgumentTypeError: axis of",
        shown="y = keras.ops.categorical_crossentropy(draw(0, 'float32', (2, 5), 0, 1), draw(1, 'float32', (2, 5)), True, axis=None)",
    ),
    Known(
        "NaN and infinity take another way through a kernel of torch's",
        subject="ops[.](layer_normalization|dot_product_attention|moments|in_top_k|nancum.*|psnr|normalize)",
        what="values",
        script="odd=True",
    ),
    Known(
        "linspace with one or no value, or of integers",
        subject="ops[.](linspace|logspace)",
        what="dtype|values",
        script="linspace|logspace",
        shown="y = keras.ops.linspace(0.0, 1.0, 0, retstep=True)\n#: same y",
    ),
    Known(
        "an integer of Python that the tensor's dtype cannot hold widens it",
        subject="ops[.].*",
        what="(symbolic )?dtype",
        ours="int(32|64)",
        theirs="u?int(8|16)",
        script="-?200|70000",
        shown="y = keras.ops.right_shift(draw(0, 'int8', (2,)), -200)\n#: same y",
    ),
    Known(
        "an integer of Python that it can hold leaves it",
        subject="ops[.].*",
        what="(symbolic )?dtype",
        ours="u?int(8|16)",
        theirs="int32",
        shown="y = keras.ops.append(1, draw(0, 'uint8', (2,)))\n#: same y",
    ),
    Known(
        "Keras on torch weights another axis than it is asked to",
        subject="ops[.]average",
        what="shape|values",
        script="weights",
        shown="y = keras.ops.average(draw(531, 'int8', (3, 5, 1)), 1, weights=draw(933, 'int8', (3, 5, 1), 1, 3))\n#: same y",
    ),
    Known(
        "indices beyond the axes are refused though there are none",
        subject="ops[.]scatter(_update)?",
        what="refused",
        ours="EngineError: .*too many indices",
        shown="y = keras.ops.scatter(draw(647, 'uint8', (0, 3), 0, 4), draw(0, 'float32', (0,)), (2, 4))",
    ),
    Known(
        "symmetric padding mirrors at the border, as in NumPy",
        subject="ops[.]pad",
        what="values",
        script="symmetric",
        shown="y = keras.ops.pad(draw(0, 'float32', (1, 4)), ((0, 0), (2, 2)), 'symmetric')\n#: same y",
    ),
    Known(
        "running sums and products of booleans are booleans where that is asked for",
        subject="ops[.]cum(sum|prod)",
        what="(symbolic )?dtype",
        ours="bool",
        script="dtype='bool'",
        shown="y = keras.ops.cumprod(draw(0, 'uint8', (3,)), axis=0, dtype='bool')\n#: same y",
    ),
    Known(
        "a tolerance below 0 is refused",
        subject="ops[.](allclose|isclose)",
        what="refused",
        ours="EngineError: .*tol must be",
        shown="y = keras.ops.allclose(draw(0, 'uint8', (2,)), draw(0, 'uint8', (2,)), atol=-1.0)",
    ),
    Known(
        "of an unknown size and 1 an unknown one results: the other may be larger",
        subject="ops[.].*",
        what="symbolic shape",
        ours=".*None",
        theirs=".*1",
        shown="s = keras.ops.bitwise_xor(draw(384, 'uint8', (1,)), keras.Input(batch_shape=(None,), dtype='uint8'))\n#: same s",
    ),
    Known(
        "antialiasing of half floats has no kernel on the CPU",
        subject="ops[.]image.resize",
        what="refused",
        ours="EngineError: .*not implemented for 'Half'",
        shown="y = keras.ops.image.resize(draw(673, 'float16', (3, 8, 9, 4)), (5, 12), interpolation='bicubic', antialias=True)",
    ),
    Known(
        "a mean or product of integers has the layer's dtype, as the symbolic tensor says",
        subject="layers[.](Global.*|Dot|AveragePooling.D|MaxPooling.D)",
        what="dtype",
        ours="b?float16",
        theirs="float32",
        script="'(u?int|bool)",
        shown="layer = keras.layers.GlobalAveragePooling1D(dtype='bfloat16')\ny = layer(draw(0, 'int64', (3, 4, 3)))\n#: same y",
    ),
    Known(
        "what has no channels is not normalized",
        subject="layers[.]Normalization",
        what="refused",
        ours="EngineError: .*invalid for input of size 0",
        shown="layer = keras.layers.Normalization(mean=1.0, variance=0.5)\nlayer(draw(120, 'float32', (2, 1, 0)))",
    ),
    Known(
        "booleans are numbers in an average",
        subject="layers[.]Average",
        what="values",
        script="'bool'",
        shown="layer = keras.layers.Average()\ny = layer([draw(907, 'bool', (2, 4)), draw(331, 'bool', (2, 4))])\n#: same y",
    ),
    Known(
        "Keras reports the losses of several outputs of one layer under one name, the last of them for all",
        subject="train_on_batch",
        what="number|count",
        script="(l\\d+)[(](.|\\n)*\\1[(]",
    ),
    Known(
        "arithmetic of booleans gives integers; Keras's symbolic tensor says bool",
        subject="graph.*",
        what="symbolic dtype",
        ours="int32",
        theirs="bool",
    ),
    Known(
        "the normalized axes of a layer have known sizes",
        subject="layers[.]LayerNormalization( in a graph)?",
        what="refused",
        ours="ShapeError: The normalized axes need known sizes",
        shown="s = keras.layers.LayerNormalization(center=False, scale=False)(keras.Input(batch_shape=(None, None, None)))",
    ),
)
