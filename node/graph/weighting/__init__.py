"""Rows of W from edges: weight schemes."""
