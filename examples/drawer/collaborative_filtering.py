"""A recommender: a subclassed model of embeddings whose dot product is a rating."""

import keras
import numpy as np
from keras import layers, ops

EMBEDDING_SIZE = 16
num_users, num_movies = 40, 60
rng = np.random.default_rng(42)
pairs = np.stack([rng.integers(0, num_users, 600), rng.integers(0, num_movies, 600)], axis=1)
ratings = ((pairs[:, 0] * 7 + pairs[:, 1] * 3) % 10 / 9.0).astype("float32")


class RecommenderNet(keras.Model):
    def __init__(self, num_users, num_movies, embedding_size, **kwargs):
        super().__init__(**kwargs)
        options = {"embeddings_initializer": "he_normal", "embeddings_regularizer": keras.regularizers.l2(1e-6)}
        self.user_embedding = layers.Embedding(num_users, embedding_size, **options)
        self.user_bias = layers.Embedding(num_users, 1)
        self.movie_embedding = layers.Embedding(num_movies, embedding_size, **options)
        self.movie_bias = layers.Embedding(num_movies, 1)

    def call(self, inputs):
        user_vector = self.user_embedding(inputs[:, 0])
        user_bias = self.user_bias(inputs[:, 0])
        movie_vector = self.movie_embedding(inputs[:, 1])
        movie_bias = self.movie_bias(inputs[:, 1])
        dot_user_movie = ops.sum(user_vector * movie_vector, axis=1, keepdims=True)
        return ops.nn.sigmoid(dot_user_movie + user_bias + movie_bias)


model = RecommenderNet(num_users, num_movies, EMBEDDING_SIZE)
model.compile(loss=keras.losses.BinaryCrossentropy(), optimizer=keras.optimizers.Adam(learning_rate=0.001))
history = model.fit(
    x=pairs[:500], y=ratings[:500], batch_size=64, epochs=3, verbose=1, validation_data=(pairs[500:], ratings[500:])
)
model.summary()
user = np.stack([np.full(num_movies, 3), np.arange(num_movies)], axis=1)
print(model.predict(user).flatten().argsort()[-10:][::-1])
