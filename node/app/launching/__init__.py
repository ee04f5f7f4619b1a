"""Processes of a run on this machine: started, followed, written down, made to fail."""
