"""The table of a model's layers: rows first, text as one view of them."""
