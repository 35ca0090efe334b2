# SPDX-License-Identifier: Apache-2.0
"""Local users and devices, and what they do to the mediator's loop: test_strangers.py MEDIATOR TEST_EXECUTOR"""

import contextlib
import ctypes
import fcntl
import json
import mmap
import os
import select
import signal
import socket
import struct
import sys
import threading
import traceback

import harness
from harness import Device, Mediator, Peer, Skip, wait_until
from stuck_file import stuck_file

NOBODY = 65534
LONG = 3600  # seconds that a close takes: nobody waits for that
SYS_USERFAULTFD = 323
UFFDIO_API, UFFDIO_REGISTER = 0xC018AA3F, 0xC020AA00
UFFD_API, UFFDIO_REGISTER_MODE_MISSING = 0xAA, 1

libc = ctypes.CDLL(None, use_errno=True)
# What looks addresses up is loaded when it is first needed, and nobody may not be able to read it.
"localhost".encode("idna")


def lingering_socket():
    """Whoever closes its last descriptor waits: its peer, which stays here, takes nothing of what it has sent."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        lingers = socket.create_connection(server.getsockname())
        peer, _ = server.accept()
    lingers.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, LONG))
    lingers.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            lingers.send(bytes(65536))
    return lingers, peer


def within_a_queue(descriptor):
    """A socket in whose queue it is: who closes that cannot look at it first."""
    outer, inner = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    socket.send_fds(inner, [b"x"], [descriptor])
    inner.close()
    return outer


class Daemon(Mediator):
    """One that others than this user may try, with its socket for administration."""

    def __init__(self, *options):
        super().__init__(*options)
        os.chmod(self.folder, 0o755)
        self.admin = self.socket + ".admin"
        assert self.wait_log("vgpu-admin connects to"), self.log()


def ask(path):
    with socket.socket(socket.AF_UNIX) as admin:
        admin.settimeout(harness.PATIENCE)
        admin.connect(path)
        admin.sendall(b'{"command":"status"}\n')
        return json.loads(admin.makefile().readline())


def answers(mediator):
    """It goes on, for programs, devices and administrators."""
    assert ask(mediator.admin)["ok"]
    with Device(mediator.socket, vm_id=9) as device:
        assert device.open(0).kind == harness.READY
        assert device.close_channel(0).kind == harness.CLOSED


@contextlib.contextmanager
def stopped(mediator):
    """It takes nothing meanwhile: what is sent and closed now has its last descriptor in the mediator."""
    mediator.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        mediator.send_signal(signal.SIGCONT)


@contextlib.contextmanager
def another_user(mediator, work):
    """Runs work() as nobody, and goes on when it has returned; what it holds is there until the end."""
    begun, begins = os.pipe()
    ended, ends = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(ends)
            os.close(begun)
            if os.geteuid() == 0:
                os.setgroups([])
                os.setresgid(NOBODY, NOBODY, NOBODY)
                os.setresuid(NOBODY, NOBODY, NOBODY)
            os.read(ended, 1)
            keep = work()
            os.write(begins, b"1" if keep else b"0")
            os.read(ended, 1)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(0)
    os.close(begins)
    try:
        with stopped(mediator):
            os.write(ends, b"1")
            assert os.read(begun, 1) == b"1", "it could not do its work"
        yield
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        for end in begun, ended, ends:
            os.close(end)


def linger_at(path, kind, wraps=lambda descriptor: descriptor, data=b"x", count=1):
    """Sends it, and is the last who could not."""

    def work():
        connection = socket.socket(socket.AF_UNIX, kind)
        connection.connect(path)
        peers = []
        for _ in range(count):
            lingers, peer = lingering_socket()
            wrapped = wraps(lingers.fileno()) if wraps is within_a_queue else lingers
            socket.send_fds(connection, [data], [wrapped.fileno()])
            wrapped.close()
            lingers.close()
            peers.append(peer)
        return connection, peers

    return work


def test_descriptor_that_lingers_of_a_stranger():
    for wraps in (lambda descriptor: descriptor, within_a_queue):
        with Daemon("--socket-mode=0666") as mediator:
            before = mediator.descriptors_at_rest()
            with another_user(mediator, linger_at(mediator.socket, socket.SOCK_SEQPACKET, wraps)):
                answers(mediator)
                # Nor does it stay.
                assert wait_until(lambda: mediator.descriptors() == before), (before, mediator.descriptors())


def test_descriptor_that_lingers_of_a_device():
    """Of one who may send some: with a message that is none, with a hello, and more than a message has."""
    one = harness.device_hello()
    for data, count in ((b"x", 1), (one, 1), (b"x", 20)):
        with Daemon() as mediator:
            before = mediator.descriptors_at_rest()
            held = [lingering_socket() for _ in range(count)]
            with Peer(mediator.socket) as peer:
                with stopped(mediator):
                    peer.send(data, [lingers.fileno() for lingers, _ in held])
                    for lingers, _ in held:
                        lingers.close()
                answers(mediator)
                assert wait_until(lambda: mediator.descriptors() <= before + 1), (before, mediator.descriptors())
            for _, peer in held:
                peer.close()


def test_descriptor_that_lingers_of_an_administrator():
    """On the socket for administration, of one who may look or of one who may do nothing; and of root."""
    for group, wraps in ((True, lambda descriptor: descriptor), (True, within_a_queue), (False, within_a_queue)):
        with Daemon("--view-group=" + ("nogroup" if group else "root")) as mediator:
            before = mediator.descriptors_at_rest()
            with another_user(mediator, linger_at(mediator.admin, socket.SOCK_STREAM, wraps)):
                answers(mediator)
                assert wait_until(lambda: mediator.descriptors() == before), (before, mediator.descriptors())


def test_descriptor_of_an_administrator_within_requests():
    """Before it he is answered; with it his connection ends, without anybody else noticing."""
    with Daemon() as mediator:
        request = b'{"command":"status"}\n'
        lingers, peer = lingering_socket()
        with socket.socket(socket.AF_UNIX) as admin:
            admin.settimeout(harness.PATIENCE)
            admin.connect(mediator.admin)
            admin.sendall(request)
            assert json.loads(admin.makefile().readline())["ok"]
            with stopped(mediator):
                socket.send_fds(admin, [request], [lingers.fileno()])
                lingers.close()
            answers(mediator)
            with contextlib.suppress(ConnectionResetError):
                assert admin.recv(1) == b""
        peer.close()


def test_descriptors_that_are_never_closed():
    """More of them than there are threads that close: programs start, which have none of them to close."""
    with Daemon() as mediator, stuck_file() as stuck, Peer(mediator.socket) as peer:
        before = mediator.descriptors_at_rest()
        peer.send(harness.device_hello(), [stuck] * 200)
        assert peer.is_closed()
        assert mediator.descriptors() > before + 100
        for _ in range(3):
            answers(mediator)


class HeldFile:
    """Somebody writes into the file from a page that does not come: the kernel holds the file's lock meanwhile."""

    def __init__(self, file):
        self.file = file
        self.fault = libc.syscall(SYS_USERFAULTFD, os.O_CLOEXEC)
        if self.fault < 0:
            raise Skip("no userfaultfd: " + os.strerror(ctypes.get_errno()))
        self.page = mmap.mmap(-1, mmap.PAGESIZE)
        self.place = ctypes.c_char.from_buffer(self.page)
        fcntl.ioctl(self.fault, UFFDIO_API, bytearray(struct.pack("<QQQ", UFFD_API, 0, 0)))
        fcntl.ioctl(self.fault, UFFDIO_REGISTER, bytearray(struct.pack(
            "<QQQQ", ctypes.addressof(self.place), mmap.PAGESIZE, UFFDIO_REGISTER_MODE_MISSING, 0)))
        self.writer = threading.Thread(target=self.write)
        self.writer.start()
        # Whoever asks for the page has the lock.
        assert wait_until(self.page_is_asked_for), "the file's lock is not held"

    def write(self):
        libc.pwrite(self.file, ctypes.byref(self.place), ctypes.c_size_t(mmap.PAGESIZE), ctypes.c_long(0))

    def page_is_asked_for(self):
        return bool(select.select([self.fault], [], [], 0)[0])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # Whoever waits for the page gets a zero one.
        os.close(self.fault)
        self.writer.join(harness.PATIENCE)


