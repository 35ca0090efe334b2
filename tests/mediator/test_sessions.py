# SPDX-License-Identifier: Apache-2.0
"""Connections and channels: test_sessions.py MEDIATOR TEST_EXECUTOR"""

import contextlib
import mmap
import os
import select
import signal
import socket
import stat
import subprocess
import sys
import time

import harness
from harness import Device, Mediator, MEBIBYTE, Peer, device_hello, memory_file, packet, wait_until


def refused(mediator, data, descriptors=(), error=harness.ERROR_PROTOCOL, text=None):
    """The mediator answers with that error and closes."""
    with Peer(mediator.socket) as peer:
        peer.send(data, descriptors)
        reply = peer.receive()
        assert reply.kind == harness.HELLO_REPLY, reply.kind
        assert reply.error == error, (reply.error, reply.text)
        assert reply.text and (text is None or text in reply.text), reply.text
        assert peer.is_closed()


def dropped(mediator, data, descriptors=()):
    """The mediator closes without an answer: this is not our protocol."""
    with Peer(mediator.socket) as peer:
        peer.send(data, descriptors)
        assert peer.is_closed()


def test_bad_packets_are_dropped():
    with Mediator() as mediator:
        before = mediator.descriptors_at_rest()
        dropped(mediator, device_hello(magic=0x12345678))
        dropped(mediator, device_hello()[:15])
        dropped(mediator, device_hello()[:60])
        dropped(mediator, device_hello(size=20))
        dropped(mediator, device_hello() + b"x" * 8)
        dropped(mediator, device_hello() + b"x" * 4000)
        dropped(mediator, packet(99, b"x" * 100))
        dropped(mediator, packet(harness.HELLO_REPLY, b"\0" * 168))
        dropped(mediator, harness.channel_message(harness.OPEN, 0, 1))
        dropped(mediator, device_hello(name=b"n" * 64))  # no end of text
        dropped(mediator, b"\0")
        descriptors = [memory_file(4096) for _ in range(13)]
        dropped(mediator, device_hello(), descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        assert wait_until(lambda: mediator.descriptors() == before), (before, mediator.descriptors())
        with Device(mediator.socket) as device:
            assert device.reply.error == harness.ERROR_NONE


def test_random_packets():
    """Packets that are right but for a few bytes, with too few and too many descriptors; always the same ones."""
    import random

    dice = random.Random(20)
    samples = [device_hello(vm_id=50), harness.client_hello(), harness.channel_message(harness.OPEN, 0, 1),
               harness.channel_message(harness.CLOSE, 1, 1), harness.channel_message(harness.LOST, 0, 1)]
    with Mediator("--user-processes-max=4") as mediator, Device(mediator.socket, vm_id=1) as bystander:
        assert bystander.open(0).kind == harness.READY
        before = mediator.descriptors_at_rest(children=1)
        event = os.eventfd(0, os.EFD_NONBLOCK)
        memory = memory_file(8 * MEBIBYTE)
        for _ in range(600):
            with Peer(mediator.socket) as peer:
                try:
                    if dice.random() < 0.5:
                        peer.send(device_hello(vm_id=dice.randrange(40, 60)), [memory])
                    for _ in range(dice.randrange(1, 4)):
                        data = bytearray(dice.choice(samples))
                        for _ in range(dice.choice((0, 1, 1, 4, 40))):
                            data[dice.randrange(len(data))] = dice.choice((0, 1, 0xFF, dice.randrange(256)))
                        if dice.random() < 0.1:
                            del data[dice.randrange(len(data)):]
                        peer.send(bytes(data), [dice.choice((event, memory)) for _ in range(dice.randrange(4))])
                except (BrokenPipeError, ConnectionResetError):
                    pass
        os.close(event)
        os.close(memory)
        bystander.ring()
        assert bystander.interrupted()
        assert wait_until(lambda: len(mediator.children()) == 1), mediator.children()
        assert wait_until(lambda: mediator.descriptors() == before), (before, mediator.descriptors())


def test_bad_hellos_are_refused():
    with Mediator() as mediator:
        before = mediator.descriptors_at_rest()
        good = memory_file(8 * MEBIBYTE)
        unsealed = memory_file(8 * MEBIBYTE, seals=0)
        read_only_later = memory_file(8 * MEBIBYTE, seals=harness.F_SEAL_SHRINK | harness.F_SEAL_FUTURE_WRITE)
        small = memory_file(8 * MEBIBYTE - 4096)
        read_only = os.open("/proc/self/fd/%d" % good, os.O_RDONLY)
        plain = os.open(mediator.log_path, os.O_RDWR)
        refused(mediator, device_hello(), [], text="descriptor")
        refused(mediator, device_hello(), [good, good], text="descriptor")
        refused(mediator, device_hello(), [unsealed], text="not sealed")
        refused(mediator, device_hello(), [read_only_later], text="sealed against writing")
        refused(mediator, device_hello(), [read_only], text="writing")
        refused(mediator, device_hello(), [small], text="smaller")
        refused(mediator, device_hello(), [plain], text="memory file")
        for channels in (0, 65, 0xFFFFFFFF):
            refused(mediator, device_hello(channels=channels), [good], text="number of channels")
        for size in (0, 4096, 3 * MEBIBYTE, 4 * MEBIBYTE + 1, 1 << 40, (1 << 64) - MEBIBYTE, 1 << 63):
            refused(mediator, device_hello(channel_bytes=size), [good], text="size of a channel")
        refused(mediator, device_hello(pool="a"), [good], text="pool")
        refused(mediator, device_hello(priority=3), [good], text="priority")
        refused(mediator, device_hello(version=2 << 16), [good], error=harness.ERROR_VERSION, text="2.0")
        refused(mediator, harness.client_hello(version=0), error=harness.ERROR_VERSION, text="0.0")
        for xen in ((0, 1), (5, 2), (5, 1), (5, 0)):
            refused(mediator, device_hello(xen=xen), [good], text="guest of Xen")
        refused(mediator, device_hello(vm_id=0), [good], error=harness.ERROR_REFUSED, text="vm_id")
        for descriptor in (good, unsealed, read_only_later, small, read_only, plain):
            os.close(descriptor)
        assert wait_until(lambda: mediator.descriptors() == before), (before, mediator.descriptors())


def test_vm_id_is_of_one_vm():
    with Mediator("--executor-stop-timeout=4", behaviour="stubborn") as mediator:
        with Device(mediator.socket, vm_id=7) as first:
            with Device(mediator.socket, vm_id=7) as second:
                assert second.reply.error == harness.ERROR_REFUSED and "already" in second.reply.text
                assert second.is_closed()
            with Device(mediator.socket, vm_id=8) as other:
                assert other.reply.error == harness.ERROR_NONE
            assert first.open(0).kind == harness.READY
        # Its executor does not end at once: so long nobody else may use its memory or its name.
        with Device(mediator.socket, vm_id=7) as again:
            assert again.reply.error == harness.ERROR_REFUSED and "still being closed" in again.reply.text

        def accepted():
            with Device(mediator.socket, vm_id=7) as later:
                return later.reply.error == harness.ERROR_NONE

        assert wait_until(accepted)
        assert mediator.wait_log("does not end by itself: killed")


def test_vm_id_automatic():
    with Mediator("--vm-id-automatic=yes") as mediator:
        with Device(mediator.socket, vm_id=0) as one, Device(mediator.socket, vm_id=0) as other:
            assert one.reply.error == harness.ERROR_NONE and other.reply.error == harness.ERROR_NONE
            assert mediator.wait_log("vm_id=1000000 ") and mediator.wait_log("vm_id=1000001 ")


def test_channel_computes_and_is_zeroed():
    with Mediator("--heartbeat=1") as mediator, Device(mediator.socket, pool="B", vm_id=3, name=b"alpha") as device:
        view = mmap.mmap(device.memory, 8 * MEBIBYTE)
        view[:] = b"\xa5" * len(view)
        ready = device.open(1)
        assert (ready.kind, ready.channel, ready.generation) == (harness.READY, 1, device.generation), ready.text
        assert view[4 * MEBIBYTE:4 * MEBIBYTE + 17] == b"executor was here"
        assert view[4 * MEBIBYTE + 18:8 * MEBIBYTE] == b"\0" * (4 * MEBIBYTE - 18)
        assert view[:4 * MEBIBYTE] == b"\xa5" * (4 * MEBIBYTE), "the other channel was touched"
        for _ in range(5):
            device.ring()
            assert device.interrupted()
        assert mediator.wait_log(r"Total processed: 5\b") and mediator.wait_log(r"Pool B processed: 5\b")
        mediator.send_signal(signal.SIGUSR1)
        assert mediator.wait_log(r"\[STATE\] VM vm_id=3 name=\"alpha\" pool=B")
        assert mediator.wait_log(r"\[STATE\]   channel 1 ready executor=\d+ calls=5")
        closed = device.close_channel(1)
        assert (closed.kind, closed.channel, closed.generation) == (harness.CLOSED, 1, device.generation)
        assert view[4 * MEBIBYTE:] == b"\0" * (4 * MEBIBYTE)
        assert mediator.children() == []
        # What it did still counts.
        assert device.open(0).kind == harness.READY
        device.ring()
        assert device.interrupted()
        assert mediator.wait_log(r"Total processed: 6\b") and mediator.wait_log(r"Pool B processed: 6\b")
        assert "Pool A processed: 0" in mediator.log()
        view.close()


def processor_ticks(mediator):
    """Of the mediator's loop, and of all its threads."""
    def ticks(path):
        with open(path) as file:
            fields = file.read().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    return (ticks("/proc/%d/task/%d/stat" % (mediator.pid, mediator.pid)), ticks("/proc/%d/stat" % mediator.pid))


def has_open(mediator, name):
    folder = "/proc/%d/fd/" % mediator.pid
    for descriptor in os.listdir(folder):
        try:
            if name in os.readlink(folder + descriptor):
                return True
        except FileNotFoundError:
            pass
    return False


def test_loop_does_not_give_memory_back():
    # It takes the kernel as long as it takes; everybody's turns pass through the loop meanwhile.
    size = 256 * MEBIBYTE
    with Mediator() as mediator:
        with Device(mediator.socket, channels=1, channel_bytes=size) as device:
            assert mediator.wait_log("CUDA initialized")
            view = mmap.mmap(device.memory, size)
            before = processor_ticks(mediator)
            for _ in range(3):
                view[::4096] = b"\xa5" * (size // 4096)
                assert device.open(0).kind == harness.READY
                assert view[64 * MEBIBYTE:68 * MEBIBYTE] == b"\0" * (4 * MEBIBYTE)
                view[::4096] = b"\xa5" * (size // 4096)
                assert device.close_channel(0).kind == harness.CLOSED
                assert view[64 * MEBIBYTE:68 * MEBIBYTE] == b"\0" * (4 * MEBIBYTE)
            # What is written beside the channels, or when they are closed, is given back with the file.
            view[::4096] = b"\xa5" * (size // 4096)
            view.close()
        # That is over.
        assert wait_until(lambda: not has_open(mediator, "test-bar1"))
        after = processor_ticks(mediator)
        loop, everything = (late - early for early, late in zip(before, after))
        assert everything >= 5, "too little to tell"
        assert loop * 2 < everything, (loop, everything)


def test_channel_that_is_closed_while_it_is_zeroed():
    size = 256 * MEBIBYTE
    with Mediator() as mediator, Device(mediator.socket, channels=1, channel_bytes=size) as device:
        view = mmap.mmap(device.memory, size)
        for _ in range(3):
            view[::4096] = b"\xa5" * (size // 4096)
            device.open_send(0)
            closed = device.close_channel(0)
            while closed.kind == harness.READY:
                closed = device.receive()
            assert (closed.kind, closed.channel, closed.generation) == (harness.CLOSED, 0, device.generation)
            assert view[::4096] == b"\0" * (size // 4096)
        assert device.open(0).kind == harness.READY
        device.ring()
        assert device.interrupted()
        view.close()


def test_protocol_errors_of_a_device():
    with Mediator() as mediator, Device(mediator.socket, vm_id=1) as bystander:
        assert bystander.open(0).kind == harness.READY
        before = len(mediator.children())
        assert before == 1
        read_end, write_end = os.pipe()
        for data, descriptors in (
                (harness.channel_message(harness.OPEN, 2, 1), ["event", "event"]),
                (harness.channel_message(harness.OPEN, 0xFFFFFFFF, 1), ["event", "event"]),
                (harness.channel_message(harness.CLOSE, 64, 1), []),
                (harness.channel_message(harness.OPEN, 0, 1), ["event"]),
                (harness.channel_message(harness.OPEN, 0, 1), [read_end, write_end]),
                (harness.channel_message(harness.READY, 0, 1), []),
                (harness.client_hello(), []),
        ):
            with Device(mediator.socket, vm_id=2) as device:
                device.send(data, [device.doorbell if d == "event" else d for d in descriptors])
                assert device.is_closed()
            assert wait_until(lambda: len(mediator.children()) == before)
        os.close(read_end)
        os.close(write_end)
        # Opening twice concerns that channel only.
        second = bystander.open(0)
        assert (second.kind, second.error) == (harness.FAILED, harness.ERROR_PROTOCOL)
        bystander.ring()
        assert bystander.interrupted()
        # Closing what is closed is answered.
        assert bystander.close_channel(1).kind == harness.CLOSED


def client_connect(mediator):
    program = Peer(mediator.socket)
    program.send(harness.client_hello())
    reply = program.receive()
    assert (reply.kind, reply.error) == (harness.HELLO_REPLY, harness.ERROR_NONE), reply.text
    channel = program.receive()
    assert channel.kind == harness.CLIENT_CHANNEL and len(channel.descriptors) == 4
    return program, channel


def test_local_program():
    with Mediator() as mediator:
        before = mediator.descriptors_at_rest()
        program, channel = client_connect(mediator)
        memory, doorbell, interrupt, pass_socket = channel.descriptors
        assert os.fstat(memory).st_size == channel.channel_bytes == 34 * MEBIBYTE
        with contextlib.suppress(OSError):
            os.ftruncate(memory, 4096)
        assert os.fstat(memory).st_size == channel.channel_bytes, "the program could shrink its channel"
        os.eventfd_write(doorbell, 1)
        assert wait_until(lambda: readable(interrupt)) and os.eventfd_read(interrupt) == 1
        assert stat_is_socket(pass_socket)
        channel.close()
        program.close()
        assert wait_until(lambda: mediator.children() == [] and mediator.descriptors() == before)


def readable(descriptor):
    return bool(select.select([descriptor], [], [], 0)[0])


def stat_is_socket(descriptor):
    return stat.S_ISSOCK(os.fstat(descriptor).st_mode)


def test_local_program_talks_too_much():
    with Mediator() as mediator:
        program, channel = client_connect(mediator)
        program.send(harness.client_hello())
        assert program.is_closed()
        channel.close()
        assert wait_until(lambda: mediator.children() == [])


def test_program_killed():
    with Mediator() as mediator:
        before = mediator.descriptors_at_rest()
        code = ("import sys, time; sys.path.insert(0, %r); import harness; p = harness.Peer(%r);"
                "p.send(harness.client_hello()); p.receive(); c = p.receive(); import mmap;"
                "m = mmap.mmap(c.descriptors[0], 34 << 20); m[:] = b'x' * len(m); print('up', flush=True);"
                "time.sleep(600)" % (os.path.dirname(os.path.abspath(__file__)), mediator.socket))
        program = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
        assert program.stdout.readline() == b"up\n"
        assert len(mediator.executors()) == 1
        program.kill()
        program.wait()
        program.stdout.close()
        assert wait_until(lambda: mediator.children() == [] and mediator.descriptors() == before)
        assert mediator.wait_log(r"client=%d: the executor ended" % program.pid)


def test_program_killed_that_had_forked():
    with Mediator() as mediator:
        code = ("import os, sys, time; sys.path.insert(0, %r); import harness; p = harness.Peer(%r);"
                "p.send(harness.client_hello()); p.receive(); c = p.receive();"
                "child = os.fork(); time.sleep(600) if child == 0 else (print(child, flush=True), time.sleep(600))"
                % (os.path.dirname(os.path.abspath(__file__)), mediator.socket))
        program = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
        child = int(program.stdout.readline())
        assert len(mediator.executors()) == 1
        program.kill()
        program.wait()
        program.stdout.close()
        try:
            assert wait_until(lambda: mediator.children() == [])
        finally:
            os.kill(child, signal.SIGKILL)


def test_nothing_leaks():
    with Mediator() as mediator, Device(mediator.socket, vm_id=9) as other:
        assert other.open(0).kind == harness.READY

        def rounds(count):
            for turn in range(count):
                with Device(mediator.socket, vm_id=100 + turn) as device:
                    assert device.open(0).kind == harness.READY
                    if turn % 2:
                        assert device.close_channel(0).kind == harness.CLOSED
            assert wait_until(lambda: len(mediator.children()) == 1)

        def connects(count):
            for _ in range(count):
                with Peer(mediator.socket) as peer:
                    peer.send(b"nonsense")
                    peer.is_closed()

        rounds(10)
        connects(100)
        descriptors = mediator.descriptors_at_rest(children=1)
        # A sanitizer keeps freed memory for a while.
        limit = 65536 if os.environ.get("VGPU_SANITIZED") else 512
        grown = []
        # What leaks grows each time; threads that close, of which a busy machine has more, leave their stacks once.
        while len(grown) < 4 and not (grown and grown[-1] < limit):
            kilobytes = mediator.resident_kilobytes()
            rounds(60)
            connects(1000)
            assert wait_until(lambda: mediator.descriptors() == descriptors), (descriptors, mediator.descriptors())
            grown.append(mediator.resident_kilobytes() - kilobytes)
        assert grown[-1] < limit, "grew by %s kB" % grown
        other.ring()
        assert other.interrupted()


def test_limits():
    with Mediator("--user-connections-max=8", "--vm-processes-max=1", "--user-processes-max=2") as mediator:
        with contextlib.ExitStack() as peers:
            device = peers.enter_context(Device(mediator.socket))
            assert device.open(0).kind == harness.READY
            beyond = device.open(1)
            assert (beyond.kind, beyond.error) == (harness.FAILED, harness.ERROR_REFUSED) and "limit of 1" in beyond.text
            for _ in range(2):
                program, channel = client_connect(mediator)
                peers.enter_context(program)
                channel.close()
            refused(mediator, harness.client_hello(), error=harness.ERROR_REFUSED, text="limit of 2")
            for _ in range(5):
                peers.enter_context(Peer(mediator.socket))
            # The ninth and many more are told so, and the first goes on working.
            for _ in range(200):
                with Peer(mediator.socket) as flood:
                    answer = flood.receive()
                    assert answer.kind == harness.HELLO_REPLY and answer.error == harness.ERROR_REFUSED
                    assert "limit of 8" in answer.text
            device.ring()
            assert device.interrupted()
        assert wait_until(lambda: mediator.children() == [])


def test_processes_in_all_are_limited():
    with Mediator("--processes-max=1") as mediator, Device(mediator.socket) as device:
        assert device.open(0).kind == harness.READY
        refused(mediator, harness.client_hello(), error=harness.ERROR_REFUSED, text="limit of 1")


def test_silent_peers_are_dropped():
    with Mediator("--hello-timeout=1") as mediator, Peer(mediator.socket) as peer:
        start = time.monotonic()
        assert peer.is_closed() and time.monotonic() - start < 5
        assert mediator.wait_log("no hello in time")


def test_peer_that_does_not_read():
    with Mediator() as mediator, Device(mediator.socket, vm_id=1) as good, Device(mediator.socket, vm_id=2) as bad:
        assert good.open(0).kind == harness.READY
        bad.socket.settimeout(5)
        try:
            for generation in range(100000):
                bad.send(harness.channel_message(harness.CLOSE, 0, generation))
        except (BrokenPipeError, ConnectionResetError, socket.timeout):
            pass
        assert mediator.wait_log("the peer does not read")
        good.ring()
        assert good.interrupted()


if __name__ == "__main__":
    Mediator.program, Mediator.executor = (os.path.abspath(path) for path in sys.argv[1:3])
    sys.exit(harness.run([test for name, test in list(globals().items()) if name.startswith("test_")]))
