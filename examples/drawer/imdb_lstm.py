"""An LSTM with dropout over masked sequences of words."""

from keras.datasets import imdb
from keras.layers import LSTM, Dense, Embedding
from keras.models import Sequential
from keras.preprocessing import sequence

max_features = 5000
maxlen = 30
batch_size = 16

(x_train, y_train), (x_test, y_test) = imdb.load_data(num_words=max_features)
print("Pad sequences (samples x time)")
x_train = sequence.pad_sequences(x_train, maxlen=maxlen, padding="post")
x_test = sequence.pad_sequences(x_test, maxlen=maxlen, padding="post")

model = Sequential()
model.add(Embedding(max_features, 32, mask_zero=True))
model.add(LSTM(32, dropout=0.2, recurrent_dropout=0.2))
model.add(Dense(1, activation="sigmoid"))
model.compile(loss="binary_crossentropy", optimizer="adam", metrics=["accuracy"])
model.fit(x_train, y_train, batch_size=batch_size, epochs=2, validation_data=(x_test, y_test))
score, acc = model.evaluate(x_test, y_test, batch_size=batch_size)
print("Test score:", score)
print("Test accuracy:", acc)
