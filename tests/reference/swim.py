"""Which of two messages about one node SWIM believes: Das, Gupta, Motivala 2002, section 4.2, case by case."""

from __future__ import annotations

from node.core.messages import Rumour


def overrides(new: Rumour, old: Rumour) -> bool:
    """Difference: a process that starts again is another node to the paper, and a later epoch here; `left` is a
    confirmation that comes from the node itself; and a confirmed failure can be refuted (the paper removes the node).
    """
    if new.epoch != old.epoch:
        return new.epoch > old.epoch
    i, j = new.incarnation, old.incarnation
    match new.state, old.state:
        case "alive", _:  # {Alive, inc = i} overrides {Suspect, inc = j}, i > j and {Alive, inc = j}, i > j
            return i > j
        case "suspect", "suspect":  # {Suspect, inc = i} overrides {Suspect, inc = j}, i > j
            return i > j
        case "suspect", "alive":  # and {Alive, inc = j}, i >= j
            return i >= j
        case "dead", (
            "alive" | "suspect"
        ):  # {Confirm} overrides both, whatever inc; here: of this incarnation or later
            return i >= j
        case "left", ("alive" | "suspect" | "dead"):
            return i >= j
    return i > j
