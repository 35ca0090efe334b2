# SPDX-License-Identifier: Apache-2.0
"""What a mediator finds of the one before it: test_restart.py MEDIATOR TEST_EXECUTOR"""

import array
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
PUT, END = 1, 3
SESSION, CHANNEL = 1, 2
VERSION_BYTES = 32  # a session's last


def entries_take(pid, path):
    """What the keeper has: packets with their descriptors. It is gone afterwards."""
    entries = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as keeper:
        keeper.connect(path)
        while True:
            data, descriptors, _, _ = socket.recv_fds(keeper, PACKET.size, 8)
            operation, *rest = PACKET.unpack(data)
            if operation != PUT:
                break
            entries.append((rest, descriptors))
    os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: not os.path.exists("/proc/%d" % pid))
    os.unlink(path)
    return entries


def version_replace(blob, count, version):
    assert re.match(rb"[0-9.]+/[0-9]+\0", blob[count - VERSION_BYTES:]), blob
    return blob[:count - VERSION_BYTES] + version.ljust(VERSION_BYTES, b"\0") + blob[count:]


def restart(version, said):
    """The next mediator finds what one of that version (None: its own) has kept, and says so."""
    with Mediator("--keep=30") as first, Device(first.socket, vm_id=5) as device:
        # The driver's probe is over then, and so is what asks for its GPUs' errors.
        first.descriptors_at_rest(children=1)
        pid, = first.children()
        assert device.open(0).kind == harness.READY
        first.stop(signal.SIGKILL)
        path = first.socket + ".keeper"
        entries = entries_take(pid, path)
        assert [rest[0] for rest, _ in entries] == [SESSION, CHANNEL], entries
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
            listener.bind(path)
            listener.listen()
            with Mediator("--keep=30", folder=first.folder, wait=False) as second:
                keeper, _ = listener.accept()
                with keeper:
                    for (kind, count, zero, key, blob), descriptors in entries:
                        if kind == SESSION and version is not None:
                            blob = version_replace(blob, count, version)
                        rights = array.array("i", descriptors)
                        keeper.sendmsg([PACKET.pack(PUT, kind, count, zero, key, blob)],
                                       [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
                        for descriptor in descriptors:
                            os.close(descriptor)
                    keeper.send(PACKET.pack(END, 0, 0, 0, 0, bytes(512)))
                    assert second.wait_log(said), second.log()
                    if version is None:
                        device.ring()
                        assert device.interrupted()
                    else:
                        assert device.is_closed()
                        assert "adopted" not in second.log().replace("not adopted", "")
                    with Device(second.socket, vm_id=6) as other:
                        assert other.open(0).kind == harness.READY
                    second.stop(signal.SIGINT)


def test_same_version():
    restart(None, "adopted 1 connections and 1 executors")


def test_another_version():
    """Its executors' descriptors may be anything; its programs end, and the mediator works."""
    for version in (b"0.1.0", b"0.0.9/2", b""):
        restart(version, "what a mediator of another version has left is not adopted")


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
