"""From the words of a node file to a mixing rule that fits its topology."""
