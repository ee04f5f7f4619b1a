"""The rows of benchmarks/faults.py, one module a kind of process they need."""
