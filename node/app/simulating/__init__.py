"""All nodes of a run in this process."""
