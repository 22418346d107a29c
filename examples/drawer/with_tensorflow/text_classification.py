"""Text classification from raw strings: a vocabulary, an embedding, and a model that takes the strings themselves.

Keras needs TensorFlow for TextVectorization.
"""

import random

import keras
import numpy as np
from keras import layers

random.seed(1)
good, bad = ["great", "wonderful", "a joy", "superb"], ["dull", "a waste", "terrible", "boring"]
filler = ["the", "film", "was", "and", "it", "plot", "actors", "story", "with", "some", "scenes"]


def review(words):
    """Return a made-up review."""
    text = random.choices(filler, k=12)
    text.insert(random.randrange(12), random.choice(words))
    return " ".join(text).capitalize() + "!"


labels = np.array([random.randint(0, 1) for _ in range(400)])
texts = np.array([review(good if label else bad) for label in labels])

vectorize_layer = layers.TextVectorization(max_tokens=1000, output_mode="int", output_sequence_length=20)
vectorize_layer.adapt(texts)
print("vocabulary:", len(vectorize_layer.get_vocabulary()))

x = np.array(vectorize_layer(texts))
x_train, y_train, x_val, y_val = x[:320], labels[:320], x[320:], labels[320:]

model = keras.Sequential(
    [
        keras.Input(shape=(20,), dtype="int64"),
        layers.Embedding(1000, 16),
        layers.Dropout(0.2),
        layers.GlobalAveragePooling1D(),
        layers.Dense(1, activation="sigmoid"),
    ]
)
model.compile(loss="binary_crossentropy", optimizer=keras.optimizers.Adam(0.02), metrics=["accuracy"])
history = model.fit(x_train, y_train, validation_data=(x_val, y_val), epochs=10, verbose=0)
print("accuracy above 0.9:", history.history["val_accuracy"][-1] > 0.9)

examples = np.array(["The film was wonderful!", "The film was terrible..."])
print("in order:", np.diff(model.predict(np.array(vectorize_layer(examples)), verbose=0)[:, 0])[0] < 0)
