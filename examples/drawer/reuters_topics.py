"""Topics of news: words as multi-hot vectors, a wide network, and a bottleneck."""

import keras
import numpy as np
from keras import layers

(train_data, train_labels), (test_data, test_labels) = keras.datasets.reuters.load_data(num_words=2000)


def vectorize_sequences(sequences, dimension=2000):
    results = np.zeros((len(sequences), dimension))
    for i, sequence in enumerate(sequences):
        for j in sequence:
            results[i, j] = 1.0
    return results


x_train, x_test = vectorize_sequences(train_data), vectorize_sequences(test_data)
y_train, y_test = keras.utils.to_categorical(train_labels, 46), keras.utils.to_categorical(test_labels, 46)

model = keras.Sequential(
    [layers.Dense(64, activation="relu"), layers.Dense(16, activation="relu"), layers.Dense(46, activation="softmax")]
)
top_3_accuracy = keras.metrics.TopKCategoricalAccuracy(k=3, name="top_3_accuracy")
model.compile(optimizer="adam", loss="categorical_crossentropy", metrics=["accuracy", top_3_accuracy])
model.fit(x_train, y_train, epochs=3, batch_size=16, validation_data=(x_test, y_test))
predictions = model.predict(x_test)
print(predictions.shape, bool(np.isclose(predictions[0].sum(), 1.0, atol=1e-5)))
