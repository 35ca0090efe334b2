# SPDX-License-Identifier: Apache-2.0
"""Drives a real mediator over its real sockets; the messages are those of protocol/vgpu_control.h."""

import atexit
import contextlib
import os
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time

from processes import children_of

MAGIC = 0x4C544356
VERSION = 1 << 16
MEBIBYTE = 1 << 20

DEVICE_HELLO, CLIENT_HELLO, HELLO_REPLY, OPEN, READY, FAILED, CLOSE, CLOSED, LOST, CLIENT_CHANNEL = range(1, 11)
ERROR_NONE, ERROR_NO_MEDIATOR, ERROR_VERSION, ERROR_REFUSED, ERROR_NO_DRIVER = range(0, 5)
ERROR_NO_MEMORY, ERROR_EXECUTOR_DIED, ERROR_PROTOCOL, ERROR_MEDIATOR_LOST, ERROR_START_TIMEOUT = range(5, 10)

F_ADD_SEALS, F_SEAL_SHRINK, F_SEAL_FUTURE_WRITE = 1033, 2, 16

# For what takes moments, on a machine that is busy with other things. Seconds.
PATIENCE = 60.0
WRONG_SETTINGS = 2  # exit code


def packet(kind, body, magic=MAGIC, version=VERSION, size=None):
    return struct.pack("<IIII", magic, kind, 16 + len(body) if size is None else size, version) + body


def device_hello(vm_id=1, pool="A", priority=1, channels=2, channel_bytes=4 * MEBIBYTE, name=b"test", xen=(0, 0),
                 **header):
    body = struct.pack("<IIIIQ16s64sII", vm_id, ord(pool), priority, channels, channel_bytes, b"", name, *xen)
    return packet(DEVICE_HELLO, body, **header)


def client_hello(name=b"test program", job_vm_id=0, **header):
    return packet(CLIENT_HELLO, struct.pack("<II64s", job_vm_id, 0, name), **header)


def channel_message(kind, channel, generation, **header):
    return packet(kind, struct.pack("<IIII160s", channel, generation, 0, 0, b""), **header)


