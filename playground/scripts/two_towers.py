# Two towers that share an embedding: how well does an item answer a query?
import keras
from keras import layers

embed = layers.Embedding(20_000, 64, mask_zero=True, name="embed")

query = keras.Input((None,), dtype="int32", name="query")
item = keras.Input((None,), dtype="int32", name="item")

left = layers.GlobalAveragePooling1D(name="mean_query")(embed(query))
right = layers.GlobalAveragePooling1D(name="mean_item")(embed(item))
left = layers.Dense(32, name="query_tower")(left)
right = layers.Dense(32, name="item_tower")(right)

score = layers.Dot(1, normalize=True, name="score")([left, right])
model = keras.Model([query, item], score, name="two_towers")
