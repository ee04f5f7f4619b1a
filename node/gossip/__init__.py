"""Mixing rules: how what is heard becomes what is held. One algorithm a file."""
