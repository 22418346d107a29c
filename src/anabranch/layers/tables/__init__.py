"""Layers over tables of words and numbers: lookups in vocabularies, hashes, bins, encodings, text as integers."""
