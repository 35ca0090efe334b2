# SPDX-License-Identifier: Apache-2.0
"""A stand-in for the mediator and its executors, for tests of the device and the driver alone.

It speaks protocol/vgpu_control.h and lets a test decide how channels behave.  Each open channel has
an "executor" that answers doorbells: it reads {u32 sequence, u32 bytes} at the start of the channel's
memory, writes the inverse of the bytes from REQUEST_OFFSET to REPLY_OFFSET, then the sequence to
offset 8, and raises the interrupt.  The other side is vgpu_probe.c.
"""
import ctypes
import mmap
import os
import selectors
import socket
import struct
import threading
import time

MAGIC = 0x4C544356
VERSION = 0x00010000
HEADER = struct.Struct("<IIII")
DEVICE_HELLO_BODY = struct.Struct("<IIIIQ16s64sII")
HELLO_REPLY_BODY = struct.Struct("<II160s")
CHANNEL_BODY = struct.Struct("<IIII160s")
DEVICE_HELLO, CLIENT_HELLO, HELLO_REPLY, OPEN, READY, FAILED, CLOSE, CLOSED, LOST = range(1, 10)
NO_ERROR, REFUSED, NO_DRIVER, EXECUTOR_DIED, KERNEL_TIMEOUT = 0, 3, 4, 6, 10

REQUEST_OFFSET = 4096
REPLY_OFFSET = 1 << 20

FALLOC_PUNCH_HOLE_KEEP_SIZE = 3
libc = ctypes.CDLL(None, use_errno=True)
libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
INVERSE = bytes(255 - byte for byte in range(256))


class Channel:
    def __init__(self, device, index, generation, doorbell, interrupt):
        self.device, self.index, self.generation = device, index, generation
        self.doorbell, self.interrupt = doorbell, interrupt
        self.doorbells = 0


class Device:
    """One connected VM."""

    def __init__(self, connection):
        self.connection = connection
        self.memory = None
        self.memory_fd = -1
        self.channels = {}
        self.vm_id = 0


