"""Data as Keras scripts make and chain them: folders of files, series, arrays, augmented batches. Batches for ``fit``."""
