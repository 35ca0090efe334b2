# SPDX-License-Identifier: Apache-2.0
"""Executors that fail, or do not end, and how they are started: test_executors.py MEDIATOR TEST_EXECUTOR"""

import os
import signal
import sys
import time

import harness
from harness import Device, Mediator, Peer, wait_until


def test_executor_surroundings():
    leaked = os.open("/dev/null", os.O_RDONLY)
    with Mediator(environment={"LD_PRELOAD": ""}, pass_fds=[leaked]) as mediator, Device(mediator.socket) as device:
        assert device.open(0).kind == harness.READY
        assert mediator.wait_log(r"surroundings: extra_fds=0 core=0 personality=200000 group_leader=1 preload=no")
        assert mediator.wait_log(r"vm_id=1 channel=0: \[cuda-executor\] cuMemAlloc: allocating 4096 bytes")
    os.close(leaked)


def test_executor_fails():
    cases = (("fail", harness.ERROR_NO_DRIVER, "a reason?with a second line"),
             ("crash", harness.ERROR_EXECUTOR_DIED, "signal 11"),
             ("silent", harness.ERROR_START_TIMEOUT, "in time"))
    for behaviour, error, text in cases:
        patience = 1 if behaviour == "silent" else 30
        with Mediator("--executor-start-timeout=%d" % patience, behaviour=behaviour) as mediator:
            with Device(mediator.socket) as device:
                answer = device.open(1)
                assert (answer.kind, answer.channel, answer.error) == (harness.FAILED, 1, error), answer.text
                assert text in answer.text, answer.text
                assert device.close_channel(1).kind == harness.CLOSED
                # The driver may be looked at again.
                assert wait_until(lambda: mediator.children() == [])
            with Peer(mediator.socket) as program:
                program.send(harness.client_hello())
                reply = program.receive()
                assert (reply.kind, reply.error) == (harness.HELLO_REPLY, error) and text in reply.text, reply.text
                assert program.is_closed()


def test_executor_is_lost():
    for behaviour, error, text in (("die", harness.ERROR_EXECUTOR_DIED, "signal 6"),
                                   ("fault", harness.ERROR_PROTOCOL, "longer than the ring"),
                                   ("host-fault", harness.ERROR_EXECUTOR_DIED, "no memory for replies"),
                                   # What is not its to say.
                                   ("fault-10", harness.ERROR_EXECUTOR_DIED, "as a relay says it"),
                                   ("fault-11", harness.ERROR_EXECUTOR_DIED, "as a relay says it"),
                                   ("fault-12", harness.ERROR_EXECUTOR_DIED, "as a relay says it"),
                                   ("fault-13", harness.ERROR_EXECUTOR_DIED, "as a relay says it")):
        with Mediator(behaviour=behaviour) as mediator, Device(mediator.socket) as device:
            assert device.open(0).kind == harness.READY
            device.ring()
            lost = device.receive()
            assert (lost.kind, lost.channel, lost.error) == (harness.LOST, 0, error), (lost.kind, lost.text)
            assert text in lost.text, lost.text
            assert device.close_channel(0).kind == harness.CLOSED
            assert device.open(0).kind == harness.READY
            assert "CGROUP" not in mediator.log()


def test_executor_that_left_its_group_is_killed():
    with Mediator("--executor-stop-timeout=1", behaviour="leaver") as mediator, Device(mediator.socket) as device:
        assert device.open(0).kind == harness.READY
        assert device.close_channel(0).kind == harness.CLOSED
        assert mediator.children() == []


def test_starts_are_paced():
    """A guest that opens and closes in a loop is delayed, not refused; others are not."""
    at_once, per_second, starts = 64, 20, 104
    with Mediator() as mediator, Device(mediator.socket, vm_id=1) as busy, Device(mediator.socket, vm_id=2) as other:
        begin = time.monotonic()
        for _ in range(starts):
            assert busy.open(0).kind == harness.READY
            assert busy.close_channel(0).kind == harness.CLOSED
        elapsed = time.monotonic() - begin
        assert starts <= at_once + per_second * elapsed + 1, elapsed
        # One that waits for its turn can be closed, and costs nothing.
        busy.open_send(0)
        busy.open_send(1)
        assert busy.close_channel(1).kind in (harness.READY, harness.CLOSED)
        begin = time.monotonic()
        for _ in range(10):
            assert other.open(0).kind == harness.READY
            assert other.close_channel(0).kind == harness.CLOSED
        assert wait_until(lambda: len(mediator.children()) <= 1)


def test_executor_killed_beside_others():
    with Mediator() as mediator, Device(mediator.socket, vm_id=1) as one, Device(mediator.socket, vm_id=2) as two:
        assert one.open(0).kind == harness.READY
        victim, = mediator.executors()
        assert two.open(0).kind == harness.READY
        os.kill(victim, signal.SIGKILL)
        lost = one.receive()
        assert lost.kind == harness.LOST and "signal 9" in lost.text
        two.ring()
        assert two.interrupted()


if __name__ == "__main__":
    Mediator.program, Mediator.executor = (os.path.abspath(path) for path in sys.argv[1:3])
    sys.exit(harness.run([test for name, test in list(globals().items()) if name.startswith("test_")]))
