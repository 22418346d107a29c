"""Transfer learning and fine-tuning, after Keras's guide of that name, with a small base in place of a downloaded one.

python examples/guides/transfer_learning.py          with Keras
anabranch run examples/guides/transfer_learning.py   with anabranch
"""

import keras
import numpy as np
from keras import layers
from sections import labels, main, numbers, section


def counts(layer):
    """Return how many weights there are, how many train, how many do not."""
    return [len(layer.weights), len(layer.trainable_weights), len(layer.non_trainable_weights)]


def same(before, after):
    """Return for each of two lists of arrays whether they are equal."""
    return [bool(np.array_equal(old, new)) for old, new in zip(before, after, strict=True)]


def images(count=24, seed=0):
    """Return pictures with values from 0 to 255 and whether each shows the one kind or the other."""
    return 255 * numbers(count, 20, 20, 3, seed=seed), labels(count, 2, seed=seed).astype("float32")


def base_model():
    """Return a small network in place of one trained on millions of images: convolutions and batch statistics, no head."""
    inputs = keras.Input((20, 20, 3))
    x = layers.Conv2D(8, 3, use_bias=False, name="conv_1")(inputs)
    x = layers.BatchNormalization(name="norm_1")(x)
    x = layers.ReLU()(x)
    x = layers.Conv2D(16, 3, strides=2, use_bias=False, name="conv_2")(x)
    x = layers.BatchNormalization(name="norm_2")(x)
    return keras.Model(inputs, layers.ReLU()(x), name="base")


def with_head(base, augmentation=None, dropout=0.0):
    """Return the base, run in inference mode whatever the model does, under a new head of one score."""
    inputs = keras.Input(shape=(20, 20, 3))
    x = inputs if augmentation is None else augmentation(inputs)
    x = layers.Rescaling(scale=1 / 127.5, offset=-1)(x)  # what the base was trained on: from -1 to 1
    x = base(x, training=False)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dropout(dropout)(x)
    return keras.Model(inputs, layers.Dense(1, activation="sigmoid")(x))


def frozen_with_head():
    """Return a frozen base, and a model of it and a new head."""
    base = base_model()
    base.trainable = False
    return base, with_head(base)


def compiled(model, learning_rate):
    """Return the model, compiled for two kinds."""
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate),
        loss=keras.losses.BinaryCrossentropy(),
        metrics=[keras.metrics.BinaryAccuracy()],
    )
    return model


def trained(model, epochs=1):
    """Train on the pictures in their order and return the history."""
    x, y = images()
    return model.fit(x, y, batch_size=8, epochs=epochs, shuffle=False, verbose=0).history


@section("Every weight of a Dense trains")
def dense_weights():
    """Kernel and bias."""
    layer = layers.Dense(3)
    layer.build((None, 4))
    yield {"all, training, other": counts(layer)}


@section("Statistics do not")
def normalization_weights():
    """BatchNormalization learns scale and shift; mean and variance follow the data without a gradient."""
    layer = layers.BatchNormalization()
    layer.build((None, 4))
    yield {"all, training, other": counts(layer)}


@section("Freezing a layer")
def freezing():
    """With trainable = False its weights count among those that do not train."""
    layer = layers.Dense(3)
    layer.build((None, 4))
    layer.trainable = False
    yield {"all, training, other": counts(layer)}


@section("A frozen layer stays as it is in fit")
def frozen_in_fit():
    """The other learns."""
    layer1, layer2 = layers.Dense(3, activation="relu"), layers.Dense(3, activation="sigmoid")
    model = keras.Sequential([keras.Input(shape=(3,)), layer1, layer2])
    layer1.trainable = False
    yield {"model": (model, numbers(2, 3))}
    before = model.get_weights()
    model.compile(optimizer="adam", loss="mse")
    history = model.fit(numbers(16, 3), numbers(16, 3, seed=1), epochs=2, shuffle=False, verbose=0)
    yield {"losses": history.history["loss"], "unchanged": same(before, model.get_weights())}


@section("Freezing a model freezes what is inside")
def recursive():
    """To every depth."""
    inner_model = keras.Sequential(
        [keras.Input(shape=(3,)), layers.Dense(3, activation="relu"), layers.Dense(3, activation="relu")]
    )
    model = keras.Sequential([keras.Input(shape=(3,)), inner_model, layers.Dense(3, activation="sigmoid")])
    yield {"free": model}
    inner_model.trainable = False
    yield {"inner frozen": model, "counts": counts(model)}
    model.trainable = False
    yield {
        "all frozen": (model, numbers(2, 3)),
        "inner": inner_model.trainable,
        "innermost": [layer.trainable for layer in inner_model.layers],
    }
    model.trainable = True
    inner_model.layers[0].trainable = False
    yield {"one frozen": model, "counts": counts(model)}


@section("The usual way: a frozen base, a new head")
def usual_way():
    """The head learns on what the base sees."""
    base, model = frozen_with_head()
    yield {"base": base, "model": (model, images(2)[0])}
    before = base.get_weights()
    yield {"history": trained(compiled(model, 1e-2), epochs=2)}
    yield {"the base is as it was": same(before, base.get_weights())}


