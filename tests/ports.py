# SPDX-License-Identifier: Apache-2.0
"""Ports of TCP for servers of the tests."""
import contextlib
import random
import socket
from pathlib import Path


def free_port():
    """On the loopback, and none that the kernel gives to a client before it is used."""
    first_of_clients = int(Path('/proc/sys/net/ipv4/ip_local_port_range').read_text().split()[0])
    for _ in range(1000):
        port = random.randrange(max(1024, first_of_clients // 2), max(first_of_clients, 2048))
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(('127.0.0.1', port))
            return port
    raise OSError('no port is free')
