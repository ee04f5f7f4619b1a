"""Tiny random models with their own tokenizer, built from a config: seconds, no download."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertTokenizerFast,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

WORDS = [
    *("read", "write", "open", "close", "file", "socket", "send", "receive", "parse", "node", "tree", "date", "number"),
    *("sum", "log", "error", "test", "run", "list", "the", "a", "of", "to", "return", "value", "from", "into", "with"),
    *("each", "new", "old"),
]
LABELS = ("files", "net", "maths")


def save_bert(folder: Path, layers: int = 3) -> Path:
    """A BERT of 16 units and `layers` layers whose dropout is 0.1, as in the real ones."""
    tokenizer = _tokenizer(folder)
    torch.manual_seed(7)
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=layers, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=64,
    )  # fmt: skip
    BertForSequenceClassification(config).bert.save_pretrained(folder)
    return folder


def save_llama(folder: Path) -> Path:
    """A Llama of 16 units and three layers."""
    tokenizer = _tokenizer(folder)
    torch.manual_seed(7)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=3, num_attention_heads=2, num_key_value_heads=1,
        intermediate_size=32, max_position_embeddings=64, pad_token_id=0, bos_token_id=2, eos_token_id=3,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def texts(count: int) -> list[tuple[str, str]]:
    """(text, label): each label has its own words among common ones."""
    own = {"files": WORDS[0:5], "net": WORDS[5:8], "maths": WORDS[11:14]}
    rows = []
    for i in range(count):
        label = LABELS[i % 3]
        words = [WORDS[(7 * i + 3 * k) % len(WORDS)] for k in range(2 + i % 5)] + [own[label][i % len(own[label])]]
        rows.append((" ".join(words), label))
    return rows


def _tokenizer(folder: Path) -> BertTokenizerFast:
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = folder / "vocab.txt"
    vocabulary.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]) + "\n")
    tokenizer = BertTokenizerFast(vocab=str(vocabulary))
    tokenizer.save_pretrained(folder)
    return tokenizer


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """A token a byte, and the special tokens <pad> and </s>; nothing before or after a text."""
    alphabet = sorted(ByteLevel.alphabet())
    vocabulary = {token: number for number, token in enumerate(["<pad>", "</s>", *alphabet])}
    tokenizer = Tokenizer(BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = ByteLevelDecoder()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>")


def save_byte_llama(folder: Path) -> Path:
    """A Llama of 16 units and two layers that reads bytes."""
    tokenizer = byte_tokenizer()
    tokenizer.save_pretrained(folder)
    torch.manual_seed(7)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1,
        intermediate_size=32, max_position_embeddings=256, pad_token_id=0, bos_token_id=1, eos_token_id=1,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder
