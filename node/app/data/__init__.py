"""Private data of the nodes, without torch: what the node file says, what each holds, dealt into files."""
