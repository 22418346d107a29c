# Several inputs and outputs: tickets that have a title, a body and tags (after Keras's guide to the functional API)
import keras
from keras import layers

title = keras.Input((None,), dtype="int32", name="title")
body = keras.Input((None,), dtype="int32", name="body")
tags = keras.Input((12,), name="tags")

title_features = layers.GlobalMaxPooling1D()(layers.Embedding(10_000, 64)(title))
body_features = layers.GlobalMaxPooling1D()(layers.Conv1D(64, 5, activation="relu")(layers.Embedding(10_000, 64)(body)))
x = layers.concatenate([title_features, body_features, tags])

priority = layers.Dense(1, name="priority")(x)
department = layers.Dense(4, name="department")(x)
model = keras.Model([title, body, tags], {"priority": priority, "department": department}, name="tickets")