def test_program_holds_its_file():
    """The file of a program is its own: the mediator needs its lock for nothing, when the program ends or is ended."""
    with Daemon() as mediator:
        with Peer(mediator.socket) as program:
            program.send(harness.client_hello())
            assert program.receive().kind == harness.HELLO_REPLY
            channel = program.receive()
            assert channel.kind == harness.CLIENT_CHANNEL
            memory = os.dup(channel.descriptors[0])
            channel.close()
            held = HeldFile(memory)
        with held:
            assert wait_until(lambda: not mediator.children()), "its executor is gone"
            answers(mediator)
            # Its channel is closed, and not waited for: another one of the user is another.
            assert wait_until(lambda: "closed" in mediator.log())
        os.close(memory)


def test_devices_hold_their_files():
    """What waits for a file's lock is that VM's channel alone."""
    count = 4
    with Daemon() as mediator, contextlib.ExitStack() as stack:
        devices = [stack.enter_context(Device(mediator.socket, vm_id=number + 1)) for number in range(count)]
        for device in devices:
            assert device.open(0).kind == harness.READY
        with contextlib.ExitStack() as held:
            for device in devices:
                held.enter_context(HeldFile(device.memory))
                device.send(harness.channel_message(harness.CLOSE, 0, device.generation + 1))
            answers(mediator)
        for device in devices:
            assert device.receive().kind == harness.CLOSED


def test_mediator_ends_while_a_file_is_held():
    with Daemon() as mediator, Device(mediator.socket, vm_id=1) as device:
        assert device.open(0).kind == harness.READY
        with HeldFile(device.memory):
            device.send(harness.channel_message(harness.CLOSE, 0, device.generation + 1))
            assert wait_until(lambda: not mediator.children())
            mediator.send_signal(signal.SIGTERM)
            # It has let go of all that others wait for; the process itself stays until the kernel lets its thread go.
            assert mediator.wait_log("Stopped")
        assert mediator.process.wait(harness.PATIENCE) == 0


Mediator.program, Mediator.executor = sys.argv[1:3]
sys.exit(harness.run([value for name, value in list(globals().items()) if name.startswith("test_")]))