class MediatorStandIn:
    """Serves `path` in a thread until close(). Events are tuples in self.events, the name first."""

    def __init__(self, path):
        self.path = path
        self.events = []
        self.devices = []
        self.refuse_hello = False
        self.open_answer = "ready"  # or "fail", "refuse", "silent", "garbage"
        self.answer_close = True
        self._lock = threading.Condition()
        self._selector = selectors.DefaultSelector()
        self._wake_read, self._wake_write = os.pipe()
        self._selector.register(self._wake_read, selectors.EVENT_READ, None)
        if os.path.exists(path):
            os.unlink(path)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.bind(path)
        self._listener.listen(16)
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self):
        os.write(self._wake_write, b"x")
        self._thread.join(10)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def wait(self, name, count=1, timeout=180):
        """Waits until `count` events called `name` were seen; the last of them, or None."""
        end = time.monotonic() + timeout
        with self._lock:
            while True:
                found = [event for event in self.events if event[0] == name]
                if len(found) >= count:
                    return found[-1]
                left = end - time.monotonic()
                if left <= 0:
                    return None
                self._lock.wait(left)

    def count(self, name):
        with self._lock:
            return sum(event[0] == name for event in self.events)

    def forget(self):
        with self._lock:
            self.events.clear()

    def lose(self, device, index, error=EXECUTOR_DIED):
        """As if the executor of a channel had died, or was ended for that error."""
        channel = device.channels[index]
        self._send_channel(device, LOST, index, channel.generation, error, "killed by the test")

    def drop(self, device):
        """Ends the connection of one VM."""
        device.connection.shutdown(socket.SHUT_RDWR)

    def _event(self, *event):
        with self._lock:
            self.events.append(event)
            self._lock.notify_all()

    def _serve(self):
        while True:
            for key, _ in self._selector.select():
                if key.data is None:
                    self._end()
                    return
                key.data()

    def _end(self):
        for device in list(self.devices):
            self._disconnected(device)
        self._listener.close()
        self._selector.close()
        os.close(self._wake_read)
        os.close(self._wake_write)
        os.unlink(self.path)

    def _accept(self):
        connection, _ = self._listener.accept()
        device = Device(connection)
        self.devices.append(device)
        self._selector.register(connection, selectors.EVENT_READ, lambda: self._message(device))

    def _disconnected(self, device):
        for channel in list(device.channels.values()):
            self._channel_end(channel)
        self._selector.unregister(device.connection)
        device.connection.close()
        if device.memory:
            device.memory.close()
            os.close(device.memory_fd)
        self.devices.remove(device)
        self._event("disconnected", device.vm_id)

    def _send(self, device, kind, body):
        try:
            device.connection.send(HEADER.pack(MAGIC, kind, HEADER.size + len(body), VERSION) + body)
        except OSError:
            pass  # its end is seen by the reader

    def _send_channel(self, device, kind, index, generation, error=NO_ERROR, text=""):
        self._send(device, kind, CHANNEL_BODY.pack(index, generation, error, 0, text.encode()))

    def _message(self, device):
        if device not in self.devices:
            return
        try:
            packet, fds, _, _ = socket.recv_fds(device.connection, 1024, 8)
        except OSError:
            packet, fds = b"", []
        if not packet:
            self._disconnected(device)
            return
        magic, kind, size, version = HEADER.unpack_from(packet)
        body = packet[HEADER.size:]
        if magic != MAGIC or size != len(packet) or version != VERSION:
            self._event("bad message", packet)
        elif kind == DEVICE_HELLO and len(body) == DEVICE_HELLO_BODY.size and len(fds) == 1:
            self._hello(device, DEVICE_HELLO_BODY.unpack(body), fds[0])
        elif kind == OPEN and len(body) == CHANNEL_BODY.size and len(fds) == 2:
            self._open(device, *CHANNEL_BODY.unpack(body)[:2], *fds)
        elif kind == CLOSE and len(body) == CHANNEL_BODY.size and not fds:
            self._close(device, *CHANNEL_BODY.unpack(body)[:2])
        else:
            self._event("bad message", packet)

    def _hello(self, device, fields, fd):
        vm_id, pool_id, priority, count, size, uuid, name, _, _ = fields
        device.vm_id = vm_id
        device.channel_bytes = size
        device.memory_fd = fd
        device.memory = mmap.mmap(fd, count * size)
        self._event("hello", vm_id, chr(pool_id), priority, count, size, uuid, name.rstrip(b"\0").decode())
        refused = self.refuse_hello
        self._send(device, HELLO_REPLY, HELLO_REPLY_BODY.pack(REFUSED if refused else 0, 0,
                                                              b"by the test" if refused else b""))

    def _open(self, device, index, generation, doorbell, interrupt):
        if index in device.channels:
            self._event("bad open", index)
        channel = Channel(device, index, generation, doorbell, interrupt)
        # As an executor that fails in the middle would leave it.
        if self.open_answer != "ready":
            at = index * device.channel_bytes
            device.memory[at:at + 4] = b"dirt"
        device.channels[index] = channel
        os.set_blocking(doorbell, False)
        self._selector.register(doorbell, selectors.EVENT_READ, lambda: self._doorbell(channel))
        if self.open_answer == "fail":
            self._send_channel(device, FAILED, index, generation, NO_DRIVER, "no driver, says the test")
        elif self.open_answer == "refuse":
            self._send_channel(device, FAILED, index, generation, REFUSED, "quarantined, says the test")
        elif self.open_answer == "ready":
            self._send_channel(device, READY, index, generation)
        elif self.open_answer == "garbage":
            self._send(device, READY, b"too short")
        self._event("open", device.vm_id, index, generation)

    def _channel_end(self, channel):
        self._selector.unregister(channel.doorbell)
        # As an executor that was taken over may leave them, for the device's next reads of them to wait.
        os.set_blocking(channel.doorbell, True)
        os.set_blocking(channel.interrupt, True)
        os.close(channel.doorbell)
        os.close(channel.interrupt)
        del channel.device.channels[channel.index]

    def _close(self, device, index, generation):
        channel = device.channels.get(index)
        if channel is None or channel.generation != generation:
            self._event("bad close", index, generation)
            return
        if self.answer_close:
            self._channel_end(channel)
            if libc.fallocate(device.memory_fd, FALLOC_PUNCH_HOLE_KEEP_SIZE, index * device.channel_bytes,
                              device.channel_bytes) != 0:
                self._event("not zeroed", ctypes.get_errno())
            self._send_channel(device, CLOSED, index, generation)
        self._event("close", device.vm_id, index, generation)

    def _doorbell(self, channel):
        if channel.device.channels.get(channel.index) is not channel:
            return  # closed since it rang
        try:
            os.read(channel.doorbell, 8)
        except BlockingIOError:
            return
        channel.doorbells += 1
        base = channel.index * channel.device.channel_bytes
        memory = channel.device.memory
        sequence, size = struct.unpack_from("<II", memory, base)
        size = min(size, channel.device.channel_bytes - REPLY_OFFSET, REPLY_OFFSET - REQUEST_OFFSET)
        request = memory[base + REQUEST_OFFSET:base + REQUEST_OFFSET + size]
        memory[base + REPLY_OFFSET:base + REPLY_OFFSET + size] = request.translate(INVERSE)
        struct.pack_into("<I", memory, base + 8, sequence)
        os.write(channel.interrupt, struct.pack("<Q", 1))
