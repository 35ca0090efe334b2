# SPDX-License-Identifier: Apache-2.0
"""Ports of TCP for servers of the tests."""
import contextlib
import random
import socket
from pathlib import Path


def free_port():
    """On the loopback, and none that the kernel gives to a client before it is used."""
    first_of_clients = int(Path('/proc/sys/net/ipv4/ip_local_port_range').read_text().split()[0])
    while True:
        port = random.randrange(first_of_clients // 2, first_of_clients)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(('127.0.0.1', port))
            return port
