"""The one door to transformers and peft: their chatter is switched off before they are imported, which is the only time
they ask.

Importing this costs about 3.5 CPU seconds, so a launcher does it once, in its fork server.
"""

from __future__ import annotations

import os

for _name, _value in {
    "TRANSFORMERS_VERBOSITY": "error",  # also the table of missing weights
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TOKENIZERS_PARALLELISM": "false",  # its threads would not survive a fork
}.items():
    os.environ.setdefault(_name, _value)

import peft  # noqa: E402
import transformers  # noqa: E402

__all__ = ["peft", "transformers"]
