"""Where the model and its steps are: main memory or the GPU. What is mixed and sent stays in main memory."""

from __future__ import annotations

import importlib.util
import os
from typing import Any, Literal, TypeAlias

import torch

from node.errors import ConfigError
from node.learn.model.libraries import transformers

# Asking the driver itself whether a GPU is there would spoil the processes that a fork server forks afterwards.
os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")

DeviceName: TypeAlias = Literal["auto", "cpu", "cuda"]
CPU = torch.device("cpu")
QUANTIZER = "bitsandbytes"
WHOLE = ["classifier", "score", "lm_head"]  # heads are trained or sensitive: never in 4 bits


def device_of(wanted: DeviceName) -> torch.device:
    """The device that a setting means on this machine.

    Raises:
        ConfigError: cuda, and there is none.
    """
    there = torch.cuda.is_available()
    if wanted == "cuda" and not there:
        raise ConfigError("train.device: cuda, but torch finds no GPU here; wanted auto or cpu, or another machine")
    return torch.device("cuda" if there and wanted != "cpu" else "cpu")


def quantization(device: torch.device) -> Any:
    """How transformers loads weights in 4 bits (a transformers.BitsAndBytesConfig): QLoRA's NF4, constants too.

    References:
        Dettmers, Pagnoni, Holtzman, Zettlemoyer 2023, arXiv:2305.14314.

    Raises:
        ConfigError: no GPU, or the package is not installed.
    """
    if device.type != "cuda":
        raise ConfigError("train.load_in_4bit: true wants a GPU, and train.device is cpu here; set it to false")
    if importlib.util.find_spec(QUANTIZER) is None:
        raise ConfigError(
            f"train.load_in_4bit: true wants the package {QUANTIZER}; "
            f"run: pip install 'gossip-node[quantized]', or set it to false"
        )
    return transformers.BitsAndBytesConfig(  # type: ignore[no-untyped-call]
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
        llm_int8_skip_modules=WHOLE,
    )
