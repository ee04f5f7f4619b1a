"""README.md of an adapter folder: what it is, how it came to be, and lines that load it on any machine.

It opens with the YAML block that model hubs read; what names a folder of this machine is left out of that, since a hub
refuses it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from node.config import EMBEDDED
from node.yaml_files import to_yaml

MOST_NAMED = 8  # neighbours
TEST_SETS = {"common": "the common test set", "own": "the node's own test set"}
KINDS = {
    "lora": "LoRA adapter",
    "rslora": "rsLoRA adapter",
    "ia3": "IA3 adapter",
    "prompt": "Soft prompt",
    "bias": "Biases",
    "head": "Head",
}
PIPELINES = {
    "classification": "text-classification",
    "token_classification": "token-classification",
    "causal_lm": "text-generation",
}
HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
FILE_ENDING = re.compile(r"\.(jsonl?|ndjson|csv|parquet|txt|md|conll)$")
TITLES = {"accuracy": "accuracy", "f1": "F1", "exact_match": "exact match", "perplexity": "perplexity", "loss": "loss"}

CARD = """\
---
{metadata}---
# {what} for {base}, node {node} of a gossip network

{story}

| | |
|---|---|
{rows}

## Load it

```python
{code}
```
"""

OPEN = {
    "classification": (
        "AutoModelForSequenceClassification",
        'logits = model(**tokenizer("some text", return_tensors="pt")).logits\nprint(labels[logits.argmax(-1).item()])',
    ),
    "token_classification": (
        "AutoModelForTokenClassification",
        'logits = model(**tokenizer("some text", return_tensors="pt")).logits\n'
        "print([labels[i] for i in logits[0].argmax(-1).tolist()])",
    ),
    "causal_lm": (
        "AutoModelForCausalLM",
        'out = model.generate(**tokenizer("some text", return_tensors="pt"), max_new_tokens=40)\n'
        "print(tokenizer.decode(out[0]))",
    ),
}
LABELS = "num_labels=len(labels), id2label=dict(enumerate(labels)), label2id={l: i for i, l in enumerate(labels)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CardFacts:
    """What a card tells."""

    base: str  # as somebody on another machine loads it
    node: str
    labels: Sequence[str]  # () for a causal language model
    rounds: int
    nodes: int
    neighbours: Sequence[str]
    mixing: str
    schedule: str  # as in the topology file; empty: the graph stands still
    parameters: Mapping[str, int]  # shared, private and frozen ones
    examples: int | None  # private ones of this node; None: not known
    classes: int  # labels among them
    metrics: Mapping[str, float] = field(default_factory=dict)  # measured at the end: "accuracy", "loss", ...
    tested_on: str = "common"  # or "own": whose test set
    task: str = "classification"
    method: str = "lora"
    datasets: Sequence[str] = ()  # as in the node file
    over_nodes: tuple[float, float, float] | None = None  # accuracy of the worst node, their mean, the best
    merged: bool = False  # the whole model instead of an adapter

    @property
    def is_peft(self) -> bool:
        """Whether peft loads it; biases and heads are the model's own parameters."""
        return not self.merged and self.method not in ("bias", "head")


def model_card(facts: CardFacts, folder: str = "adapter") -> str:
    """Markdown with the metadata block that model hubs read.

    Args:
        folder: how the loading lines name the adapter's folder, seen from where they are run.
    """
    private = "private" if facts.examples is None else f"{facts.examples} private"
    story = (
        f"Trained on {private} examples, which never left the node, and averaged over {facts.rounds} "
        f"rounds with {_named(facts.neighbours)} of a graph of {facts.nodes} nodes. "
        f"No server took part."
        + (
            " The private parameters were trained here alone, and never left the node."
            * bool(facts.parameters.get("private"))
        )
    )
    what = "Merged model" if facts.merged else KINDS.get(facts.method, "Adapter")
    table = "\n".join(f"| {key} | {value} |" for key, value in _rows(facts).items())
    metadata = to_yaml(metadata_of(facts))
    return CARD.format(
        metadata=metadata, what=what, base=facts.base, node=facts.node, story=story, rows=table,
        code=_code(facts, folder),
    )  # fmt: skip


