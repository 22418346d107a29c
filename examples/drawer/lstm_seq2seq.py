"""Translation character by character: the states of an encoder LSTM begin a decoder LSTM, and inference runs step by step."""

import keras
import numpy as np

latent_dim = 32
pairs = [("go", "va"), ("hi", "salut"), ("run", "cours"), ("wow", "ca alors"), ("help", "a laide"), ("jump", "saute")] * 8
input_texts = [source for source, _ in pairs]
target_texts = ["\t" + target + "\n" for _, target in pairs]
input_characters = sorted(set("".join(input_texts)) | {" "})
target_characters = sorted(set("".join(target_texts)) | {" "})
max_encoder_seq_length = max(len(txt) for txt in input_texts)
max_decoder_seq_length = max(len(txt) for txt in target_texts)
input_token_index = {char: i for i, char in enumerate(input_characters)}
target_token_index = {char: i for i, char in enumerate(target_characters)}

encoder_input_data = np.zeros((len(pairs), max_encoder_seq_length, len(input_characters)), dtype="float32")
decoder_input_data = np.zeros((len(pairs), max_decoder_seq_length, len(target_characters)), dtype="float32")
decoder_target_data = np.zeros((len(pairs), max_decoder_seq_length, len(target_characters)), dtype="float32")
for i, (input_text, target_text) in enumerate(zip(input_texts, target_texts)):
    for t, char in enumerate(input_text.ljust(max_encoder_seq_length)):
        encoder_input_data[i, t, input_token_index[char]] = 1.0
    for t, char in enumerate(target_text.ljust(max_decoder_seq_length)):
        decoder_input_data[i, t, target_token_index[char]] = 1.0
        if t > 0:
            decoder_target_data[i, t - 1, target_token_index[char]] = 1.0

encoder_inputs = keras.Input(shape=(None, len(input_characters)))
encoder = keras.layers.LSTM(latent_dim, return_state=True)
encoder_outputs, state_h, state_c = encoder(encoder_inputs)
encoder_states = [state_h, state_c]
decoder_inputs = keras.Input(shape=(None, len(target_characters)))
decoder_lstm = keras.layers.LSTM(latent_dim, return_sequences=True, return_state=True)
decoder_outputs, _, _ = decoder_lstm(decoder_inputs, initial_state=encoder_states)
decoder_dense = keras.layers.Dense(len(target_characters), activation="softmax")
decoder_outputs = decoder_dense(decoder_outputs)
model = keras.Model([encoder_inputs, decoder_inputs], decoder_outputs)

model.compile(optimizer="rmsprop", loss="categorical_crossentropy", metrics=["accuracy"])
model.fit([encoder_input_data, decoder_input_data], decoder_target_data, batch_size=16, epochs=3, validation_split=0.2)

encoder_model = keras.Model(encoder_inputs, encoder_states)
decoder_state_input_h = keras.Input(shape=(latent_dim,))
decoder_state_input_c = keras.Input(shape=(latent_dim,))
decoder_states_inputs = [decoder_state_input_h, decoder_state_input_c]
decoder_outputs, state_h_dec, state_c_dec = decoder_lstm(decoder_inputs, initial_state=decoder_states_inputs)
decoder_outputs = decoder_dense(decoder_outputs)
decoder_model = keras.Model([decoder_inputs] + decoder_states_inputs, [decoder_outputs, state_h_dec, state_c_dec])
reverse_target_char_index = {i: char for char, i in target_token_index.items()}


def decode_sequence(input_seq):
    states_value = encoder_model.predict(input_seq, verbose=0)
    target_seq = np.zeros((1, 1, len(target_characters)))
    target_seq[0, 0, target_token_index["\t"]] = 1.0
    decoded_sentence = ""
    while len(decoded_sentence) < max_decoder_seq_length:
        output_tokens, h, c = decoder_model.predict([target_seq] + list(states_value), verbose=0)
        sampled_token_index = np.argmax(output_tokens[0, -1, :])
        decoded_sentence += reverse_target_char_index[sampled_token_index]
        if decoded_sentence[-1] == "\n":
            break
        target_seq = np.zeros((1, 1, len(target_characters)))
        target_seq[0, 0, sampled_token_index] = 1.0
        states_value = [h, c]
    return decoded_sentence


print(repr(decode_sequence(encoder_input_data[:1])))
