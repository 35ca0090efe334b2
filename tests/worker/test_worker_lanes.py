# SPDX-License-Identifier: Apache-2.0
"""Lanes: the further connections of a program's link, over which its bulk data goes."""

import contextlib
import os
import re
import signal
import socket
import ssl
import struct
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

import tap
from link_peer import (COMMANDS, LANE, LANE_BEGIN, LANE_COUNT, OFFER, STATUS, WINDOW_BYTES, Proxy, await_record, frame, frames, lane_frame,
                       last_status, open_frame, piece, record)
from ports import free_port
from stack import build_directory, wait_until
from worker_stack import Authority, WorkerStack

END_TO_END = build_directory() / 'tests' / 'end_to_end'
COPY_LOOP = END_TO_END / 'copy_loop'
BULK_COPIES = END_TO_END / 'bulk_copies'
LANES = 4


def cpu_used(process):
    """Ticks of its threads."""
    return sum(int(number) for number in Path(f'/proc/{process}/stat').read_text().rsplit(')', 1)[1].split()[11:13])


def rights(stack, program):
    output, _ = program.communicate(timeout=240)
    if program.returncode:
        raise AssertionError(f'{output}\n{stack.mediator.text()[-2000:]}\n{stack.worker.text()[-2000:]}')


def copying(stack):
    program = stack.mediator.spawn(COPY_LOOP)
    line = program.stdout.readline()
    if line != 'copying\n':
        raise AssertionError(line + stack.mediator.text()[-2000:] + stack.worker.text()[-2000:])
    return program


