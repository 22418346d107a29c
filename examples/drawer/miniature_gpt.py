"""A miniature of GPT on made-up texts: each token is predicted from those before it, by attention under a causal mask."""

import keras
import numpy as np
from keras import layers, ops


def causal_attention_mask(batch_size, n_dest, n_src, dtype):
    i = ops.arange(n_dest)[:, None]
    j = ops.arange(n_src)
    mask = ops.cast(i >= j - n_src + n_dest, dtype)
    mask = ops.reshape(mask, [1, n_dest, n_src])
    return ops.tile(mask, [batch_size, 1, 1])


class TransformerBlock(layers.Layer):
    def __init__(self, embed_dim, num_heads, ff_dim):
        super().__init__()
        self.att = layers.MultiHeadAttention(num_heads, embed_dim)
        self.ffn = keras.Sequential([layers.Dense(ff_dim, activation="relu"), layers.Dense(embed_dim)])
        self.layernorm1 = layers.LayerNormalization(epsilon=1e-6)
        self.layernorm2 = layers.LayerNormalization(epsilon=1e-6)

    def call(self, inputs):
        batch_size, seq_len = ops.shape(inputs)[0], ops.shape(inputs)[1]
        mask = causal_attention_mask(batch_size, seq_len, seq_len, "bool")
        out1 = self.layernorm1(inputs + self.att(inputs, inputs, attention_mask=mask))
        return self.layernorm2(out1 + self.ffn(out1))


class TokenAndPositionEmbedding(layers.Layer):
    def __init__(self, maxlen, vocab_size, embed_dim):
        super().__init__()
        self.token_emb = layers.Embedding(input_dim=vocab_size, output_dim=embed_dim)
        self.pos_emb = layers.Embedding(input_dim=maxlen, output_dim=embed_dim)

    def call(self, x):
        return self.token_emb(x) + self.pos_emb(ops.arange(0, ops.shape(x)[-1], 1))


vocab_size, maxlen, embed_dim = 500, 24, 32

steps = np.random.default_rng(0).integers(0, 5, (400, maxlen + 1))
tokens = np.cumsum(steps, axis=1) % vocab_size
x, y = tokens[:, :-1], tokens[:, 1:]

inputs = layers.Input(shape=(maxlen,), dtype="int32")
hidden = TransformerBlock(embed_dim, 2, 64)(TokenAndPositionEmbedding(maxlen, vocab_size, embed_dim)(inputs))
model = keras.Model(inputs=inputs, outputs=layers.Dense(vocab_size)(hidden))
model.compile("adam", loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
model.fit(x, y, batch_size=32, epochs=2)

start = x[:1]
following = np.argmax(model.predict(start, verbose=0)[0, -1])
print("The next token:", int(following))