def memory_file(size, seals=F_SEAL_SHRINK):
    import fcntl

    memory = os.memfd_create("test-bar1", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(memory, size)
    if seals:
        fcntl.fcntl(memory, F_ADD_SEALS, seals)
    return memory


class Message:
    """One received packet; 'kind' is None when the mediator closed the connection."""

    def __init__(self, data, descriptors):
        self.kind = None
        self.descriptors = descriptors
        if not data:
            return
        magic, self.kind, size, self.version = struct.unpack_from("<IIII", data)
        assert magic == MAGIC and size == len(data), data[:16]
        if self.kind == HELLO_REPLY:
            self.error, _, text = struct.unpack_from("<II160s", data, 16)
        elif self.kind == CLIENT_CHANNEL:
            (self.channel_bytes,) = struct.unpack_from("<Q", data, 16)
            text = b""
        else:
            self.channel, self.generation, self.error, _, text = struct.unpack_from("<IIII160s", data, 16)
        self.text = text.split(b"\0")[0].decode()

    def close(self):
        for descriptor in self.descriptors:
            os.close(descriptor)
        self.descriptors = []


class Peer:
    """A connection to a mediator."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # Waits for its turn where very many connect; a socket with a timeout would not.
        self.socket.connect(path)
        self.socket.settimeout(PATIENCE)

    def send(self, data, descriptors=()):
        socket.send_fds(self.socket, [data], list(descriptors))

    def receive(self):
        try:
            data, descriptors, _, _ = socket.recv_fds(self.socket, 2048, 16)
        except ConnectionResetError:
            return Message(b"", [])
        return Message(data, descriptors)

    def is_closed(self):
        return self.receive().kind is None

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def listens(path):
    """The file is there a moment before."""
    try:
        Peer(path).close()
        return True
    except (FileNotFoundError, ConnectionRefusedError):
        return False


class Device(Peer):
    """What the QEMU device does."""

    def __init__(self, path, channels=2, channel_bytes=4 * MEBIBYTE, **hello):
        super().__init__(path)
        self.memory = memory_file(channels * channel_bytes)
        self.generation = 0
        self.send(device_hello(channels=channels, channel_bytes=channel_bytes, **hello), [self.memory])
        self.reply = self.receive()
        self.doorbell = os.eventfd(0, os.EFD_NONBLOCK)
        self.interrupt = os.eventfd(0, os.EFD_NONBLOCK)

    def open_send(self, channel):
        self.generation += 1
        self.send(channel_message(OPEN, channel, self.generation), [self.doorbell, self.interrupt])

    def open(self, channel):
        self.open_send(channel)
        return self.receive()

    def close_channel(self, channel):
        self.generation += 1
        self.send(channel_message(CLOSE, channel, self.generation))
        return self.receive()

    def ring(self):
        os.eventfd_write(self.doorbell, 1)

    def interrupted(self, seconds=PATIENCE):
        ready, _, _ = select.select([self.interrupt], [], [], seconds)
        return bool(ready) and os.eventfd_read(self.interrupt) > 0

    def close(self):
        super().close()
        for descriptor in (self.memory, self.doorbell, self.interrupt):
            os.close(descriptor)


def wait_until(condition, seconds=PATIENCE):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.01)
    return bool(condition())


class Mediator:
    """A running daemon with a folder of its own."""

    program = None
    executor = None

    def __init__(self, *options, behaviour="ready", probe="good", folder=None, wait=True, driver="test.so",
                 log="file", executor=None, environment=None, pass_fds=(), wrapper=(), usual_places=False):
        self.own_folder = folder is None
        self.folder = folder or tempfile.mkdtemp(prefix="vgpu-mediator-test-")
        self.socket = os.path.join(self.folder, "mediator.sock")
        self.log_path = os.path.join(self.folder, "log")
        self.configuration = os.path.join(self.folder, "mediator.conf")
        open(self.configuration, "a").close()
        # What an earlier mediator wrote there is not this one's.
        self.log_offset = os.path.getsize(self.log_path) if os.path.exists(self.log_path) else 0
        variables = dict(os.environ, VGPU_EXECUTOR_TEST=behaviour, VGPU_EXECUTOR_TEST_PROBE=probe)
        variables.update(environment or {})
        arguments = [*wrapper, self.program, "--executor=" + (executor or self.executor)]
        if driver:
            arguments.append("--driver=" + driver)
        if not usual_places:
            arguments += ["--config=" + self.configuration, "--socket=" + self.socket]
        with open(self.log_path if log == "file" else log, "a") as output:
            self.process = subprocess.Popen(
                arguments + list(options), stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=variables,
                pass_fds=pass_fds)
        # Whatever becomes of the test, the daemon does not outlive it.
        atexit.register(self.process.kill)
        if wait:
            assert self.wait_log("Listening on socket: "), self.log()

    @property
    def pid(self):
        return self.process.pid

    def log_file(self, path):
        """The daemon's --log, in the place of its standard error."""
        self.log_path = path
        self.log_offset = 0

    def log(self):
        if not os.path.exists(self.log_path):
            return ""
        with open(self.log_path, errors="replace") as file:
            file.seek(self.log_offset)
            return file.read()

    def wait_log(self, pattern, seconds=PATIENCE, count=1):
        return wait_until(lambda: len(re.findall(pattern, self.log())) >= count, seconds)

    def descriptors(self):
        """How many are open, when the driver was probed."""
        assert self.wait_log("CUDA (initialized|is not available)")
        return len(os.listdir("/proc/%d/fd" % self.pid))

    def descriptors_at_rest(self, children=0):
        """How many are open when it has so many children, and threads have closed what others have left."""
        seen = []

        def settled():
            if len(self.children()) != children:
                seen.clear()
                return False
            seen.append(self.descriptors())
            return len(seen) >= 10 and seen[-10:] == seen[-1:] * 10

        assert wait_until(settled), (self.children(), seen)
        return seen[-1]

    def resident_kilobytes(self):
        with open("/proc/%d/status" % self.pid) as file:
            return int(re.search(r"VmRSS:\s+(\d+)", file.read()).group(1))

    def children(self):
        return children_of(self.pid)

    def executors(self):
        """Of its children those that serve, which alone have no arguments; one may end while it is looked at."""
        found = []
        for pid in sorted(self.children()):
            with contextlib.suppress(OSError), open("/proc/%d/cmdline" % pid, "rb") as file:
                if file.read().count(b"\0") == 1:
                    found.append(pid)
        return found

    def send_signal(self, number):
        os.kill(self.pid, number)

    def stop(self, number=signal.SIGTERM):
        if self.process.poll() is None:
            self.send_signal(number)
        return self.process.wait(PATIENCE)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind and os.path.exists(self.log_path):
            for line in self.log().splitlines()[-40:]:
                print("#   " + line)
        try:
            code = self.stop()
            if not kind:
                # -9: the test has killed it. A sanitizer's finding is another code, or a line.
                assert code in (0, -signal.SIGKILL), "it ended with code %d" % code
                assert "runtime error:" not in self.log()
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        finally:
            if self.own_folder:
                shutil.rmtree(self.folder, ignore_errors=True)


class Skip(Exception):
    """The machine lacks something that the test needs."""


def run(tests):
    """Runs them all and prints the Test Anything Protocol; the exit code for sys.exit."""
    failures = 0
    print("1..%d" % len(tests), flush=True)
    for number, test in enumerate(tests, 1):
        name = test.__name__.removeprefix("test_").replace("_", " ")
        try:
            test()
            print("ok %d %s" % (number, name), flush=True)
        except Skip as reason:
            print("ok %d %s # SKIP %s" % (number, name, reason), flush=True)
        except Exception as error:  # a test may fail in any way; the others run on
            failures += 1
            import traceback

            for line in traceback.format_exc().splitlines():
                print("# " + line)
            print("not ok %d %s: %r" % (number, name, error), flush=True)
    return 1 if failures else 0
