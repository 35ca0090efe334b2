# SPDX-License-Identifier: Apache-2.0
"""What a mediator finds of the one before it: test_restart.py MEDIATOR TEST_EXECUTOR"""

import contextlib
import os
import re
import signal
import socket
import struct
import sys
import time

import harness
from harness import Device, Mediator, wait_until

# struct packet of host/mediator/keeper.c
PACKET = struct.Struct("=IIIIQ512s")
PUT = 1
SESSION = 1
VERSION_BYTES = 32  # a session's last


def version_change(path, version):
    """Of the session that the keeper has: one of a mediator of that version."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as keeper:
        keeper.connect(path)
        sessions = []
        while True:
            data, descriptors, _, _ = socket.recv_fds(keeper, PACKET.size, 8)
            operation, kind, count, zero, key, blob = PACKET.unpack(data)
            if operation != PUT:
                break
            if kind == SESSION:
                assert re.match(rb"[0-9.]+/[0-9]+\0", blob[count - VERSION_BYTES:]), blob
                blob = blob[:count - VERSION_BYTES] + version.ljust(VERSION_BYTES, b"\0") + blob[count:]
                sessions.append((PACKET.pack(PUT, kind, count, zero, key, blob), os.dup(descriptors[0])))
            for descriptor in descriptors:
                os.close(descriptor)
        (packet, descriptor), = sessions
        socket.send_fds(keeper, [packet], [descriptor])
        os.close(descriptor)


def other_version(version):
    """What a mediator of another version has left is not looked at: it ends, and is not in the way of the next."""
    with Mediator("--keep=30") as first, Device(first.socket, vm_id=5) as device:
        assert device.open(0).kind == harness.READY
        executor, = first.executors()
        first.stop(signal.SIGKILL)
        version_change(first.socket + ".keeper", version)
        with Mediator("--keep=30", folder=first.folder) as second:
            assert second.wait_log("what a mediator of another version has left is not adopted"), second.log()
            assert device.is_closed()
            assert wait_until(lambda: not os.path.exists("/proc/%d" % executor)), "its executor lives"
            with Device(second.socket, vm_id=5) as again:
                assert again.open(0).kind == harness.READY
                second.stop(signal.SIGKILL)
                with Mediator("--keep=30", folder=first.folder) as third:
                    assert third.wait_log("adopted 1 connections and 1 executors"), third.log()
                    again.ring()
                    assert again.interrupted()
                    third.stop(signal.SIGINT)


def test_another_version():
    for version in (b"0.1.0", b"0.0.9/2", b""):
        other_version(version)


def test_restart_keeps_a_device():
    with Mediator("--keep=30") as first, Device(first.socket, vm_id=5) as device:
        assert device.open(0).kind == harness.READY
        device.ring()
        assert device.interrupted()
        first.stop(signal.SIGKILL)
        # Nobody is there, and it works.
        device.ring()
        assert device.interrupted()
        with Mediator("--keep=30", folder=first.folder) as second:
            assert second.wait_log("adopted 1 connections and 1 executors")
            device.ring()
            assert device.interrupted()
            # The device opens and closes channels as if nothing had been, and its identity is still taken.
            assert device.open(1).kind == harness.READY
            with Device(second.socket, vm_id=5) as other:
                assert other.reply.error == harness.ERROR_REFUSED
            assert device.close_channel(0).kind == harness.CLOSED
            assert device.close_channel(1).kind == harness.CLOSED
            assert device.open(0).kind == harness.READY
            second.stop(signal.SIGINT)
            assert device.is_closed()


def test_restart_at_once_keeps_a_device():
    """The keeper has not yet heard of the channel, nor of the first mediator's end, when the second one comes."""
    with Mediator("--keep=30") as first, Device(first.socket, vm_id=5) as device:
        # The driver's probe is over then.
        first.descriptors_at_rest(children=1)
        keeper, = first.children()
        os.kill(keeper, signal.SIGSTOP)
        try:
            assert device.open(0).kind == harness.READY
            first.stop(signal.SIGKILL)
            with Mediator("--keep=30", folder=first.folder, wait=False) as second:
                time.sleep(0.5)
                os.kill(keeper, signal.SIGCONT)
                assert second.wait_log("adopted 1 connections and 1 executors")
                device.ring()
                assert device.interrupted()
                second.stop(signal.SIGINT)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(keeper, signal.SIGCONT)


if __name__ == "__main__":
    Mediator.program, Mediator.executor = (os.path.abspath(path) for path in sys.argv[1:3])
    sys.exit(harness.run([test for name, test in list(globals().items()) if name.startswith("test_")]))
