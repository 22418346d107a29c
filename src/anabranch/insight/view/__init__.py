"""The interactive page of a model: one HTML file that needs nothing else, and the data in it."""
