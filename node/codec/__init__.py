"""Vectors to bytes and back. Stateless."""
