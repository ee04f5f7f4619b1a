"""Base model and adapter, and their parameters as one flat vector."""
