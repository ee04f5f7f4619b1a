"""Two hosts on one machine: network namespaces joined by a cable, one of them behind a firewall that lets nobody in.

Wants root, `ip netns` and `iptables`; who lacks one of them gets `NotHere` with the reason.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.lab import GOSSIP, Done, Lab, Running

FIREWALL = ("-P INPUT DROP", "-A INPUT -i lo -j ACCEPT", "-A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT")
ESTABLISHED, LOOPBACK = "01", "0100007F"  # in /proc/PID/net/tcp and tcp6


class NotHere(Exception):
    """Network namespaces cannot be had on this machine; the text says why."""


class Host:
    """A network namespace and what was started in it.

    Args:
        name: of the namespace, and of the host.
        address: of its end of the cable.
        lab: its disk.
    """

    def __init__(self, name: str, address: str, lab: Lab) -> None:
        self.name, self.address, self.lab = name, address, lab
        self._inside = ("ip", "netns", "exec", name)

    def start(self, *arguments: str) -> Running:
        """`gossip ARGUMENTS` on this host."""
        return self.lab.launch([*self._inside, sys.executable, "-c", GOSSIP, *arguments])

    def gossip(self, *arguments: str) -> Done:
        return self.start(*arguments).end()

    def run(self, *command: str) -> str:
        """A command on this host, to its end."""
        return call(*self._inside, *command)

    def plug(self, into: bool) -> None:
        """Its end of the cable, in or out."""
        self.run("ip", "link", "set", "eth0", "up" if into else "down")

    def connections(self, pid: int) -> set[tuple[int, int]]:
        """(local port, remote port) of what stands over the cable."""
        tables = [Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:] for table in ("tcp", "tcp6")]
        rows = [line.split() for table in tables for line in table]
        standing = [(row[1].split(":"), row[2].split(":")) for row in rows if row[3] == ESTABLISHED]
        return {(int(here[1], 16), int(there[1], 16)) for here, there in standing if not there[0].endswith(LOOPBACK)}


class Cable:
    """Hosts A and B with 10.77.0.1 and 10.77.0.2; nobody can open a connection to B.

    Raises:
        NotHere: not root, no `ip netns`, no `iptables`, or no right to use them.
    """

    def __init__(self, a: Lab, b: Lab) -> None:
        names = [f"gossip-{os.getpid()}-{end}" for end in "ab"]
        self.a, self.b = (Host(n, f"10.77.0.{i}", lab) for i, (n, lab) in enumerate(zip(names, (a, b), strict=True), 1))
        if os.geteuid() != 0:
            raise NotHere("network namespaces want root")
        for program in ("ip", "iptables"):
            if shutil.which(program) is None:
                raise NotHere(f"{program} is not installed")
        try:
            self._lay()
        except subprocess.CalledProcessError as error:
            self.close()
            raise NotHere(f"{' '.join(error.cmd)}: {error.stderr.strip()}") from None

    def _lay(self) -> None:
        for host in (self.a, self.b):
            call("ip", "netns", "add", host.name)
        call(*f"ip link add eth0 netns {self.a.name} type veth peer name eth0 netns {self.b.name}".split())
        for host in (self.a, self.b):
            host.run("ip", "address", "add", f"{host.address}/24", "dev", "eth0")
            for link in ("lo", "eth0"):
                host.run("ip", "link", "set", link, "up")
        for rule in FIREWALL:
            self.b.run("iptables", *rule.split())

    def close(self) -> None:
        """End what was started on the hosts, and take them down."""
        for host in (self.a, self.b):
            host.lab.close()
            subprocess.run(("ip", "netns", "delete", host.name), capture_output=True, check=False)


def call(*command: str) -> str:
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout
