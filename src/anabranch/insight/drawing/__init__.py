"""A model as a drawing: what is drawn (``picture``), repeats in it, where everything goes (``layout``), and the files of it."""
