"""Convolutions over words, then an LSTM over what they found."""

import keras
from keras import layers

max_features, maxlen = 5000, 60
(x_train, y_train), (x_test, y_test) = keras.datasets.imdb.load_data(num_words=max_features)
x_train = keras.utils.pad_sequences(x_train, maxlen=maxlen)
x_test = keras.utils.pad_sequences(x_test, maxlen=maxlen)

model = keras.Sequential(
    [
        keras.Input((maxlen,)),
        layers.Embedding(max_features, 32),
        layers.SpatialDropout1D(0.25),
        layers.Conv1D(32, 5, padding="valid", activation="relu", strides=1),
        layers.MaxPooling1D(pool_size=4),
        layers.GRU(20, reset_after=True),
        layers.Dense(1),
        layers.Activation("sigmoid"),
    ]
)
model.compile(loss="binary_crossentropy", optimizer="rmsprop", metrics=["accuracy", keras.metrics.AUC()])
model.fit(x_train, y_train, batch_size=30, epochs=2, validation_split=0.2)
print(model.evaluate(x_test, y_test, return_dict=True))
