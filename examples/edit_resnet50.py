"""ResNet-50 described functionally, then changed as a graph: other activations, gates, one stage less, a second head.

He et al., "Deep Residual Learning for Image Recognition" (2015), table 1; the gate is squeeze-and-excitation, Hu et al. (2018).

python examples/edit_resnet50.py
"""

from anabranch import Input, Model, edit, layers

STAGES = {"stage2": (64, 3), "stage3": (128, 4), "stage4": (256, 6), "stage5": (512, 3)}


def conv(x, filters, size, strides=1, name=None):
    """Return a convolution with batch normalization."""
    x = layers.Conv2D(filters, size, strides, padding="same", use_bias=False, name=f"{name}_conv")(x)
    return layers.BatchNormalization(epsilon=1.001e-5, name=f"{name}_norm")(x)


def bottleneck(x, filters, strides, name):
    """Return a residual block of 1×1, 3×3 and 1×1 convolutions."""
    y = layers.ReLU(name=f"{name}_1_relu")(conv(x, filters, 1, strides, f"{name}_1"))
    y = layers.ReLU(name=f"{name}_2_relu")(conv(y, filters, 3, 1, f"{name}_2"))
    y = conv(y, 4 * filters, 1, 1, f"{name}_3")
    if x.shape != y.shape:
        x = conv(x, 4 * filters, 1, strides, f"{name}_skip")
    return layers.ReLU(name=f"{name}_out")(layers.add([x, y], name=f"{name}_add"))


def resnet50(classes=1000, size=224):
    """Return the network, 25,557,032 trained parameters for a thousand classes."""
    inputs = Input((size, size, 3), name="image")
    x = layers.ReLU(name="stem_relu")(conv(inputs, 64, 7, 2, "stem"))
    x = layers.MaxPooling2D(3, strides=2, padding="same", name="stem_pool")(x)
    for stage, (filters, blocks) in STAGES.items():
        for block in range(1, blocks + 1):
            x = bottleneck(x, filters, 2 if block == 1 and stage != "stage2" else 1, f"{stage}_block{block}")
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return Model(inputs, layers.Dense(classes, activation="softmax", name="head")(x), name="resnet50")


def squeeze_and_excite(x, ratio=16):
    """Return x with each channel scaled by a gate that sees all of them."""
    gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
    gate = layers.Dense(x.shape[-1] // ratio, activation="relu")(gate)
    return layers.multiply([x, layers.Dense(x.shape[-1], activation="sigmoid")(gate)])


def changed(model):
    """Return ResNet-50 with GELU, a gate after each stage, no last stage, and a second head."""
    ends = ["stage2_block3_out", "stage3_block4_out", "stage4_block6_out"]
    return model.edit(
        edit.replace(layers.ReLU, lambda relu: layers.Activation("gelu")),
        edit.remove("stage5_*"),
        edit.insert_after(ends, squeeze_and_excite),
        edit.add_output("pool", lambda x: layers.Dense(4, name="rotation")(x)),
    )


if __name__ == "__main__":
    model = resnet50()
    new = changed(model)
    print(model.diff(new))
    print(f"{model.count_params():,} parameters became {new.count_params():,}")
