"""A training loop of the user's own as a node."""
