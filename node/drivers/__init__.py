"""Carry out the effects of the core: gRPC, simulation, checkpoints."""
