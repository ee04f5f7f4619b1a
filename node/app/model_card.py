"""README.md of an adapter folder: what it is, how it came to be, and lines that load it on any machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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
CARD = """\
---
library_name: {library}
base_model: {base}
tags: [{method}, gossip-learning, decentralized]
---
# {kind} for {base}, node {node} of a gossip network

{story}

| | |
|---|---|
{rows}

## Load it

```python
{code}
```
"""

CLASSIFIER = """\
from peft import PeftModel
from transformers import AutoModelForSequenceClassification, AutoTokenizer

labels = {labels}
base = AutoModelForSequenceClassification.from_pretrained(
    "{base}", num_labels=len(labels), id2label=dict(enumerate(labels)), label2id={{l: i for i, l in enumerate(labels)}}
)
model = PeftModel.from_pretrained(base, "{folder}").eval()
tokenizer = AutoTokenizer.from_pretrained("{base}")
logits = model(**tokenizer("some text", return_tensors="pt")).logits
print(labels[logits.argmax(-1).item()])"""

PLAIN = (  # what takes the place of peft's lines where peft does not have the method
    ("from peft import PeftModel", "from safetensors.torch import load_file"),
    (
        'model = PeftModel.from_pretrained(base, "{folder}").eval()',
        'base.load_state_dict(load_file("{folder}/tuned.safetensors"), strict=False)  # peft has no such method\n'
        "model = base.eval()",
    ),
)

LANGUAGE_MODEL = """\
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

base = AutoModelForCausalLM.from_pretrained("{base}")
model = PeftModel.from_pretrained(base, "{folder}").eval()
tokenizer = AutoTokenizer.from_pretrained("{base}")
out = model.generate(**tokenizer("some text", return_tensors="pt"), max_new_tokens=40)
print(tokenizer.decode(out[0]))"""


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
    examples: int  # private ones of this node
    classes: int  # labels among them
    accuracy: float | None
    tested_on: str = "common"  # or "own": whose test set
    method: str = "lora"  # as in the node file


def model_card(facts: CardFacts, folder: str = "adapter") -> str:
    """Markdown with the metadata block that model hubs read.

    Args:
        folder: how the loading lines name the adapter's folder, seen from where they are run.
    """
    story = (
        f"Trained on {facts.examples} private examples, which never left the node, and averaged over {facts.rounds} "
        f"rounds with {_named(facts.neighbours)} of a graph of {facts.nodes} nodes. "
        f"No server took part."
        + (
            " The private parameters were trained here alone, and never left the node."
            * bool(facts.parameters.get("private"))
        )
    )
    rows = {
        "mixing": facts.mixing,
        **({"schedule": facts.schedule} if facts.schedule else {}),
        **{f"{kind} parameters": f"{count:,}" for kind, count in facts.parameters.items() if count},
        "private examples": f"{facts.examples:,}"
        + (f" of {facts.classes} of {len(facts.labels)} labels" if facts.labels else ""),
        f"accuracy on {TEST_SETS[facts.tested_on]}": "not measured"
        if facts.accuracy is None
        else f"{facts.accuracy:.3f}",
    }
    template, plain = CLASSIFIER if facts.labels else LANGUAGE_MODEL, facts.method in ("bias", "head")
    for words, instead in PLAIN if plain else ():
        template = template.replace(words, instead)
    code = template.format(base=facts.base, labels=list(facts.labels), folder=folder)
    table = "\n".join(f"| {key} | {value} |" for key, value in rows.items())
    library, kind = "transformers" if plain else "peft", KINDS[facts.method]
    about = {"base": facts.base, "node": facts.node, "library": library, "method": facts.method, "kind": kind}
    return CARD.format(**about, story=story, rows=table, code=code)


def _named(neighbours: Sequence[str]) -> str:
    """On a schedule that may be everybody."""
    if len(neighbours) > MOST_NAMED:
        return f"{len(neighbours)} neighbours"
    return f"the neighbours {', '.join(neighbours) or '(none)'}"
