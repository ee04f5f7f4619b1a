"""Topologies, mixing matrices and what they predict. numpy and networkx; no torch."""
