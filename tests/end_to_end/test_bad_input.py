# SPDX-License-Identifier: Apache-2.0
"""What must not go wrong when something else does: each case ends with a clear error, nothing hangs, others go on."""

import array
import contextlib
import mmap
import os
import random
import signal
import socket
import struct
import subprocess
import time
import unittest

import tap
from stack import PATIENCE, ROOT, Mediator, WithMediator, build_directory, wait_until

BUILD = build_directory()
EXAMPLES = BUILD / 'examples'
TOOLS = BUILD / 'tests' / 'end_to_end'

# vgpu_control.h
MAGIC, VERSION = 0x4c544356, 1 << 16
CLIENT_HELLO, HELLO_REPLY, CHANNEL_LOST, CLIENT_CHANNEL = 2, 3, 9, 10
HEADER_BYTES = 4096


class RawChannel:
    """A local client that speaks the control protocol by hand, and writes what it likes into its channel."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(str(path))
        self.socket.send(struct.pack('<IIII8x64s', MAGIC, CLIENT_HELLO, 88, VERSION, b'raw channel'))
        kind, body, _ = self.receive()
        assert kind == HELLO_REPLY and struct.unpack_from('<I', body)[0] == 0, body
        kind, body, fds = self.receive()
        assert kind == CLIENT_CHANNEL, kind
        self.bytes, = struct.unpack_from('<Q', body)
        self.memory = mmap.mmap(fds[0], self.bytes)
        self.doorbell = fds[1]
        self.fds = fds

    def receive(self):
        data, ancillary, _, _ = self.socket.recvmsg(1024, 256)
        fds = array.array('i')
        for level, kind, content in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds.frombytes(content[:len(content) - len(content) % 4])
        if not data:
            return None, b'', []
        _, kind, _, _ = struct.unpack_from('<IIII', data)
        return kind, data[16:], list(fds)

    def ring(self):
        os.write(self.doorbell, struct.pack('<Q', 1))

    def layout(self):
        names = 'command command_bytes reply reply_bytes upload upload_bytes download download_bytes'.split()
        return dict(zip(names, struct.unpack_from('<8I', self.memory, 16)))

    def lost(self, seconds=PATIENCE):
        """Waits until the mediator says that the executor has ended this channel."""
        self.socket.settimeout(seconds)
        kind, body, _ = self.receive()
        return kind == CHANNEL_LOST and body[16:].split(b'\0')[0].decode()

    def close(self):
        self.memory.close()
        for fd in self.fds:
            os.close(fd)
        self.socket.close()


class BadInput(WithMediator):
    def good_client(self):
        """Another program that must not notice anything."""
        return self.mediator.spawn(EXAMPLES / 'vector_add', 400000)

    def expect_good(self, program):
        output, _ = program.communicate(timeout=90)
        self.assertEqual(program.returncode, 0, output)

    def test_corrupt_images(self):
        done = self.mediator.run(TOOLS / 'bad_images', ROOT / 'examples/vector_add.ptx', seconds=180)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_garbage_in_the_ring(self):
        chaos = random.Random(7)
        other = self.good_client()
        for number in range(6):
            channel = RawChannel(self.mediator.socket)
            place = channel.layout()
            ring = chaos.randbytes(place['command_bytes'])
            channel.memory[place['command']:place['command'] + len(ring)] = ring
            # The command ring's tail: the first index after the layout, on its own cache line.
            struct.pack_into('<Q', channel.memory, 64, 8 * chaos.randrange(1, place['command_bytes'] // 8))
            channel.ring()
            self.assertTrue(channel.lost(), f'round {number}: the executor ends the channel with a reason')
            channel.close()
        self.expect_good(other)

    def test_garbage_everywhere(self):
        chaos = random.Random(8)
        other = self.good_client()
        for _ in range(4):
            channel = RawChannel(self.mediator.socket)
            for _ in range(200):
                position = chaos.randrange(0, HEADER_BYTES + (2 << 20), 8)
                struct.pack_into('<Q', channel.memory, position, chaos.getrandbits(64))
                channel.ring()
            channel.close()
        self.expect_good(other)
        self.mediator.wait_for_rest()

    def test_tail_out_of_bounds(self):
        for tail in (1, 1 << 20 | 8, 1 << 40, (1 << 64) - 8):
            channel = RawChannel(self.mediator.socket)
            struct.pack_into('<Q', channel.memory, 64, tail)
            channel.ring()
            self.assertTrue(channel.lost(), f'tail {tail:#x} ends the channel')
            channel.close()

    def test_control_garbage(self):
        other = self.good_client()
        for packet in (b'', b'x', os.urandom(88), struct.pack('<IIII', MAGIC, CLIENT_HELLO, 4096, VERSION),
                       struct.pack('<IIII8x64s', MAGIC, CLIENT_HELLO, 88, 9 << 16, b'future')):
            client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            client.settimeout(PATIENCE)
            client.connect(str(self.mediator.socket))
            if packet:
                client.send(packet)
            else:
                client.shutdown(socket.SHUT_WR)
            try:
                while client.recv(1024):
                    pass
            except ConnectionError:
                pass
            client.close()
        self.expect_good(other)

    def test_client_killed_in_a_copy(self):
        self.mediator.wait_for_rest()
        before = self.mediator.file_descriptors()
        other = self.good_client()
        for _ in range(3):
            client = self.mediator.spawn(TOOLS / 'copy_loop')
            self.assertIn('copying', client.stdout.readline())
            time.sleep(0.2)
            client.send_signal(signal.SIGKILL)
            client.wait()
            client.stdout.close()
        self.expect_good(other)
        self.mediator.wait_for_rest()
        wait_until(lambda: self.mediator.file_descriptors() <= before, 'descriptors are given back')

    def test_executor_killed(self):
        client = self.mediator.spawn(TOOLS / 'copy_loop')
        self.assertIn('copying', client.stdout.readline())
        executors = self.mediator.executors()
        self.assertTrue(executors)
        for executor in executors:
            # That of another program may just have ended.
            with contextlib.suppress(ProcessLookupError):
                os.kill(executor, signal.SIGKILL)
        output, _ = client.communicate(timeout=60)
        self.assertNotEqual(client.returncode, 0)
        self.assertIn('CUDA_ERROR', output)
        self.assertNotEqual(client.returncode, -signal.SIGSEGV)


class MediatorLife(unittest.TestCase):
    def test_stopped_and_started_under_a_client(self):
        with Mediator() as mediator:
            client = mediator.spawn(TOOLS / 'copy_loop')
            self.assertIn('copying', client.stdout.readline())
            mediator.stop()
            output, _ = client.communicate(timeout=60)
            self.assertNotEqual(client.returncode, 0)
            self.assertIn('CUDA_ERROR', output)
            self.assertFalse(mediator.socket.exists(), 'the socket is removed')
            mediator.start()
            done = mediator.run(EXAMPLES / 'vector_add', 1000)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_killed_and_started(self):
        """SIGKILL leaves a stale socket; its executors end by themselves."""
        with Mediator() as mediator:
            client = mediator.spawn(TOOLS / 'copy_loop')
            self.assertIn('copying', client.stdout.readline())
            executors = mediator.executors()
            self.assertTrue(executors)
            mediator.stop(signal.SIGKILL)
            output, _ = client.communicate(timeout=60)
            self.assertIn('CUDA_ERROR', output)
            wait_until(lambda: not any(os.path.exists(f'/proc/{e}') for e in executors), 'executors are gone')
            self.assertTrue(mediator.socket.exists(), 'a stale socket is there')
            mediator.start()
            done = mediator.run(EXAMPLES / 'vector_add', 1000)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_second_mediator(self):
        with Mediator() as mediator:
            second = subprocess.run([BUILD / 'host/mediator/mediator_phase3', '--socket', mediator.socket, '--driver',
                                     mediator.driver], capture_output=True, text=True, timeout=60, check=False)
            self.assertNotEqual(second.returncode, 0)
            self.assertIn(str(mediator.socket), second.stderr)
            done = mediator.run(EXAMPLES / 'vector_add', 1000)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_missing_driver_library(self):
        with Mediator(driver='/nonexistent/libcuda.so.1') as mediator:
            mediator.wait_for_line(r'/nonexistent/libcuda\.so\.1')
            done = mediator.run(EXAMPLES / 'vector_add', 1000, seconds=60)
            self.assertNotEqual(done.returncode, 0)
            self.assertRegex(done.stdout + done.stderr, 'CUDA_ERROR_|vgpu-cuda:')

    def test_no_mediator(self):
        mediator = Mediator()
        self.addCleanup(mediator.close)
        done = mediator.run(EXAMPLES / 'vector_add', 1000, seconds=60)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn('vgpu-cuda:', done.stderr)

    def test_full_disk_for_the_log(self):
        mediator = Mediator()
        self.addCleanup(mediator.close)
        mediator.process = subprocess.Popen([BUILD / 'host/mediator/mediator_phase3', '--socket', mediator.socket,
                                             '--driver', mediator.driver, '--log', '/dev/full', '--heartbeat', '1'])
        wait_until(mediator.socket.exists, 'the socket is there')
        done = mediator.run(EXAMPLES / 'vector_add', 1000)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIsNone(mediator.process.poll(), 'the mediator goes on')
        self.assertEqual(mediator.stop(), 0)


if __name__ == '__main__':
    tap.main()
