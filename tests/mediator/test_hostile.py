# SPDX-License-Identifier: Apache-2.0
"""Executors that were taken over, and what they do to the mediator: test_hostile.py MEDIATOR TEST_EXECUTOR"""

import os
import sys
import time

import harness
from harness import Device, Mediator, Skip, wait_until

TICKS = os.sysconf("SC_CLK_TCK")


def processor_seconds(pid):
    with open("/proc/%d/stat" % pid) as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def served(mediator, vm_id):
    """Another VM's programs come and go."""
    with Device(mediator.socket, vm_id=vm_id) as device:
        for _ in range(3):
            assert device.open(0).kind == harness.READY
            assert device.close_channel(0).kind == harness.CLOSED


def blocked(behaviour):
    """What an executor does to its descriptors stops neither the mediator nor the keeper."""
    with Mediator("--keep=30", behaviour=behaviour) as mediator:
        with Device(mediator.socket, vm_id=1) as hostile:
            assert hostile.open(0).kind == harness.READY
            assert mediator.wait_log("has done its worst|no userfaultfd: ")
            lacking = harness.re.search("no userfaultfd: .*", mediator.log())
            if lacking:
                mediator.stop(harness.signal.SIGINT)
                raise Skip(lacking.group())
            served(mediator, 2)
            mediator.stop()
            with Mediator("--keep=30", folder=mediator.folder) as successor:
                assert successor.wait_log("adopted 1 connections and 1 executors")
                served(successor, 3)
                assert hostile.close_channel(0).kind == harness.CLOSED
                served(successor, 4)
                successor.send_signal(harness.signal.SIGINT)
                successor.process.wait(harness.PATIENCE)


def test_descriptors_that_wait():
    for behaviour in ("block-wake", "block-bell"):
        blocked(behaviour)


def test_log_that_waits():
    blocked("block-log")


def test_bell_all_the_time():
    """Whoever rings without end keeps himself busy, and others are served."""
    with Mediator(behaviour="ring") as mediator, Device(mediator.socket, vm_id=1) as hostile:
        assert hostile.open(0).kind == harness.READY
        executor, = mediator.executors()
        before, begun = (processor_seconds(mediator.pid), processor_seconds(executor)), time.monotonic()
        assert wait_until(lambda: processor_seconds(executor) - before[1] >= 2)
        used = processor_seconds(mediator.pid) - before[0], processor_seconds(executor) - before[1]
        # The mediator's pace is one in time, of which the executor has only a part where others want processors too.
        assert used[0] < max(used[1], time.monotonic() - begun) / 8, (used, time.monotonic() - begun)
        served(mediator, 2)


def test_questions_all_the_time():
    """The same for questions on the control socket: they are answered, at the mediator's pace."""
    with Mediator("--heartbeat=1", behaviour="ask") as mediator, Device(mediator.socket, vm_id=1) as hostile:
        assert hostile.open(0).kind == harness.READY

        def processed():
            return max([0] + [int(count) for count in harness.re.findall(r"Total processed: (\d+)", mediator.log())])

        assert wait_until(lambda: processed() > 0)
        before, begun = processed(), time.monotonic()
        assert wait_until(lambda: time.monotonic() - begun > 3 and processed() > before)
        # 128 in 10 ms, and a heartbeat's worth that was not in the log yet.
        assert processed() - before <= 12800 * (time.monotonic() - begun + 1), processed() - before
        served(mediator, 2)


def test_descriptor_that_nobody_wants():
    with Mediator(behaviour="stowaway") as mediator, Device(mediator.socket, vm_id=1) as hostile:
        assert hostile.open(0).kind == harness.READY
        before = mediator.descriptors_at_rest(children=1)
        hostile.ring()
        assert hostile.receive().kind == harness.LOST
        assert mediator.wait_log("descriptors that nobody asked for")
        assert wait_until(lambda: mediator.descriptors() < before), (before, mediator.descriptors())
        served(mediator, 2)


Mediator.program, Mediator.executor = sys.argv[1:3]
sys.exit(harness.run([value for name, value in list(globals().items()) if name.startswith("test_")]))
