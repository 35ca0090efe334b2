# SPDX-License-Identifier: Apache-2.0
"""The log as a file, and what may fill it: test_log_file.py MEDIATOR TEST_EXECUTOR"""

import errno
import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import harness
from harness import Device, Mediator, Peer, Skip, listens, wait_until


def test_log_injection():
    with Mediator(behaviour="fail") as mediator:
        name = b'evil\n2026-01-01T00:00:00.000Z info Found\x1b[2J" vm_id=99'
        with Device(mediator.socket, name=name) as device:
            assert device.reply.error == harness.ERROR_NONE
            device.open(0)
        with Peer(mediator.socket) as program:
            program.send(harness.client_hello(name=b"\xff\xfe\r\nTotal processed: 1000"))
            program.receive()
        assert mediator.wait_log("closed by the peer", count=1)
        with open(mediator.log_path, "rb") as file:
            lines = file.read().split(b"\n")
        for line in lines[:-1]:
            assert re.match(rb"^20\d\d-\d\d-\d\dT[\d:.]+Z (error|warning|info|debug) [ -~]+$", line), line
        assert not any(line.endswith(b"Total processed: 1000") for line in lines)
        assert not any(b"evil" in line and b'" vm_id=99' in line for line in lines)


def test_log_flood_is_limited():
    with Mediator(behaviour="chatter") as mediator:
        with Device(mediator.socket) as device:
            assert device.open(0).kind == harness.READY
        assert mediator.wait_log("the executor ended")
        lines = mediator.log().count("chatter")
        assert 100 <= lines < 3000, lines
    # A guest that opens and closes without end, and programs that come and go.
    with Mediator() as mediator:
        with Device(mediator.socket, vm_id=2) as device:
            # What a peer may cause: 100 lines and 10 a second of events, 200 and 50 of its executors, as many that say how
            # many were left out.
            start = time.monotonic()
            for number in range(300):
                device.send(harness.channel_message(harness.OPEN, 0, 1), [device.doorbell, device.interrupt])
                # Some come to be executors, others are closed before; starts are paced too.
                if number < 50:
                    assert device.receive().kind == harness.READY
                device.send(harness.channel_message(harness.CLOSE, 0, 1))
                while device.receive().kind != harness.CLOSED:
                    pass
            assert 100 <= mediator.log().count("vm_id=2") < 600 + 120 * (time.monotonic() - start)
        start = time.monotonic()
        for _ in range(500):
            with Peer(mediator.socket) as peer:
                peer.send(b"nonsense")
                peer.is_closed()
        assert mediator.log().count("[SOCKET]") < 300 + 20 * (time.monotonic() - start)
    with Mediator(probe="bad") as mediator, Device(mediator.socket, vm_id=3) as device:
        assert mediator.wait_log("CUDA is not available")
        start = time.monotonic()
        for _ in range(1500):
            assert device.open(0).kind == harness.FAILED
        assert 90 <= mediator.log().count("vm_id=3 channel=0: refused") < 300 + 20 * (time.monotonic() - start)


def test_full_disk():
    full = "/dev/full"
    with Mediator("--heartbeat=1", log=full, wait=False) as mediator:
        assert wait_until(lambda: listens(mediator.socket))
        with Device(mediator.socket) as device:
            assert device.open(0).kind == harness.READY
            device.ring()
            assert device.interrupted()
            assert device.close_channel(0).kind == harness.CLOSED


def test_full_disk_that_is_freed():
    if os.geteuid() != 0:
        raise Skip("needs root, to mount a small file system")
    disk = tempfile.mkdtemp()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], stderr=subprocess.DEVNULL).returncode:
        os.rmdir(disk)
        raise Skip("this machine does not allow to mount")
    try:
        log = os.path.join(disk, "log")
        filler = os.path.join(disk, "filler")
        with Mediator("--heartbeat=1", "--log=" + log, wait=False) as mediator:
            mediator.log_file(log)
            assert mediator.wait_log("Listening on socket")
            with open(filler, "wb", buffering=0) as file:
                try:
                    while True:
                        file.write(b"x" * 512)
                except OSError as error:
                    assert error.errno == errno.ENOSPC
            with Device(mediator.socket) as device:
                for _ in range(20):
                    assert device.open(0).kind == harness.READY
                    assert device.close_channel(0).kind == harness.CLOSED
                mediator.send_signal(signal.SIGUSR1)
                time.sleep(1.2)
                os.unlink(filler)
                assert mediator.wait_log(r"\[LOG\] \d+ lines were lost")
                assert device.open(0).kind == harness.READY
    finally:
        subprocess.run(["umount", disk], check=True)
        os.rmdir(disk)


def test_reader_of_the_log_that_stopped():
    reader, writer = os.pipe()
    with Mediator("--heartbeat=1", log="/proc/self/fd/%d" % writer, wait=False) as mediator:
        assert wait_until(lambda: listens(mediator.socket))
        fcntl.fcntl(writer, fcntl.F_SETFL, os.O_NONBLOCK)
        try:
            while True:
                os.write(writer, b"x" * 4096)
        except BlockingIOError:
            pass
        fcntl.fcntl(writer, fcntl.F_SETFL, 0)
        with Device(mediator.socket) as device:
            assert device.open(0).kind == harness.READY
            device.ring()
            assert device.interrupted()
        assert not fcntl.fcntl(writer, fcntl.F_GETFL) & os.O_NONBLOCK, "the pipe of whoever started us was changed"
    os.close(reader)
    os.close(writer)


def test_log_rotation_and_reload():
    folder = tempfile.mkdtemp()
    log = os.path.join(folder, "mediator.log")
    with Mediator("--log=" + log, wait=False) as mediator:
        mediator.log_file(log)
        assert mediator.wait_log("Listening on socket")
        with Device(mediator.socket) as device:
            assert device.open(0).kind == harness.READY
            os.rename(log, log + ".1")
            with open(mediator.configuration, "w") as file:
                file.write("# a comment\n\nvm-processes-max = 1\nlog-level = debug\n")
            mediator.send_signal(signal.SIGHUP)
            assert wait_until(lambda: os.path.exists(log)) and mediator.wait_log("The configuration was read again")
            beyond = device.open(1)
            assert beyond.kind == harness.FAILED and "limit of 1" in beyond.text
            with open(mediator.configuration, "w") as file:
                file.write("vm-processes-max = 1000\n")
            mediator.send_signal(signal.SIGHUP)
            assert mediator.wait_log(r'mediator.conf:1: "1000" is no value for vm-processes-max')
            assert mediator.wait_log("The configuration stays as it was")
            with open(mediator.configuration, "w") as file:
                file.write("vm-processes-max = 2\nmetrics = foo\n")
            mediator.send_signal(signal.SIGHUP)
            assert mediator.wait_log(r'mediator.conf:2: "foo" is no value for metrics')
            assert mediator.wait_log("The configuration stays as it was", count=2)
            device.close_channel(1)
            assert "limit of 1" in device.open(1).text
            device.ring()
            assert device.interrupted(), "a reload must not touch what runs"
    shutil.rmtree(folder)


if __name__ == "__main__":
    Mediator.program, Mediator.executor = (os.path.abspath(path) for path in sys.argv[1:3])
    sys.exit(harness.run([test for name, test in list(globals().items()) if name.startswith("test_")]))