@section("Then fine-tuning")
def fine_tuning():
    """Everything is unfrozen and compiled again, with a very low rate; the statistics stay, since the base still infers."""
    base, model = frozen_with_head()
    yield {"model": (model, images(2)[0])}
    yield {"head alone": trained(compiled(model, 1e-2))["loss"]}
    before = {weight.path: np.array(weight.numpy()) for weight in base.weights}
    base.trainable = True
    yield {"unfrozen": model}
    yield {"all": trained(compiled(model, 1e-5), epochs=2)["loss"]}
    stay = {
        path.split("/")[-1]
        for path, old in before.items()
        for w in base.weights
        if w.path == path and same([old], [w.numpy()])[0]
    }
    yield {"as they were": sorted(stay)}
    x, y = images(seed=5)
    yield {"evaluation": model.evaluate(x, y, verbose=0)}


@section("Some of the base frozen, some not")
def partly_frozen():
    """The early layers see what all pictures have; the later ones may adapt."""
    base = base_model()
    for layer in base.layers[:3]:
        layer.trainable = False
    model = with_head(base)
    yield {"model": (model, images(2)[0])}
    before = base.get_layer("conv_1").get_weights() + base.get_layer("conv_2").get_weights()
    yield {"losses": trained(compiled(model, 1e-3))["loss"]}
    yield {"unchanged": same(before, base.get_layer("conv_1").get_weights() + base.get_layer("conv_2").get_weights())}


@section("A frozen BatchNormalization infers, in training too")
def frozen_normalization():
    """Frozen, it uses its moving statistics unchanged; unfrozen, those of the batch, and updates its own."""
    inputs = keras.Input((4,))
    norm = layers.BatchNormalization(name="norm")
    model = keras.Model(inputs, norm(inputs))
    yield {"unfrozen": (model, numbers(8, 4))}
    x = numbers(8, 4)
    norm.trainable = False
    before = model.get_weights()
    yield {"frozen, in training": model(x, training=True), "unchanged": same(before, model.get_weights())}
    norm.trainable = True
    yield {"unfrozen, in training": model(x, training=True), "unchanged then": same(before, model.get_weights())}
    yield {"weights": model.get_weights()}


@section("Features computed once")
def features_once():
    """Where the base never changes, it need run only once over the data; a small model then learns on what came out."""
    base = base_model()
    yield {"base": (base, numbers(2, 20, 20, 3))}
    x, y = images()
    features = base.predict(x / 127.5 - 1, verbose=0)
    yield {"features": features}
    head = keras.Sequential(
        [keras.Input(features.shape[1:]), layers.GlobalAveragePooling2D(), layers.Dense(1, activation="sigmoid")]
    )
    yield {"head": (head, features[:2])}
    history = compiled(head, 1e-2).fit(features, y, batch_size=8, epochs=2, shuffle=False, verbose=0)
    yield {"history": history.history}


@section("Pictures changed at random")
def augmentation():
    """Few pictures become many: turned and mirrored in training, left alone in inference."""
    augmentation = keras.Sequential([layers.RandomFlip("horizontal"), layers.RandomRotation(0.1)], name="augmentation")
    x, _ = images(4)
    left_alone = augmentation(x, training=False)
    yield {"in inference": bool(np.allclose(left_alone.detach().cpu().numpy(), x)), "shape": tuple(left_alone.shape)}
    changed = augmentation(x, training=True)
    yield {"in training": bool(np.allclose(changed.detach().cpu().numpy(), x)), "shape": tuple(changed.shape)}


@section("All of it together", chance=True)
def together():
    """Augmentation, rescaling, the frozen base, dropout, the head; trained, then fine-tuned."""
    augmentation = keras.Sequential([layers.RandomFlip("horizontal"), layers.RandomRotation(0.1)], name="augmentation")
    base = base_model()
    base.trainable = False
    model = with_head(base, augmentation, dropout=0.2)
    yield {"model": (model, images(2)[0])}
    x, y = images()
    compiled(model, 1e-2).fit(x, y, batch_size=8, epochs=1, verbose=0)
    base.trainable = True
    history = compiled(model, 1e-5).fit(x, y, batch_size=8, epochs=1, validation_data=images(8, seed=1), verbose=0)
    yield {"measured": sorted(history.history), "finite": bool(np.isfinite(history.history["val_loss"]).all())}


@section("A training loop of your own")
def own_loop():
    """In plain torch: the gradients go to the weights that train, the optimizer takes them."""
    import torch

    _, model = frozen_with_head()
    yield {"model": (model, images(2)[0])}
    parameters = [weight.value for weight in model.trainable_weights]
    optimizer = torch.optim.SGD(parameters, lr=0.1)
    loss_function = keras.losses.BinaryCrossentropy()
    x, y = images()
    losses = []
    for start in range(0, len(x), 8):
        batch = slice(start, start + 8)
        scores = model(x[batch], training=True)
        loss = loss_function(torch.tensor(y[batch])[:, None], scores)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    yield {"losses": losses, "trained": len(parameters)}


if __name__ == "__main__":
    main(globals())
