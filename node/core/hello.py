"""What two peers must agree on before they mix, and how a difference is put into words."""

from __future__ import annotations

from node.core.messages import Hello
from node.errors import Incompatible
from node.types import PeerId

# What a digest stands for -> where the user changes it. The order is the order of the report.
PLACES = {
    "base_model": "base_model in the node file",
    "adapter": "lora (r, alpha, target_modules, layers, freeze) and gossip.share in the node file",
    "labels": "labels in the node file (the order counts)",
    "tokenizer": "the tokenizer in the base_model folder",
    "schema": "lora and gossip.share in the node file",
    "initial": "seed and lora.freeze in the node file (common initial values)",
    "mixing": "gossip.mixing and gossip.moments in the node file",
    "code": "the module that gossip.mixing names: the same file on all nodes",
    "topology": "the topology file (ids, edges, weights, schedule)",
    "joins": "gossip.joins in the node file",
}


def compare(ours: Hello, theirs: Hello, expected: PeerId) -> None:
    """Raises Incompatible, naming both values and where to change them, unless the two can mix."""
    if theirs.node != expected:
        raise Incompatible(f"it says it is {theirs.node}, expected {expected}: check addresses in the topology file")
    if theirs.version[0] != ours.version[0]:
        raise Incompatible(
            f"{theirs.node} speaks protocol {_dotted(theirs)}, {ours.node} speaks {_dotted(ours)}: upgrade one of them"
        )
    for name in sorted(set(ours.digests) | set(theirs.digests), key=_rank):
        mine, other = ours.digests.get(name, "nothing"), theirs.digests.get(name, "nothing")
        if mine != other:
            place = PLACES.get(name, name)
            values = f"{theirs.node} has {_short(other)}, {ours.node} has {_short(mine)}"
            raise Incompatible(f"{name} differs: {values}; see {place}")


def _short(digest: str) -> str:
    return digest[:12] if len(digest) == 64 else digest


def _dotted(hello: Hello) -> str:
    return ".".join(map(str, hello.version))


def _rank(name: str) -> tuple[int, str]:
    return (list(PLACES).index(name) if name in PLACES else len(PLACES), name)
