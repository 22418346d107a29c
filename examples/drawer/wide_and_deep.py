"""Two inputs, a wide and a deep path, and an auxiliary output, on made-up houses."""

import keras
import numpy as np
from keras.layers import Concatenate, Dense, Input, Normalization

rng = np.random.default_rng(42)
X = rng.normal(3.0, 2.0, (200, 8)).astype("float32")
y = (X[:, :1] * 2 - X[:, 3:4] + np.maximum(X[:, 5:6], 0)).astype("float32")
X_train, X_valid, y_train, y_valid = X[:160], X[160:], y[:160], y[160:]
X_train_wide, X_train_deep = X_train[:, :5], X_train[:, 2:]
X_valid_wide, X_valid_deep = X_valid[:, :5], X_valid[:, 2:]

input_wide = Input(shape=[5], name="input_wide")
input_deep = Input(shape=[6], name="input_deep")
norm_layer_wide = Normalization()
norm_layer_deep = Normalization()
norm_layer_wide.adapt(X_train_wide)
norm_layer_deep.adapt(X_train_deep)
norm_wide = norm_layer_wide(input_wide)
norm_deep = norm_layer_deep(input_deep)
hidden1 = Dense(30, activation="relu")(norm_deep)
hidden2 = Dense(30, activation="relu")(hidden1)
concat = Concatenate()([norm_wide, hidden2])
output = Dense(1, name="output")(concat)
aux_output = Dense(1, name="aux_output")(hidden2)
model = keras.Model(inputs=[input_wide, input_deep], outputs=[output, aux_output])

model.compile(
    loss=("mse", "mse"),
    loss_weights=(0.9, 0.1),
    optimizer=keras.optimizers.SGD(learning_rate=1e-3, momentum=0.9, nesterov=True),
    metrics=[[keras.metrics.RootMeanSquaredError()], [keras.metrics.RootMeanSquaredError()]],
)
history = model.fit(
    (X_train_wide, X_train_deep),
    (y_train, y_train),
    epochs=4,
    validation_data=((X_valid_wide, X_valid_deep), (y_valid, y_valid)),
)
y_pred_main, y_pred_aux = model.predict((X_valid_wide[:3], X_valid_deep[:3]))
print(y_pred_main.shape, y_pred_aux.shape)
