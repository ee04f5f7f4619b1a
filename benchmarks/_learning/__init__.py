"""Parts of benchmarks/learning.py; each has `rows(quick) -> list of figures`."""
