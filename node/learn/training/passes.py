"""Forward passes over indexed texts: from the prefix cache where there is one, through the whole model where not.

Decides nothing about training. A `Reader` ties an adapter to some texts; several readers may share one adapter.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from node.learn.model.adapter import Adapter
from node.learn.model.prefix import Remembered
from node.learn.reading.texts import Texts
from node.learn.training.metrics import counts_for
from node.learn.training.objective import cross_entropy


class Reader:
    """Loss and hits of an adapted model on some texts."""

    def __init__(self, adapter: Adapter, texts: Texts, remembered: Remembered | None) -> None:
        self.adapter = adapter
        self.texts = texts
        self.remembered = remembered

    def logits(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        """logits (b, c) with labels (b,), or (b, t, vocabulary) with next tokens (b, t)."""
        device = self.adapter.theta.device
        batch = self.texts.batch(indices).to(device)
        if self.remembered is not None and self.adapter.prefix is not None:
            out = self.adapter.prefix.replay(batch, self.remembered.hidden(indices))
        else:
            out = self.adapter.model(**batch.inputs(), use_cache=False)
        logits = out.logits if out.logits.dim() == 2 else out.logits[:, -batch.ids.shape[1] :]  # virtual tokens, if any
        return logits.float(), batch.targets

    def measure(
        self, indices: Sequence[int] | None = None, size: int = 64, check: Callable[[], None] = lambda: None
    ) -> dict[str, float]:
        """The metrics of the task (see `node.learn.training.metrics`) over these texts (all of them by default).

        In batches of like length; `check` is called between them and may raise.
        """
        counts = counts_for(self.adapter.base.task, self.adapter.base.labels)
        with torch.no_grad():
            for group in self.texts.by_length(size, indices):
                check()
                logits, targets = self.logits(group)
                counts.add(logits.argmax(-1), targets, float(cross_entropy(logits, targets, reduction="sum")))
        return counts.values()

    def answers(
        self, most: int, indices: Sequence[int] | None = None, check: Callable[[], None] = lambda: None
    ) -> dict[str, float]:
        """{"exact_match"}: the share of the first `most` questions in these rows that are answered word for word.

        Answers are greedy, and white space around them does not count. {} where there are no questions.
        """
        rows = None if indices is None else set(indices)
        asked = [q for q in self.texts.questions if rows is None or q.row in rows][:most]
        hits = 0
        for question in asked:
            check()
            hits += self.said(question.prompt, question.most).strip() == question.answer.strip()
        return {"exact_match": hits / len(asked)} if asked else {}

    def said(self, prompt: Sequence[int], most: int) -> str:
        """The greedy continuation of these tokens, of `most` tokens at most."""
        adapter, tokenizer = self.adapter, self.adapter.base.tokenizer
        ids = torch.tensor([list(prompt)], device=adapter.theta.device)
        with torch.no_grad(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Position ids are not supported")  # peft's prompts; it counts on anyway
            out = adapter.model.generate(
                input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=most, do_sample=False,
                pad_token_id=tokenizer.pad_token_id,
            )  # fmt: skip
        return str(tokenizer.decode(out[0, len(prompt) :], skip_special_tokens=True))
