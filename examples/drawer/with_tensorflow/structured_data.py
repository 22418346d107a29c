"""Structured data with FeatureSpace: numbers, categories and a cross, as one vector for a small network.

Keras needs TensorFlow for FeatureSpace.
"""

import keras
import numpy as np
from keras import layers
from keras.utils import FeatureSpace

rng = np.random.default_rng(1337)
count = 500
age = rng.integers(29, 78, count)
sex = rng.integers(0, 2, count)
thal = rng.choice(["normal", "fixed", "reversible"], count)
oldpeak = rng.gamma(1.0, 1.0, count).astype("float32")
target = ((age > 55) & (thal != "normal") | (oldpeak > 2)).astype("int32")
table = {"age": age, "sex": sex, "thal": thal, "oldpeak": oldpeak}
train = {name: column[:400] for name, column in table.items()}
val = {name: column[400:] for name, column in table.items()}

feature_space = FeatureSpace(
    features={
        "sex": FeatureSpace.integer_categorical(num_oov_indices=0),
        "thal": "string_categorical",
        "oldpeak": "float_normalized",
        "age": FeatureSpace.float_discretized(num_bins=10),
    },
    crosses=[FeatureSpace.cross(feature_names=("sex", "thal"), crossing_dim=16)],
    output_mode="concat",
)
feature_space.adapt(train)
x_train, x_val = np.array(feature_space(train)), np.array(feature_space(val))
print("encoded:", x_train.shape, int(x_train[:, 1:].sum()))

encoded_features = feature_space.get_encoded_features()
x = layers.Dense(32, activation="relu")(encoded_features)
x = layers.Dropout(0.3)(x)
predictions = layers.Dense(1, activation="sigmoid")(x)
training_model = keras.Model(inputs=encoded_features, outputs=predictions)
inference_model = keras.Model(inputs=feature_space.get_inputs(), outputs=predictions)
training_model.compile(optimizer=keras.optimizers.Adam(0.01), loss="binary_crossentropy", metrics=["accuracy"])
history = training_model.fit(x_train, target[:400], validation_data=(x_val, target[400:]), epochs=15, verbose=0)
print("accuracy above 0.85:", history.history["val_accuracy"][-1] > 0.85)
