"""What holds for every test: one thread, no network, and no chatter from the libraries."""

from __future__ import annotations

import os

# Set before torch or transformers is imported. Two trainers in one test process would otherwise fight for the cores,
# and sums in another order would break the comparisons of bits.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.pop("NO_COLOR", None)  # tests that look at colour set what they need
