"""A causal language model over bytes, four private corpora: who gossips knows all four better than who is alone.

Plays, requests to a bank, requests to a voice assistant, instructions with their answers: a node each, on a ring of
four. The model is a small Llama over bytes, pretrained on a fifth corpus. A node is measured on held-out text of each
corpus and on all four together (as many bytes of each); isolated ones take as many steps on their own texts, with plain
AdamW. With 60 kB of its own a node alone fits that better than a model for all; with 3 kB it learns them by heart, so
there it is also stopped at the best of STOPS, by the test texts.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from statistics import fmean
from typing import Literal, TypeAlias

from _figures import Figure, at_most

from _learning.byte_model import LENGTH, foundation
from _learning.data import clinc, folder, place, snips, written
from _learning.network import Setting
from _learning.tables import seeds, several
from node.app import learners
from node.app.rules.fit import fitted
from node.app.settings import learn_settings
from node.app.simulating.together import Together
from node.app.warm import Warm
from node.learn.prepare import Prepared, open_model, prepare
from node.learn.reading.encode import encode
from node.learn.reading.examples import NO_LABEL, Example
from node.learn.training.passes import Reader
from node.types import PeerId, Vector

PLENTY, FEW = "60 kB a node", "3 kB a node"
SIZES = {PLENTY: 60_000, FEW: 3_000}  # bytes to train on, of each corpus
TEST = 6_000  # bytes of each corpus
STOPS = (5, 10, 20)  # rounds after which a lone node may have been at its best
CORPORA = ("plays", "bank", "voice", "tasks")
UNIT = "perplexity a byte"
Perplexities = Mapping[str, float]  # corpus -> perplexity, and "all" over the four
Whose: TypeAlias = Literal["all", "own", "others"]


def rows(quick: bool) -> list[Figure]:
    base = _untrained(_setting(0, quick, PLENTY))
    return [
        Figure("causal LM, four corpora: pretrained model, on all four", base["all"], UNIT),
        *(figure for size in ((PLENTY,) if quick else SIZES) for figure in _sized(size, quick)),
    ]


def _sized(size: str, quick: bool) -> list[Figure]:
    settings = [_setting(seed, quick, size) for seed in seeds(quick)]
    alone, ours = [_isolated(s) for s in settings], [_gossip(s) for s in settings]
    head = f"causal LM, four corpora, {size}"
    figures = [
        *_nodes(f"{head}: isolated, on all four", [[node["all"] for node in seed] for seed in alone]),
        *_nodes(f"{head}: gossip, on all four", [[node["all"] for node in seed] for seed in ours]),
        at_most(f"{head}: gossip / isolated on all four, worst node", _worst(ours, alone, "all"), "ratio", 1.0),
        at_most(
            f"{head}: gossip / isolated on others' corpora, worst pair", _worst(ours, alone, "others"), "ratio", 1.0
        ),
        at_most(f"{head}: gossip / isolated on the own corpus, worst node", _worst(ours, alone, "own"), "ratio", 1.0),
        *(_own(head, name, k, alone, ours) for k, name in enumerate(CORPORA)),
    ]
    if size == PLENTY:  # there a lone node still gains at the end
        return figures
    stopped = [_stopped(s, seed) for s, seed in zip(settings, alone, strict=True)]
    name = f"{head}: gossip / isolated on the own corpus, stopped at its best, worst node"
    return [*figures, Figure(name, _worst(ours, stopped, "own"), "ratio")]


def _worst(ours: Sequence[Sequence[Perplexities]], alone: Sequence[Sequence[Perplexities]], whose: Whose) -> float:
    """The largest ratio over seeds and nodes: on all four together, on the node's own corpus, or on the others'."""
    found = []
    for us, them in zip(ours, alone, strict=True):
        for k, (o, a) in enumerate(zip(us, them, strict=True)):
            others = [name for name in CORPORA if name != CORPORA[k]]
            names = {"all": ["all"], "own": [CORPORA[k]], "others": others}[whose]
            found += [o[name] / a[name] for name in names]
    return max(found)


def _stopped(setting: Setting, whole: Sequence[Perplexities]) -> list[Perplexities]:
    """Lone nodes of fewer rounds, each where it was best on its own corpus."""
    tries = [*(_isolated(replace(setting, rounds=rounds)) for rounds in STOPS), whole]
    return [min((nodes[k] for nodes in tries), key=lambda found: found[CORPORA[k]]) for k in range(setting.nodes)]


def _nodes(name: str, found: Sequence[Sequence[float]]) -> list[Figure]:
    """Mean over nodes and seeds, worst node, spread; of a perplexity the largest is the worst."""
    return [
        several(name, [fmean(seed) for seed in found], UNIT),
        Figure(f"{name}: worst node", max(map(max, found)), UNIT),
        Figure(f"{name}: worst node minus best", fmean(max(seed) - min(seed) for seed in found), UNIT),
    ]


def _own(
    head: str, name: str, k: int, alone: Sequence[Sequence[Perplexities]], ours: Sequence[Sequence[Perplexities]]
) -> Figure:
    """What a node gives up, or wins, on the corpus that is its own."""
    ratio = [us[k][name] / them[k][name] for us, them in zip(ours, alone, strict=True)]
    return several(f"{head}: gossip / isolated on the node's own {name}", ratio, "ratio")


def _setting(seed: int, quick: bool, size: str) -> Setting:
    """Four nodes on a ring, K = 4; every node has a file of its own."""
    _write(SIZES[size])
    more = {
        "task": "causal_lm",
        "datasets": [{"path": str(place() / f"causal-{SIZES[size]}-{{id}}.jsonl")}],
        "test_datasets": [{"path": str(place() / "causal-test.jsonl")}],
    }
    return Setting(
        data="docstrings",
        nodes=4,
        rounds=12 if quick else 40,
        learning_rate=5e-3,
        batch=8,
        partition={"by": "none"},
        lora={"r": 8, "alpha": 16.0, "target_modules": "all-linear"},
        base=str(foundation(150 if quick else 600)),
        sequence_len=LENGTH,
        seed=seed,
        more=more,
    )


@lru_cache
def _write(size: int) -> None:
    """causal-SIZE-n0.jsonl ... and the test texts of all."""
    for k, name in enumerate(CORPORA):
        written(f"causal-{size}-n{k}", ({"text": text} for text in _first(_split(name)[0], size)))
    written("causal-test", ({"text": text} for name in CORPORA for text in _split(name)[1]))


@lru_cache
def _split(name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Texts to train on, and to test on of TEST bytes."""
    texts = [text for text in _texts(name) if text.strip()]
    test = _first(texts[::10], TEST)
    held = set(test)
    return tuple(text for text in texts if text not in held), test


