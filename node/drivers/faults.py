"""A fault plan: what goes wrong, where and when, as plain data.

The same plan runs in the simulator, in virtual time, and as far as the operating system allows on real processes
(`node.app.launching.chaos`): kills and pauses by signal, delay, cuts and partitions by proxies. Only the simulator can
lose, duplicate, reorder or alter single messages: a TCP stream does not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from node.core.messages import Message
from node.errors import ConfigError
from node.types import PeerId


@dataclass(frozen=True, slots=True)
class Kill:
    """SIGKILL, and a new start of the process after a while."""

    peer: PeerId
    at: float  # seconds after the start of the run
    back_after: float | None = None  # seconds; None: never


@dataclass(frozen=True, slots=True)
class Pause:
    """SIGSTOP, and SIGCONT after a while."""

    peer: PeerId
    at: float  # seconds
    seconds: float


@dataclass(frozen=True, slots=True)
class Leaving:
    """The operator ends a node (SIGTERM); it may come back."""

    peer: PeerId
    at: float  # seconds
    back_after: float | None = None  # seconds; None: never


@dataclass(frozen=True, slots=True)
class Partition:
    """Nothing passes between `one` and all others."""

    one: frozenset[PeerId]
    start: float  # seconds
    end: float  # seconds

    def cuts(self, a: PeerId, b: PeerId, now: float) -> bool:
        return self.start <= now < self.end and (a in self.one) != (b in self.one)


@dataclass(frozen=True, slots=True)
class Break:
    """The connection between two neighbours breaks, and can be made again at once."""

    a: PeerId
    b: PeerId
    at: float  # seconds


@dataclass(frozen=True, kw_only=True)
class Faults:
    """How the network and the machines misbehave. Times in seconds after the start of the run, chances a message.

    Raises:
        ConfigError: a chance that is none, or a time before the start.
    """

    loss: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0  # chance to overtake what was sent before
    delay: tuple[float, float] = (0.001, 0.050)  # uniform between
    calm_after: float = float("inf")  # from then on no message is lost, doubled or overtaken
    straggle: Mapping[PeerId, float] = field(default_factory=dict)  # peer -> factor on its training time
    start: Mapping[PeerId, float] = field(default_factory=dict)  # peer -> when its process starts; 0 for the others
    kill: Sequence[Kill] = ()
    pause: Sequence[Pause] = ()
    leave: Sequence[Leaving] = ()
    partition: Sequence[Partition] = ()
    breaks: Sequence[Break] = ()
    cut: Callable[[PeerId, PeerId, float], bool] = lambda a, b, now: False  # messages a -> b vanish
    tamper: Callable[[PeerId, Message], Message] = lambda sender, message: message

    def __post_init__(self) -> None:
        for name in ("loss", "duplicate", "reorder"):
            if not 0.0 <= (value := getattr(self, name)) <= 1.0:
                raise ConfigError(f"fault plan: {name} is {value}, wanted a chance from 0 to 1")
        plans = (self.kill, self.pause, self.leave, self.breaks)
        times = [f.at for plan in plans for f in plan] + [*self.start.values()]
        if times and min(times) < 0:
            raise ConfigError(f"fault plan: something at {min(times)} s, wanted 0 or later")

    def severs(self, a: PeerId, b: PeerId, now: float) -> bool:
        """Whether a message a -> b cannot arrive."""
        return self.cut(a, b, now) or any(p.cuts(a, b, now) for p in self.partition)
