"""Rules on matrices: `node.drivers.lockstep` with a W(t) that a test writes down, or draws, as an array.

Also the losses that tell an exact rule from one with a bias: quadratics that differ from peer to peer.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch

from node.drivers.checkpoint import Checkpoint, decode, encode
from node.drivers.lockstep import Arrives, Lockstep
from node.gossip.mixing import Context, Mixing
from node.types import PeerId, Shared, Turn

MatrixOf = Callable[[int], np.ndarray]  # round -> W (n, n)
Train = Callable[[int, torch.Tensor], torch.Tensor]  # place of the peer, theta -> trained


def ids(n: int) -> list[PeerId]:
    return [PeerId(f"p{i:02d}") for i in range(n)]


# ---- W
def ring(n: int) -> np.ndarray:
    """Metropolis weights: 1/3."""
    shift = np.roll(np.eye(n), 1, axis=1)
    return (np.eye(n) + shift + shift.T) / 3


def path(n: int) -> np.ndarray:
    w = np.diag(np.full(n - 1, 1 / 3), 1)
    w = w + w.T
    return w + np.diag(1 - w.sum(1))


def one_peer_exponential(n: int) -> MatrixOf:
    """i hears i + 2^(t mod log2 n), one half each: directed, doubly stochastic."""
    steps = [2**k for k in range(int(np.log2(n)))]
    return lambda t: (np.eye(n) + np.roll(np.eye(n), steps[t % len(steps)], axis=1)) / 2


def random_matching(n: int, seed: int) -> MatrixOf:
    """Pairs that meet half way, drawn anew each round."""

    def matrix(t: int) -> np.ndarray:
        order, w = np.random.default_rng((seed, t)).permutation(n), np.eye(n)
        for i, j in zip(order[::2], order[1::2], strict=False):
            w[i, i] = w[j, j] = w[i, j] = w[j, i] = 0.5
        return w

    return matrix


class Matrices:
    """A graph whose W(t) is an array, the same in all rounds or a function of them."""

    def __init__(self, nodes: list[PeerId], w: MatrixOf | np.ndarray) -> None:
        self.nodes, self._is_static = nodes, not callable(w)
        self._w: MatrixOf = w if callable(w) else lambda t: w
        self._turns = lru_cache(1)(self._turns_of)

    def neighbours(self, peer: PeerId) -> tuple[PeerId, ...]:
        return tuple(p for p in self.nodes if p != peer)

    def turn(self, peer: PeerId, round: int) -> Turn:
        return self._turns(0 if self._is_static else round)[peer]

    def _turns_of(self, round: int) -> Mapping[PeerId, Turn]:
        w, nodes = self._w(round), list(enumerate(self.nodes))
        rows = {p: {q: float(w[i, j]) for j, q in nodes if i == j or w[i, j]} for i, p in nodes}
        return {p: Turn(rows[p], tuple(q for j, q in nodes if i != j and w[j, i])) for i, p in nodes}


# ---- losses
class Quadratics(NamedTuple):
    """f_i(x) = (x - b_i)' A_i (x - b_i) / 2; one local update is `steps` gradient steps."""

    a: np.ndarray  # (n, d, d), eigenvalues in [0.5, 1]
    b: np.ndarray  # (n, d)
    lr: float
    steps: int = 1

    @property
    def optimum(self) -> np.ndarray:
        """Where the gradients of all losses sum to zero."""
        return np.linalg.solve(self.a.sum(0), np.einsum("nij,nj->i", self.a, self.b))

    def update(self, x: np.ndarray) -> np.ndarray:
        """(n, d): what training adds to each row of x (n, d)."""
        y = x.copy()
        for _ in range(self.steps):
            y = y - self.lr * np.einsum("nij,nj->ni", self.a, y - self.b)
        return y - x

    def train(self, i: int, x: torch.Tensor) -> torch.Tensor:
        """The same for one peer, in the precision of x."""
        a, b = torch.from_numpy(self.a[i]).to(x), torch.from_numpy(self.b[i]).to(x)
        for _ in range(self.steps):
            x = x - self.lr * (a @ (x - b))
        return x


def quadratics(n: int, d: int = 5, lr: float = 0.1, seed: int = 0, steps: int = 1, alike: bool = False) -> Quadratics:
    """Optima of the single peers are drawn from N(0, 1), curvatures too; `alike`: the same curvature for all."""
    rng = np.random.default_rng(seed)
    bases = [np.linalg.qr(rng.normal(size=(d, d)))[0] for _ in range(n)]
    a = np.stack([q @ np.diag(rng.uniform(0.5, 1.0, d)) @ q.T for q in bases])
    return Quadratics(np.broadcast_to(a[0], a.shape).copy() if alike else a, rng.normal(size=(n, d)), lr, steps)


# ---- runs
class Rounds(Lockstep):
    """Peers p00, p01, ... on matrices.

    Args:
        rule: of all peers.
        start: (n, ...) in the precision to run in, theta alone or by channel.
        w: W of each round.
    """

    def __init__(
        self,
        rule: Mixing,
        start: np.ndarray | Mapping[str, np.ndarray],
        w: MatrixOf | np.ndarray,
        step: Callable[[PeerId, int, Shared], Shared] | None = None,
    ) -> None:
        channels = start if isinstance(start, Mapping) else {"theta": start}
        names = ids(len(channels["theta"]))
        rows = {p: {name: torch.from_numpy(x[i].copy()) for name, x in channels.items()} for i, p in enumerate(names)}
        super().__init__(Matrices(names, w), rule, rows, step)

    def after(self, rounds: int, train: Train | None = None, arrives: Arrives | None = None) -> np.ndarray:
        """theta (n, ...) when `rounds` more rounds are over."""
        if train is not None:
            self.step = lambda p, round, shared: {**shared, "theta": train(int(p[1:]), shared["theta"])}
        self.arrives = arrives
        self.run(rounds)
        self.step = None if train is not None else self.step
        return self.x

    def stopped_and_resumed(self) -> None:
        """Every rule's state through a checkpoint's bytes."""
        assert self.rule.unpack is not None
        for p, state in self.states.items():
            packed = {"rule": self.rule.pack(state)}
            kept = decode(encode(Checkpoint(0, self.round, self.shared[p], packed))).private
            self.states[p] = self.rule.unpack(kept["rule"])

    def contexts(self) -> dict[PeerId, Context]:
        return {p: self.context(p, 0) for p in self.graph.nodes}

    @property
    def x(self) -> np.ndarray:
        return self.stack("theta")

    def stack(self, channel: str) -> np.ndarray:
        return np.stack([np.asarray(self.shared[p][channel]) for p in self.graph.nodes])


def start_of(n: int, seed: int = 1) -> np.ndarray:
    """(n, 5), standard normal."""
    return np.random.default_rng(seed).normal(size=(n, 5))


def off(x: np.ndarray, optimum: np.ndarray) -> float:
    """The largest distance of any peer to the optimum."""
    return float(np.linalg.norm(x - optimum, axis=1).max())


def spread_of(x: np.ndarray) -> float:
    """Root mean square distance to the mean of the rows."""
    return float(np.sqrt(((x - x.mean(0)) ** 2).sum(1).mean()))


def losing(share: float, seed: int, until: int = 10**9) -> Arrives:
    """Each message of each direction is lost with that chance; none from round `until` on."""
    rng = random.Random(seed)
    return lambda a, b, round, hop: round >= until or rng.random() >= share
