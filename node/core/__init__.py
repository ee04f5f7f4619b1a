"""The protocol as small state machines: no socket, thread, file or clock."""
