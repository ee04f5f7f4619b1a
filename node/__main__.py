"""`python -m node` is the command `gossip`."""

from node.cli.main import main

main()
