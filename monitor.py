#!/usr/bin/env python3
"""Watch a network of gossip nodes learn: ./monitor.py HOST:PORT of any node. The same as `gossip top`.

Runs with the packages of .venv beside it (made by `make install`) where the interpreter that started it has none.
"""

import os
import sys
from importlib.util import find_spec

HERE = os.path.dirname(os.path.abspath(__file__))
VENV = os.path.join(HERE, ".venv")
NEEDED = ("grpc", "google.protobuf", "numpy", "rich", "typer")


def has_packages():
    try:
        return sys.version_info >= (3, 11) and all(find_spec(name) is not None for name in NEEDED)
    except ImportError:  # google.protobuf, where there is no google
        return False


def main():
    if has_packages():
        sys.path.insert(0, HERE)
        import typer

        from node.cli.top import top

        typer.run(top)
    python = os.path.join(VENV, "bin", "python")
    if os.path.exists(python) and os.path.realpath(sys.prefix) != os.path.realpath(VENV):
        os.execv(python, [python, os.path.abspath(__file__), *sys.argv[1:]])
    sys.exit(f"monitor.py: needs Python >= 3.11 with {', '.join(NEEDED)}; run `make install` in {HERE} first")


if __name__ == "__main__":
    main()
