"""Text by an LSTM, character after character, at several temperatures."""

import keras
import numpy as np
from keras import layers

text = "a river is a strong brown god sullen untamed and intractable patient to some degree " * 4
chars = sorted(set(text))
char_indices = dict((c, i) for i, c in enumerate(chars))
maxlen, step = 20, 3
sentences = [text[i : i + maxlen] for i in range(0, len(text) - maxlen, step)]
next_chars = [text[i + maxlen] for i in range(0, len(text) - maxlen, step)]
x = np.zeros((len(sentences), maxlen, len(chars)), dtype="bool")
y = np.zeros((len(sentences), len(chars)), dtype="bool")
for i, sentence in enumerate(sentences):
    for t, char in enumerate(sentence):
        x[i, t, char_indices[char]] = 1
    y[i, char_indices[next_chars[i]]] = 1

model = keras.Sequential(
    [keras.Input(shape=(maxlen, len(chars))), layers.LSTM(48), layers.Dense(len(chars), activation="softmax")]
)
model.compile(loss="categorical_crossentropy", optimizer=keras.optimizers.RMSprop(learning_rate=0.01))


def sample(preds, temperature=1.0):
    preds = np.asarray(preds).astype("float64")
    preds = np.exp(np.log(preds) / temperature)
    return np.argmax(np.random.multinomial(1, preds / np.sum(preds), 1))


for epoch in range(2):
    model.fit(x, y, batch_size=32, epochs=1)
    for diversity in [0.2, 1.0]:
        sentence, generated = text[:maxlen], ""
        for _ in range(5):
            x_pred = np.zeros((1, maxlen, len(chars)))
            for t, char in enumerate(sentence):
                x_pred[0, t, char_indices[char]] = 1.0
            next_char = chars[sample(model.predict(x_pred, verbose=0)[0], diversity)]
            sentence, generated = sentence[1:] + next_char, generated + next_char
        print("...Diversity:", diversity, len(generated))
