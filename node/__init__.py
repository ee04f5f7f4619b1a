"""Gossip learning: nodes train LoRA adapters on private data and average them with their neighbours. No server."""

__version__ = "0.1.0"
