"""Puts it together: assemble a node, launch processes, the demo, export."""
