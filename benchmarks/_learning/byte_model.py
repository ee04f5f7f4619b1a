"""A small causal language model over bytes, made here: a tokenizer without a vocabulary to download, and a foundation.

The foundation is a Llama of 0.1 M parameters, trained for 20 seconds on one general corpus (docstrings of the standard
library): what LoRA is put on must know something. It is kept in this user's temporary folder, by its settings.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from _learning.data import place
from node.learn import draw
from node.learn.reading.docstrings import load
from node.learn.reading.encode import blocks

SIZE = {
    "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 4,
    "intermediate_size": 160, "max_position_embeddings": 256, "tie_word_embeddings": True,
}  # fmt: skip
LENGTH = 64  # bytes a block
BATCH = 16  # blocks a step
RATE = 3e-3


def tokenizer() -> PreTrainedTokenizerFast:
    """A token a byte, <pad> and </s>."""
    names = ["<pad>", "</s>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    made = Tokenizer(models.BPE(vocab={name: number for number, name in enumerate(names)}, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=made, pad_token="<pad>", eos_token="</s>")


def foundation(steps: int) -> Path:
    """The folder of the pretrained model: trained now, or by an earlier call with the same settings."""
    said = json.dumps([SIZE, LENGTH, BATCH, RATE, steps, torch.__version__, load().digest])
    folder = place() / f"byte-model-{hashlib.sha256(said.encode()).hexdigest()[:16]}"
    if not (folder / "model.safetensors").exists():
        words = tokenizer()
        model = _pretrained([example.text for example in load().train], words, steps)
        transformers.utils.logging.disable_progress_bar()
        words.save_pretrained(folder)
        model.save_pretrained(folder)
    return folder


def _pretrained(texts: Sequence[str], words: PreTrainedTokenizerFast, steps: int) -> LlamaForCausalLM:
    """AdamW, linear decay after a warm-up of a tenth."""
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(vocab_size=len(words), pad_token_id=0, bos_token_id=1, eos_token_id=1, **SIZE))
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, betas=(0.9, 0.95))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / (0.1 * steps), 1.0) * (1.0 - step / steps)
    )
    rows = torch.tensor(blocks(words, texts, LENGTH).ids)
    for step in range(steps):
        chosen = rows[draw.permutation(len(rows), "pretraining", step)[:BATCH]]
        optimizer.zero_grad()
        model(input_ids=chosen, labels=chosen).loss.backward()
        optimizer.step()
        schedule.step()
    return model
