"""Graphs that change: a mixing matrix for each round."""
