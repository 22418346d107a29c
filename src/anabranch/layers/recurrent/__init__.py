"""Recurrent layers, their cells, and what applies layers over the steps of a sequence."""