class Programs(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = WorkerStack('--worker-lanes', str(LANES))
        cls.stack.__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.stack.__exit__()

    def test_every_byte(self):
        """Several programs with several threads at once."""
        programs = [self.stack.mediator.spawn(BULK_COPIES) for _ in range(3)]
        wait_until(lambda: len(self.stack.worker.lanes()) == 3 * LANES, 'each has its lanes', 120)
        for program in programs:
            rights(self.stack, program)
        wait_until(lambda: not self.stack.worker.children(), 'the worker has no process left')

    def test_lane_is_killed(self):
        """One of a program that copies: its calls fail, another program's do not."""
        other = self.stack.mediator.spawn(BULK_COPIES)
        wait_until(lambda: len(self.stack.worker.lanes()) == LANES, 'it has its lanes', 120)
        before = set(self.stack.worker.lanes())
        program = copying(self.stack)
        victim = next(iter(set(self.stack.worker.lanes()) - before))
        os.kill(victim, signal.SIGKILL)
        output, _ = program.communicate(timeout=60)
        self.assertIn('CUDA_ERROR_DEVICE_UNAVAILABLE', output)
        rights(self.stack, other)
        self.stack.mediator.wait_for_line('lane')
        wait_until(lambda: not self.stack.worker.children(), 'the worker has no process left')
        rights(self.stack, self.stack.mediator.spawn(BULK_COPIES, 4))

    def test_channel_process_is_killed(self):
        program = copying(self.stack)
        channel = self.stack.worker.channels()[0]
        os.kill(channel, signal.SIGKILL)
        output, _ = program.communicate(timeout=60)
        self.assertIn('CUDA_ERROR_DEVICE_UNAVAILABLE', output)
        wait_until(lambda: not self.stack.worker.children(), 'its lanes end with it')

    def test_program_is_killed(self):
        program = copying(self.stack)
        program.kill()
        program.communicate()
        wait_until(lambda: not self.stack.mediator.executors(), 'the relay ends')
        wait_until(lambda: not self.stack.worker.children(), 'the worker gives everything back')


class Links(unittest.TestCase):
    def test_no_lanes(self):
        """Either side can do without."""
        for mediator, worker in ((0, 8), (LANES, 0)):
            with self.subTest(mediator=mediator, worker=worker), \
                    WorkerStack('--worker-lanes', str(mediator), worker_options=('--lanes-max', str(worker))) as stack:
                program = copying(stack)
                self.assertEqual(stack.worker.lanes(), [])
                program.kill()
                program.communicate()
                rights(stack, stack.mediator.spawn(BULK_COPIES, 4))

    def test_worker_has_fewer(self):
        with WorkerStack('--worker-lanes', '6', worker_options=('--lanes-max', '2')) as stack:
            program = copying(stack)
            self.assertEqual(len(stack.worker.lanes()), 2)
            program.kill()
            program.communicate()

    def test_packed_data_needs_none(self):
        with WorkerStack('--worker-lanes', '2', '--worker-pack', 'yes') as stack:
            program = copying(stack)
            self.assertEqual(stack.worker.lanes(), [])
            program.kill()
            program.communicate()

    def test_lane_is_cut(self):
        self.through_proxy(lambda proxy: proxy.cut([proxy.lane()]), 'lane')

    def test_lane_is_mute(self):
        """The link says that it is alive; the lane says nothing, and something is to come over it."""
        self.through_proxy(lambda proxy: setattr(proxy, 'muted', proxy.lane()), 'nothing comes over the lanes')

    def through_proxy(self, harm, reason):
        proxy = Proxy(free_port())
        with WorkerStack('--worker-lanes', '2', '--executor-stop-timeout', '2', silence_ms=2000,
                         connect_to=f'127.0.0.1:{proxy.port}') as stack:
            proxy.target = stack.worker.port
            program = copying(stack)
            harm(proxy)
            output, _ = program.communicate(timeout=60)
            self.assertIn('CUDA_ERROR_DEVICE_UNAVAILABLE', output)
            stack.mediator.wait_for_line(reason)
            wait_until(lambda: not stack.worker.children(), 'the worker has no process left')
            rights(stack, stack.mediator.spawn(BULK_COPIES, 2))
            proxy.close()

    def test_some_are_refused(self):
        """Something between them lets no more connections through: those that there are carry all of the data."""
        for swallows, passing in ((False, 2), (False, 0), (True, 1), (True, 0)):
            with self.subTest(swallows=swallows, passing=passing):
                self.some_are_refused(swallows, passing)

    def some_are_refused(self, swallows, passing):
        proxy = Proxy(free_port())
        with WorkerStack('--worker-lanes', str(LANES), connect_to=f'127.0.0.1:{proxy.port}') as stack:
            proxy.target = stack.worker.port
            stack.mediator.wait_for_line('it has 1 GPU')
            proxy.swallows = swallows
            proxy.pairs_max = len(proxy.pairs) + 1 + passing
            program = stack.mediator.spawn(BULK_COPIES, 2)
            # Looked at from the beginning, for a program on a busy machine may have ended when the line is seen.
            wait_until(lambda: len(stack.worker.lanes()) == passing, 'it has the lanes that there can be')
            stack.mediator.wait_for_line(f'{passing} of {LANES} lanes to the worker: worker .*')
            rights(stack, program)
            wait_until(lambda: not stack.worker.children(), 'the worker has no process left')
        proxy.close()

    def test_last_answer(self):
        """
        An executor that ends behind a large answer, which is on its way: the answer arrives, over the lanes and without
        any, then the program hears of the end.
        """
        for lanes in (0, 2):
            with self.subTest(lanes=lanes):
                self.last_answer(lanes)

    def last_answer(self, lanes):
        proxy = Proxy(free_port())
        proxy.is_slow = True
        with WorkerStack('--worker-lanes', str(lanes), connect_to=f'127.0.0.1:{proxy.port}',
                         worker_options=('--silence-ms', '60000'), silence_ms=60000) as stack:
            proxy.target = stack.worker.port
            program = stack.mediator.spawn(END_TO_END / 'last_answer', stdin=subprocess.PIPE)
            self.assertEqual(program.stdout.readline(), 'ready\n', stack.worker.text()[-2000:])
            executor = int(re.findall(r'executor pid (\d+)', stack.worker.text())[-1])
            before = proxy.bytes_back
            program.stdin.write('\n')
            program.stdin.flush()
            wait_until(lambda: proxy.bytes_back - before > 100000, 'the answer has begun')
            proxy.mute = True
            # It has given all of it when it does nothing more.
            used = -1
            while used != (used := cpu_used(executor)):
                time.sleep(0.5)
            os.kill(executor, signal.SIGKILL)
            wait_until(lambda: not Path(f'/proc/{executor}').exists(), 'the executor ends')
            # Longer than the worker needs to notice and a short farewell may take.
            time.sleep(2)
            self.assertLess(proxy.bytes_back - before, 8 << 20)
            proxy.mute = False
            output, _ = program.communicate(timeout=120)
            self.assertEqual(output, 'right\nCUDA_ERROR_DEVICE_UNAVAILABLE\n', stack.worker.text()[-2000:])
            stack.mediator.wait_for_line('worker: the executor was killed by signal 9')
            wait_until(lambda: not stack.worker.children(), 'the worker has no process left')
        proxy.close()

    def test_lanes_are_no_programs(self):
        """Where there is room for two programs, two have all their lanes, and a third is refused."""
        with WorkerStack('--worker-lanes', str(LANES), worker_options=('--connections-max', '2')) as stack:
            programs = [copying(stack) for _ in range(2)]
            self.assertEqual(len(stack.worker.lanes()), 2 * LANES)
            third = stack.mediator.run(COPY_LOOP)
            self.assertNotEqual(third.returncode, 0)
            for program in programs:
                program.kill()
                program.communicate()
            wait_until(lambda: not stack.worker.children(), 'the worker has no process left')
            rights(stack, stack.mediator.spawn(BULK_COPIES, 2))


class HostilePeers(unittest.TestCase):
    """Peers with good credentials, and the worker."""

    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory(prefix='vgpu-authority-')
        authority = Authority(Path(cls.temporary.name))
        cls.host = authority.host()
        cls.other_host = authority.host('other')
        cls.authority = authority.certificate
        # These peers say that they are alive by nothing but what the tests are about.
        cls.stack = WorkerStack('--worker-lanes', '2', worker_credentials=authority.worker(),
                                mediator_credentials=cls.host, worker_options=('--lanes-max', '2'), silence_ms=60000)
        cls.stack.__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.stack.__exit__()
        cls.temporary.cleanup()

    def connect(self, bundle=None):
        context = ssl.create_default_context(cafile=self.authority)
        context.load_cert_chain(bundle or self.host)
        plain = socket.create_connection(('127.0.0.1', self.stack.worker.port))
        peer = context.wrap_socket(plain, server_hostname='127.0.0.1')
        peer.settimeout(30)
        return peer

    @contextlib.contextmanager
    def channel(self, lanes=2):
        """A link that is ready, and the token for its lanes."""
        with self.connect() as peer:
            peer.sendall(open_frame(lanes=lanes))
            data = b''
            while not any(kind == STATUS for kind, _ in frames(data)):
                got = peer.recv(1 << 16)
                self.assertTrue(got, self.stack.worker.text()[-2000:])
                data += got
            offers = [payload for kind, payload in frames(data) if kind == OFFER]
            self.assertEqual(len(offers), 1 if lanes else 0)
            yield peer, offers[0][8:] if offers else None
        wait_until(lambda: not self.stack.worker.children(), 'the worker has no process left')

    def lane(self, token, bundle=None):
        peer = self.connect(bundle)
        peer.sendall(lane_frame(token))
        return peer

    def accepted(self, peer):
        answer = b''
        while len(answer) < 8 + 168:
            got = peer.recv(8 + 168 - len(answer))
            self.assertTrue(got, self.stack.worker.text()[-2000:])
            answer += got
        self.assertEqual(struct.unpack_from('<III', answer), (168, STATUS, 0))
        peer.sendall(LANE_BEGIN)
        return peer

    def refused(self, peer):
        with peer:
            self.assertEqual(last_status(peer), 'no channel has such a lane')

    def test_tokens(self):
        with self.channel() as (_, token):
            self.refused(self.lane(bytes(32)))
            self.refused(self.lane(token[:-1] + bytes([token[-1] ^ 1])))
            # The right one, of another host.
            self.refused(self.lane(token, self.other_host))
            with self.accepted(self.lane(token)), self.accepted(self.lane(token)):
                # It has all that it may have.
                self.refused(self.lane(token))
        self.refused(self.lane(token))

    def test_channel_without_lanes(self):
        with self.channel(0) as (_, token):
            self.assertIsNone(token)
            self.refused(self.lane(bytes(32)))

    def test_version(self):
        with self.channel() as (_, token), self.connect() as peer:
            peer.sendall(lane_frame(token, version=9))
            self.assertEqual(last_status(peer), 'a lane of another version')

    def test_pieces(self):
        """Each ends the link; so does what the worker cannot await."""
        cases = {
            'outside of the window': piece(0, WINDOW_BYTES, b'x'),
            'over its end': piece(0, WINDOW_BYTES - 100, b'x' * 200),
            'far away': piece(0, (1 << 64) - 8, b'x' * 16),
            'too large': piece(0, 0, b'', (256 << 10) + 1),
            'of 4 GiB': piece(0, 0, b'', 0xffffffff),
            'of nothing': piece(0, 0, b''),
            'far ahead': piece(4096, 0, b'x'),
            'long ago': piece((1 << 64) - 1, 0, b'x'),
            'of another kind': struct.pack('<QQII', 0, 0, 4, 1) + b'1234',
        }
        for name, data in cases.items():
            with self.subTest(name), self.channel() as (peer, token), self.accepted(self.lane(token)) as lane:
                lane.sendall(data)
                self.assertIn('a piece came that is none', last_status(peer) or '')

    def test_lane_that_is_not_used(self):
        """Its end is none of its channel's, which another lane serves; nor has anything to come over it before."""
        with self.channel() as (peer, token):
            unused = self.lane(token)
            self.assertTrue(unused.recv(1 << 16))
            unused.close()
            wait_until(lambda: not self.stack.worker.lanes(), 'it ends')
            with self.accepted(self.lane(token)) as lane:
                peer.sendall(frame(LANE_COUNT, struct.pack('<Q', 1)) + frame(COMMANDS, await_record(1) + record(64)))
                lane.sendall(piece(0, 0, b'x' * 70000))
                self.assertIn('HELLO', last_status(peer) or '')
        with self.channel() as (peer, token), self.lane(token) as lane:
            self.assertTrue(lane.recv(1 << 16))
            with contextlib.suppress(OSError):  # the worker may have closed it before all of it is sent
                lane.sendall(piece(0, 0, b'x' * 70000))
            wait_until(lambda: not self.stack.worker.lanes(), 'it ends')
            peer.sendall(frame(LANE_COUNT, struct.pack('<Q', 0)) + frame(COMMANDS, record(64)))
            self.assertIn('HELLO', last_status(peer) or '')

    def test_lanes_that_are_none(self):
        for name, data in (('more than offered', frame(LANE_COUNT, struct.pack('<Q', 3))), ('short', frame(LANE_COUNT, b'1234')),
                           ('an await of none', frame(LANE_COUNT, bytes(8)) + frame(COMMANDS, await_record(1)))):
            with self.subTest(name), self.channel() as (peer, _):
                peer.sendall(data)
                self.assertRegex(last_status(peer) or '', 'type 22|a record that is none')

    def test_awaited_pieces(self):
        """A record waits for the pieces before it, in whatever order they come."""
        request = await_record(2) + record(64)
        with self.channel() as (peer, token), self.accepted(self.lane(token)) as lane:
            peer.sendall(frame(COMMANDS, request))
            lane.sendall(piece(1, 0, b'x' * 70000))
            peer.settimeout(0.5)
            data = b''
            with contextlib.suppress(TimeoutError):
                while True:
                    data += peer.recv(1 << 16)
            # The executor has not seen it, else it would have refused a request before the greeting.
            self.assertNotIn(STATUS, [kind for kind, _ in frames(data)])
            peer.settimeout(30)
            lane.sendall(piece(0, 70000, b'y'))
            self.assertIn('HELLO', last_status(peer) or '')

    def test_many_lanes(self):
        """Who opens many, or says nothing on them, keeps nobody away for longer than they have to begin."""
        with self.channel() as (_, token):
            for _ in range(30):
                self.refused(self.lane(os.urandom(32)))
            silent = [socket.create_connection(('127.0.0.1', self.stack.worker.port)) for _ in range(20)]
            silent.append(self.connect())
            rights(self.stack, self.stack.mediator.spawn(BULK_COPIES, 2))
            for peer in silent:
                peer.settimeout(30)
                with contextlib.suppress(ConnectionError):
                    self.assertEqual(peer.recv(1), b'')
                peer.close()
            self.accepted(self.lane(token)).close()
        wait_until(lambda: not self.stack.worker.lanes(), 'no lane is left')

    def test_greeting_and_more(self):
        with self.channel() as (_, token), self.connect() as peer:
            peer.sendall(lane_frame(token) + piece(0, 0, b'x'))
            self.assertIn(last_status(peer), ('more than a greeting came', None))

    def test_open_after_lane(self):
        with self.connect() as peer:
            peer.sendall(frame(LANE, b'12'))
            self.assertIsNone(last_status(peer))


if __name__ == '__main__':
    tap.main()
