# SPDX-License-Identifier: Apache-2.0
"""Who may use a worker, whose worker is used, and what either side makes of a hostile peer."""

import itertools
import os
import re
import signal
import socket
import ssl
import struct
import subprocess
import tempfile
import unittest
from pathlib import Path

import tap
from ports import free_port
from stack import ROOT, build_directory, wait_until
from link_peer import (ALIVE, CALLED, CHANNEL_BYTES, COMMANDS, COUNTERS, DELIVER, DOWNLOAD, DOWNLOAD_PACKED, FETCH,
                       FLAG_WATCH, FUNCTION_BYTES, OFFER, OPEN, PERMIT, RELEASED, REPLIES, RETURNED, SCHEDULE, STATUS,
                       TAKEN, TEXT, UPLOAD, UPLOAD_PACKED, WINDOW_BYTES, await_record, called_frame, frame, lane_frame,
                       last_status, offer_frame, open_frame, packed, record)
from worker_stack import EXAMPLES, Authority, Worker, WorkerStack, psk_write

VGPU_ADMIN = build_directory() / 'host' / 'admin' / 'vgpu-admin'
EXECUTOR_HUNG = 13  # VGPU_ERROR_EXECUTOR_HUNG


class Credentials(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory(prefix='vgpu-authority-')
        cls.directory = Path(cls.temporary.name)
        authority = Authority(cls.directory)
        cls.worker = authority.worker()
        cls.host = authority.host()
        cls.elsewhere = authority.worker('elsewhere', address='127.0.0.9')
        other = Authority(cls.directory, 'other')
        cls.strange_worker, cls.strange_host = other.worker('strange-worker'), other.host('strange-host')
        cls.key = psk_write(cls.directory / 'one.psk')
        cls.other_key = psk_write(cls.directory / 'two.psk')

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    def outcome(self, worker, host):
        with WorkerStack(worker_credentials=worker, mediator_credentials=host) as stack:
            done = stack.mediator.run(EXAMPLES / 'vector_add', 1000)
            return done.returncode, done.stdout + done.stderr, stack.worker.text()

    def refused(self, worker, host):
        code, output, log = self.outcome(worker, host)
        self.assertNotEqual(code, 0, output)
        self.assertNotIn('executor pid', log)
        self.assertIn('worker', output)  # the program's user learns where to look
        return output

    def test_certificates(self):
        code, output, _ = self.outcome(self.worker, self.host)
        self.assertEqual(code, 0, output)

    def test_certificates_of_the_guide(self):
        """Made by its commands they are for what they are for, and nothing else."""
        lines = (ROOT / 'docs' / 'operations.md').read_text().splitlines()
        begin = next(i for i, line in enumerate(lines) if line.startswith('    openssl req -x509'))
        commands = '\n'.join(itertools.takewhile(lambda line: line.startswith('    '), lines[begin:]))
        folder = self.directory / 'guide'
        folder.mkdir()
        subprocess.run(['bash', '-ec', commands.replace('192.168.1.100', '127.0.0.1')], cwd=folder, check=True,
                       capture_output=True, timeout=60)
        worker, host = folder / 'worker.pem', folder / 'host.pem'
        code, output, _ = self.outcome(worker, host)
        self.assertEqual(code, 0, output)
        self.assertIn('certificate', self.refused(host, host))
        self.refused(worker, worker)

    def test_unknown_host(self):
        self.refused(self.worker, self.strange_host)

    def test_unknown_worker(self):
        self.assertIn('certificate', self.refused(self.strange_worker, self.host))

    def test_certificate_of_another_address(self):
        self.assertIn('mismatch', self.refused(self.elsewhere, self.host))

    def test_other_key(self):
        self.refused(self.key, self.other_key)

    def test_key_against_certificate(self):
        self.refused(self.worker, self.key)
        self.refused(self.key, self.host)

    def test_unusable_files(self):
        for name, content in (('empty', ''), ('short', 'psk 0011\n'), ('odd', f'psk {"0" * 65}\n'),
                              ('text', 'hello\n'), ('certificate', (self.directory / 'host.crt').read_text())):
            path = self.directory / f'{name}.bad'
            path.write_text(content)
            with self.subTest(name), self.assertRaises(AssertionError):
                Worker(self.directory, path).start()


class HostilePeers(unittest.TestCase):
    """After a good handshake: what either side makes of frames that are none."""

    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory(prefix='vgpu-authority-')
        cls.directory = Path(cls.temporary.name)
        authority = Authority(cls.directory)
        cls.worker_bundle = authority.worker()
        cls.host_bundle = authority.host()
        cls.authority = authority.certificate
        cls.stack = WorkerStack(worker_credentials=cls.worker_bundle, mediator_credentials=cls.host_bundle,
                                worker_options=('--executor-silence', '0'))
        cls.stack.__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.stack.__exit__()
        cls.temporary.cleanup()

    def connect(self):
        context = ssl.create_default_context(cafile=self.authority)
        context.load_cert_chain(self.host_bundle)
        plain = socket.create_connection(('127.0.0.1', self.stack.worker.port))
        peer = context.wrap_socket(plain, server_hostname='127.0.0.1')
        peer.settimeout(30)
        return peer

    def test_worker_refuses(self):
        upload = struct.pack('<Q', WINDOW_BYTES - 100) + b'x' * 1000
        def permit(word):
            return struct.pack('<II11Q', word, 0, 0, 0, 0, *[0] * 8)

        no_record = 'a record that is none'
        cases = {
            'no open': (frame(ALIVE), None),
            'a version of the future': (open_frame(version=9), 'link version 9'),
            'an open of the past': (frame(OPEN, struct.pack('<IIIIQ', 2, 7, 0, ord('A'), CHANNEL_BYTES)),
                                    'link version 2'),
            'a tiny channel': (open_frame(channel_bytes=4096), 'a channel of 4096 bytes'),
            'an enormous channel': (open_frame(channel_bytes=1 << 40), 'a channel of 1099511627776 bytes'),
            'windows of another size': (open_frame(window_bytes=1 << 20), 'lays a channel out in another way'),
            'a short open': (frame(OPEN, b'12'), None),
            'a frame of 4 GiB': (open_frame() + struct.pack('<II', 0xffffffff, COMMANDS), 'a frame of type 3 and'),
            'an unknown frame': (open_frame() + frame(99), 'a frame of type 99 and'),
            'a frame of the other direction': (open_frame() + frame(REPLIES, record(64)), 'type 5'),
            'a second open': (open_frame() + open_frame(), 'type 1'),
            'half a record': (open_frame() + frame(COMMANDS, b'12345678'), no_record),
            'a record longer than the frame': (open_frame() + frame(COMMANDS, record(1, length=64)), no_record),
            'a record of no length': (open_frame() + frame(COMMANDS, record(1, length=0)), no_record),
            'a record of odd length': (open_frame() + frame(COMMANDS, record(1, b'1' * 9)), no_record),
            'padding': (open_frame() + frame(COMMANDS, record(0)), no_record),
            'an upload over the end': (open_frame() + frame(UPLOAD, upload), 'type 4'),
            'an upload far ahead': (open_frame() + frame(UPLOAD, struct.pack('<Q', 1 << 50) + b'x'), 'type 4'),
            'an upload of nothing': (open_frame() + frame(UPLOAD, b'1234'), 'type 4'),
            'a packed upload that grows': (open_frame() + frame(UPLOAD_PACKED, packed(0, 100, 1 << 17)), 'type 17'),
            'a packed upload that is less': (open_frame() + frame(UPLOAD_PACKED, packed(0, 1 << 17, 100)), 'type 17'),
            'a packed upload of a MiB': (open_frame() + frame(UPLOAD_PACKED, packed(0, 1 << 20, 1 << 20)), 'type 17'),
            'a packed upload over the end': (open_frame() + frame(UPLOAD_PACKED, packed(WINDOW_BYTES - 100, 1000, 1000)),
                                             'type 17'),
            'a packed upload that is none': (open_frame() + frame(UPLOAD_PACKED, packed(0, 100, 100)[:-8]), 'type 17'),
            'a short packed upload': (open_frame() + frame(UPLOAD_PACKED, b'12345678'), 'type 17'),
            'what a packed upload may be': (open_frame() + frame(UPLOAD_PACKED, packed(0, 1 << 17, 1 << 17)) +
                                            frame(99), 'a frame of type 99 and'),
            'a return from no function': (open_frame() + frame(RETURNED, struct.pack('<Q', 1)), 'type 13'),
            'a short return': (open_frame() + frame(RETURNED, b'1234'), 'type 13'),
            'a return with a piece that nobody wants': (open_frame() + frame(RETURNED, struct.pack('<Q', 0) + b'x' * 64),
                                                        'type 13'),
            'replies taken that were not sent': (open_frame() + frame(TAKEN, struct.pack('<Q', 8)), 'type 14'),
            'a short permit': (open_frame() + frame(PERMIT, permit(4)[:-8]), 'type 15'),
            'an await of no lane': (open_frame() + frame(COMMANDS, await_record(1)), no_record),
            'an await of more than can come': (open_frame(lanes=1) + frame(COMMANDS, await_record(4097)), no_record),
            'a lane on a channel': (open_frame() + lane_frame(bytes(32)), 'type 21'),
            'a request before the greeting': (open_frame() + frame(COMMANDS, record(64)), 'HELLO'),
        }
        for name, (data, reason) in cases.items():
            with self.subTest(name), self.connect() as peer:
                try:
                    peer.sendall(data)
                except OSError:
                    pass
                text = last_status(peer)
                if reason:
                    self.assertIn(reason, text or '')
        done = self.stack.mediator.run(EXAMPLES / 'vector_add', 1000)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        wait_until(lambda: not self.stack.worker.children(), 'the worker has no process left')

    def test_more_records_than_may_be_on_the_way(self):
        with self.connect() as peer:
            peer.sendall(open_frame())
            ready = b''
            while len(ready) < 8 + 168:
                got = peer.recv(8 + 168 - len(ready))
                self.assertTrue(got, self.stack.worker.text())
                ready += got
            self.assertEqual(struct.unpack_from('<III', ready), (168, STATUS, 0))
            executor = int(re.findall(r'vm:7: executor pid (\d+)', self.stack.worker.text())[-1])
            os.kill(executor, signal.SIGSTOP)
            # A ring of a MiB, and half of one that waits for it.
            records = frame(COMMANDS, 4 * record(1, bytes((1 << 16) - 16)))
            try:
                peer.sendall(records * 12)
            except OSError:
                pass
            self.assertIn('type 3', last_status(peer) or '')
        wait_until(lambda: not self.stack.worker.children(), 'the worker has no process left')

    def server_context(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.worker_bundle)
        context.load_verify_locations(self.authority)
        context.verify_mode = ssl.CERT_REQUIRED
        return context

    @staticmethod
    def relay_accept(context, listener):
        """One that has sent its OPEN, and whether it only watches."""
        plain, _ = listener.accept()
        plain.settimeout(30)
        peer = context.wrap_socket(plain, server_side=True)
        first = b''
        while len(first) < len(open_frame()):
            first += peer.recv(len(open_frame()) - len(first))
        return peer, bool(struct.unpack_from('<I', first, len(open_frame()) - 24)[0] & FLAG_WATCH)

    def channel_accept(self, context, listener):
        """One of a channel; those that only watch are sent away."""
        while True:
            peer, is_watch = self.relay_accept(context, listener)
            if not is_watch:
                return peer
            peer.close()

    def test_relay_refuses(self):
        context = self.server_context()
        ready = frame(STATUS, struct.pack('<II160s', 0, 0, b''))
        cases = {
            'no status': frame(REPLIES, b''),
            'a frame of 4 GiB': ready + struct.pack('<II', 0xffffffff, REPLIES),
            'an unknown frame': ready + frame(77),
            'a frame of the other direction': ready + frame(COMMANDS, record(1)),
            'half a record': ready + frame(REPLIES, b'12345678'),
            'a record longer than the frame': ready + frame(REPLIES, record(1, length=4096)),
            'padding': ready + frame(REPLIES, record(0)),
            'a download outside of the window': ready + frame(DOWNLOAD, struct.pack('<Q', 1 << 40) + b'x'),
            'a download over the end': ready + frame(DOWNLOAD, struct.pack('<Q', WINDOW_BYTES - 100) + b'x' * 1000),
            'a release of what was not used': ready + frame(RELEASED, struct.pack('<Q', 1 << 20)),
            'counters of another size': ready + frame(COUNTERS, b'1234'),
            'a function out of turn': ready + called_frame(2),
            'a function before another has returned': ready + called_frame(1) + called_frame(2),
            'a short function': ready + frame(CALLED, b'1234'),
            'records taken that were not sent': ready + frame(TAKEN, struct.pack('<Q', 1 << 20)),
            'a short schedule': ready + frame(SCHEDULE, b'12345678'),
            'a charge beyond any memory': ready + frame(SCHEDULE, struct.pack('<24Q', *[1 << 60] * 24)),
            'a packed download that grows': ready + frame(DOWNLOAD_PACKED, packed(0, 100, 1 << 17)),
            'a packed download outside of the window': ready + frame(DOWNLOAD_PACKED, packed(1 << 40, 100, 100)),
            'a piece that is not there': ready + called_frame(1, DELIVER, 64),
            'a piece of another size': ready + called_frame(1, DELIVER, 64, b'x' * 65),
            'a piece with no use': ready + called_frame(1, FETCH, 64, b'x' * 64),
            'more than the function window': ready + called_frame(1, DELIVER, FUNCTION_BYTES + 8,
                                                                  b'x' * (FUNCTION_BYTES + 8)),
            'a line that is too long': ready + frame(TEXT, b'x' * 513),
            'an await of no lane': ready + frame(REPLIES, await_record(1)),
            'an offer of many lanes': offer_frame(99),
            'an offer of no lane': offer_frame(0),
            'a short offer': frame(OFFER, b'1234'),
            'an offer when all has begun': ready + offer_frame(1),
            'nothing, and then the end': ready,
        }
        port = free_port()
        with WorkerStack(connect_to=f'127.0.0.1:{port}', mediator_credentials=self.host_bundle,
                         worker_credentials=self.worker_bundle) as stack, \
                socket.create_server(('127.0.0.1', port)) as listener:
            listener.settimeout(30)
            for name, data in cases.items():
                with self.subTest(name):
                    program = stack.mediator.spawn(EXAMPLES / 'vector_add', 1000)
                    with self.channel_accept(context, listener) as peer:
                        peer.sendall(data)
                        output, _ = program.communicate(timeout=60) if name != 'nothing, and then the end' else ('', 0)
                    output = output or program.communicate(timeout=60)[0]
                    self.assertNotEqual(program.returncode, 0, output)
            wait_until(lambda: not stack.mediator.executors(), 'no relay is left')
            self.assertIsNone(stack.mediator.process.poll())
            for kind, count in ((TAKEN, 1), (SCHEDULE, 2), (DOWNLOAD_PACKED, 2)):
                # In its own words, for the mediator leaves out some of its lines where there are many.
                found = re.findall(rf'\[vgpu-relay\] the worker sent a frame of type {kind} that', stack.mediator.text())
                self.assertGreaterEqual(len(found), count)

    def test_hangs_that_are_told(self):
        """A worker's GPU hangs, with all its instances, where relays of two tenants say so: one may have been taken over."""
        context = self.server_context()
        port = free_port()
        devices = ('device=0 name="a" uuid=GPU-1 memory=1', 'device=1 name="b" uuid=MIG-2 memory=1 pci=0000:02:00.0',
                   'device=2 name="c" uuid=MIG-3 memory=1 pci=0000:02:00.0')
        listing = '\n'.join(('driver_version=12080', *devices, 'ready', '')).encode()
        with WorkerStack('--tenant-per-program', 'yes', connect_to=f'127.0.0.1:{port}', mediator_credentials=self.host_bundle,
                         worker_credentials=self.worker_bundle) as stack, \
                socket.create_server(('127.0.0.1', port)) as listener:
            listener.settimeout(30)
            watches = []

            def watch_accept():
                peer, is_watch = self.relay_accept(context, listener)
                if is_watch:
                    watches.append(peer)
                    peer.sendall(frame(TEXT, listing))
                return None if is_watch else peer

            def hang(name, place):
                path = stack.directory / name
                if not path.exists():
                    path.symlink_to(EXAMPLES / 'vector_add')
                program = stack.mediator.spawn(path, 1000)
                peer = None
                while not peer:
                    peer = watch_accept()
                with peer:
                    peer.sendall(frame(STATUS, struct.pack('<II160s', 0, 0, b'')) +
                                 frame(STATUS, struct.pack('<II160s', EXECUTOR_HUNG, place, b'it hangs')))
                    self.assertNotEqual(program.wait(timeout=60), 0)
                program.communicate()
                told = re.findall(r'GPU \S*(#\d|:\d+): executors of several tenants were stuck', stack.mediator.text())
                shown = subprocess.run([VGPU_ADMIN, f'--socket={stack.mediator.socket}.admin', 'show-metrics', '--prometheus'],
                                       capture_output=True, text=True, timeout=60, check=True).stdout
                return told, dict(re.findall(r'^vgpu_gpu_hangs_total{.*uuid="(\S*)"} (\d+)$', shown, re.M))

            while not watches:
                watch_accept()
            stack.mediator.wait_for_line('it has 3 GPUs')
            for count in '1', '2':
                self.assertEqual(hang('one', 0x200), ([], {'MIG-2': count, 'MIG-3': count}))
            self.assertEqual(hang('two', 0x200), (['#1', '#2'], {'MIG-2': '3', 'MIG-3': '3'}))
            # Which one is not known: that is no place.
            self.assertEqual(hang('two', 0xffffffff), (['#1', '#2'], {'GPU-1': '1', 'MIG-2': '4', 'MIG-3': '4'}))
            for watch in watches:
                watch.close()


if __name__ == '__main__':
    tap.main()
