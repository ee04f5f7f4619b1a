"""Nodes that come in while others run."""
