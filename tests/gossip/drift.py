"""How far push-sum ends from the true mean: `python -m tests.gossip.drift ROUNDS SEEDS`; docs/experiments.md has it."""

from __future__ import annotations

import sys

import torch

from node.gossip import ledger
from tests.gossip.bus import Bus, always, losing

N = 8
GRAPHS = {
    "ring": [(f"p{i}", f"p{(i + 1) % N}") for i in range(N)],
    "star": [("p0", f"p{i}") for i in range(1, N)],
}


def row(graph: str, loss: float, seed: int, rounds: int) -> str:
    g = torch.Generator().manual_seed(seed)
    start = {f"p{i}": {"theta": torch.randn(50, generator=g)} for i in range(N)}
    mean = torch.stack([x["theta"].double() for x in start.values()]).mean(0)
    bus = Bus(start, GRAPHS[graph], losing(loss, seed) if loss else always)
    for _ in range(rounds):
        bus.step()
        bus.sent = {link: said[-8:] for link, said in bus.sent.items()}
    z = torch.stack([x["theta"].double() for x in bus.shared.values()])
    made = float((bus.total("theta") - N * mean).abs().max()), float(bus.total("w")) - N
    found = f"{bus.spread_to(mean):.1e} | {float((z.mean(0) - mean).abs().max()):.1e} | {made[0]:.1e}, {made[1]:.1e}"
    return f"| {ledger.FULL} | {graph} | {loss} | {seed} | {found} |"


if __name__ == "__main__":
    for full in (ledger.FULL, float("inf")):
        ledger.FULL = full
        for graph in GRAPHS:
            for loss in (0.0, 0.1):
                for seed in range(int(sys.argv[2])):
                    print(row(graph, loss, seed, int(sys.argv[1])), flush=True)
