"""Whether a run kept its promises, from what every node wrote."""