def metadata_of(facts: CardFacts) -> dict[str, Any]:
    """The YAML block: what hubs know the words of."""
    hub_base = HUB_NAME.fullmatch(facts.base) is not None
    datasets = [name for name in facts.datasets if _is_hub_dataset(name)]
    return {
        "library_name": "peft" if facts.is_peft else "transformers",
        **({"base_model": facts.base, "base_model_relation": _relation(facts)} if hub_base else {}),
        "pipeline_tag": PIPELINES[facts.task],
        "tags": [facts.method, "gossip-learning", "decentralized"],
        **({"datasets": datasets} if datasets else {}),
        **({"metrics": list(facts.metrics), "model-index": [_index(facts, datasets)]} if facts.metrics else {}),
    }


def told(measured: Mapping[str, float]) -> dict[str, float]:
    """Of what was measured, the numbers that a card knows a name for, the most telling first."""
    known = {name: measured[name] for name in TITLES if measured.get(name) is not None}
    return {name: float(value) for name, value in known.items() if math.isfinite(value)}


def _relation(facts: CardFacts) -> str:
    return "adapter" if facts.is_peft else "finetune"


def _index(facts: CardFacts, datasets: Sequence[str]) -> dict[str, Any]:
    """What was measured, as leaderboards read it."""
    name = datasets[0] if len(datasets) == 1 else "stdlib-docstrings" if EMBEDDED[1] in facts.datasets else "private"
    results = {
        "task": {"type": PIPELINES[facts.task]},
        "dataset": {"type": name, "name": f"{name} ({TEST_SETS[facts.tested_on]})"},
        "metrics": [
            {"type": key, "value": round(x, 4), "name": TITLES.get(key, key)} for key, x in facts.metrics.items()
        ],
    }
    return {"name": f"{facts.base.rsplit('/', 1)[-1]}-gossip-{facts.node}", "results": [results]}


def _is_hub_dataset(name: str) -> bool:
    return name not in EMBEDDED and HUB_NAME.fullmatch(name) is not None and not FILE_ENDING.search(name)


def _rows(facts: CardFacts) -> dict[str, str]:
    of_labels = f" of {facts.classes} of {len(facts.labels)} labels" if facts.labels and facts.classes else ""
    where = TEST_SETS[facts.tested_on]
    measured = {f"{TITLES.get(key, key)} on {where}": f"{value:.3f}" for key, value in facts.metrics.items()}
    over = facts.over_nodes
    return {
        "graph": f"{facts.nodes} nodes, {_named(facts.neighbours)}",
        "rounds": str(facts.rounds),
        "mixing": facts.mixing,
        **({"schedule": facts.schedule} if facts.schedule else {}),
        **{f"{kind} parameters": f"{count:,}" for kind, count in facts.parameters.items() if count},
        **({} if facts.examples is None else {"private examples": f"{facts.examples:,}{of_labels}"}),
        **(measured or {f"accuracy on {where}": "not measured"}),
        **({"accuracy over the nodes": "worst {:.3f}, mean {:.3f}, best {:.3f}".format(*over)} if over else {}),
    }


def _code(facts: CardFacts, folder: str) -> str:
    """Lines that load it; those who have it in another folder change the name."""
    auto, use = OPEN[facts.task]
    source, labels = (folder if facts.merged else facts.base), bool(facts.labels)
    how = f", {LABELS}" if labels and not facts.merged else ""
    lines = [f"from transformers import {auto}, AutoTokenizer", ""]
    if facts.is_peft:
        lines.insert(0, "from peft import PeftModel")
    elif not facts.merged:
        lines.insert(0, "from safetensors.torch import load_file")
    lines += [f"labels = {list(facts.labels)}"] if labels else []
    lines += [
        f'model = {auto}.from_pretrained(\n    "{source}"{how}\n)'
        if how
        else f'model = {auto}.from_pretrained("{source}")'
    ]
    if facts.is_peft:
        lines += [f'model = PeftModel.from_pretrained(model, "{folder}")']
    elif not facts.merged:
        lines += [f'model.load_state_dict(load_file("{folder}/tuned.safetensors"), strict=False)']
    return "\n".join([*lines, "model.eval()", f'tokenizer = AutoTokenizer.from_pretrained("{source}")', use])


def _named(neighbours: Sequence[str]) -> str:
    """On a schedule that may be everybody."""
    if len(neighbours) > MOST_NAMED:
        return f"{len(neighbours)} neighbours"
    return f"the neighbours {', '.join(neighbours) or '(none)'}"