def _first(texts: Sequence[str], size: int) -> tuple[str, ...]:
    taken, left = [], size
    for text in texts:
        if left <= 0:
            break
        taken.append(text)
        left -= len(text.encode())
    return tuple(taken)


def _texts(name: str) -> list[str]:
    if name == "plays":  # a speech a text
        return (folder() / "tinyshakespeare" / "input.txt").read_text().split("\n\n")
    if name == "bank":
        return [row["text"] for row in clinc("train") if row["domain"] in ("banking", "credit_cards")]
    if name == "voice":
        return [row["text"] for row in snips("train")][::7]
    tasks = map(json.loads, (folder() / "self_instruct_seed" / "seed_tasks.jsonl").read_text().splitlines())
    return [f"{task['instruction']}\n{one['input']}\n{one['output']}" for task in tasks for one in task["instances"]]


def _gossip(setting: Setting) -> list[Perplexities]:
    """Of each node's own model, after the last round."""
    config, topology, _ = fitted(setting.config(), setting.topology())
    settings = learn_settings(config)
    together = Together(Warm(config, topology, settings, open_model(settings), None))
    final = together.run().final
    nodes = (together.learners[peer] for peer in topology.nodes)
    return [_measured(one, one.trainer.whole(final[peer])) for one, peer in zip(nodes, topology.nodes, strict=True)]


def _isolated(setting: Setting) -> list[Perplexities]:
    nodes = (_alone(setting, index) for index in range(setting.nodes))
    return [_measured(one, learners.trained(one, setting.rounds)) for one in nodes]


def _untrained(setting: Setting) -> Perplexities:
    one = _alone(setting, 0)
    return _measured(one, one.trainer.whole(one.shared))


def _alone(setting: Setting, index: int) -> Prepared:
    """Plain AdamW: a delayed gradient only helps those who mix."""
    settings = learn_settings(setting.config())
    bench = learners.Bench(settings, open_model(settings), None, setting.rounds)
    peer: PeerId = setting.topology().nodes[index]
    return prepare(bench.plain(), bench.base, peer=peer, index=index, nodes=setting.nodes)


def _measured(one: Prepared, theta: Vector) -> Perplexities:
    """On the held-out text of each corpus; "all": of all their bytes together."""
    adapter = one.adapter
    found = {}
    with adapter.lock:
        adapter.theta.copy_(theta)
        for name in CORPORA:
            examples = [Example(text, NO_LABEL) for text in _split(name)[1]]
            found[name] = Reader(adapter, encode(adapter.base.tokenizer, examples, LENGTH), None).measure()["loss"]
    return {name: math.exp(loss) for name, loss in {**found, "all": fmean(found.values())}.items()}
