"""A sequence to sequence network that learns to add two numbers written as text."""

import keras
import numpy as np
from keras import layers

TRAINING_SIZE = 200
DIGITS = 2
REVERSE = True
MAXLEN = DIGITS + 1 + DIGITS


class CharacterTable:
    def __init__(self, chars):
        self.chars = sorted(set(chars))
        self.char_indices = dict((c, i) for i, c in enumerate(self.chars))
        self.indices_char = dict((i, c) for i, c in enumerate(self.chars))

    def encode(self, C, num_rows):
        x = np.zeros((num_rows, len(self.chars)))
        for i, c in enumerate(C):
            x[i, self.char_indices[c]] = 1
        return x

    def decode(self, x, calc_argmax=True):
        if calc_argmax:
            x = x.argmax(axis=-1)
        return "".join(self.indices_char[i] for i in x)


chars = "0123456789+ "
ctable = CharacterTable(chars)
rng = np.random.default_rng(0)
questions, expected = [], []
for _ in range(TRAINING_SIZE):
    a, b = rng.integers(0, 10**DIGITS, 2)
    query = f"{a}+{b}".ljust(MAXLEN)
    questions.append(query[::-1] if REVERSE else query)
    expected.append(str(a + b).ljust(DIGITS + 1))

x = np.zeros((len(questions), MAXLEN, len(chars)), dtype=bool)
y = np.zeros((len(questions), DIGITS + 1, len(chars)), dtype=bool)
for i, sentence in enumerate(questions):
    x[i] = ctable.encode(sentence, MAXLEN)
for i, sentence in enumerate(expected):
    y[i] = ctable.encode(sentence, DIGITS + 1)
x_train, x_val, y_train, y_val = x[20:], x[:20], y[20:], y[:20]

model = keras.Sequential()
model.add(layers.Input((MAXLEN, len(chars))))
model.add(layers.LSTM(64))
model.add(layers.RepeatVector(DIGITS + 1))
for _ in range(2):
    model.add(layers.LSTM(64, return_sequences=True))
model.add(layers.TimeDistributed(layers.Dense(len(chars), activation="softmax")))
model.compile(loss="categorical_crossentropy", optimizer="adam", metrics=["accuracy"])
model.summary()

for epoch in range(1, 3):
    model.fit(x_train, y_train, batch_size=32, epochs=1, validation_data=(x_val, y_val))
    preds = np.argmax(model.predict(x_val[:1]), axis=-1)
    print("Q", questions[0], "guess", ctable.decode(preds[0], calc_argmax=False))
