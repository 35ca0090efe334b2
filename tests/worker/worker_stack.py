# SPDX-License-Identifier: Apache-2.0
"""A mediator whose pool A has its GPU at a real vgpu-worker on the loopback interface."""

import collections
import os
import secrets
import select
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from ports import free_port
from processes import children_of
from stack import Mediator, build_directory, wait_until


NEAR, FAR = '10.79.0.1', '10.79.0.2'

EXAMPLES = build_directory() / 'examples'
END_TO_END = build_directory() / 'tests' / 'end_to_end'
COPY_LOOP = END_TO_END / 'copy_loop'


def psk_write(path):
    path.write_text(f'psk {secrets.token_hex(32)}\n')
    return path


class Authority:
    """Certificates by the openssl command, as docs/operations.md has them made."""

    def __init__(self, directory, name='authority'):
        self.directory = directory
        self.key = directory / f'{name}.key'
        self.certificate = directory / f'{name}.crt'
        self._openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2',
                      '-subj', f'/CN={name}', '-keyout', self.key, '-out', self.certificate)

    @staticmethod
    def _openssl(*arguments):
        subprocess.run(['openssl', *[str(a) for a in arguments]], check=True, capture_output=True)

    def worker(self, name='worker', address='127.0.0.1'):
        """The file of a worker that is reached at that address."""
        return self._bundle(name, 'extendedKeyUsage=serverAuth', f'subjectAltName=IP:{address}')

    def host(self, name='host'):
        """The file of a mediator's host."""
        return self._bundle(name, 'extendedKeyUsage=clientAuth')

    def _bundle(self, name, *extensions_given):
        """One file with certificate, key and authority."""
        key, request, certificate = (self.directory / f'{name}.{end}' for end in ('key', 'csr', 'crt'))
        extensions = self.directory / f'{name}.ext'
        extensions.write_text('\n'.join(extensions_given))
        self._openssl('req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', f'/CN={name}',
                      '-keyout', key, '-out', request)
        self._openssl('x509', '-req', '-in', request, '-CA', self.certificate, '-CAkey', self.key, '-CAcreateserial',
                      '-days', '2', '-extfile', extensions, '-out', certificate)
        bundle = self.directory / f'{name}.pem'
        bundle.write_bytes(certificate.read_bytes() + key.read_bytes() + self.certificate.read_bytes())
        return bundle


class Worker:
    """A running vgpu-worker."""

    def __init__(self, directory, credentials, *options, address='127.0.0.1', port=None, wrapper=(), environment=None):
        self.build = build_directory()
        self.log = directory / 'worker.log'
        self.address = address
        self.port = port or free_port()
        self.command = [*wrapper, str(self.build / 'host' / 'worker' / 'vgpu-worker'), '--listen',
                        f'{address}:{self.port}', '--credentials', str(credentials), '--driver',
                        str(self.build / 'softgpu' / 'driver' / 'libsoftgpu.so.1'), *options]
        self.environment = environment or {}
        self.process = None

    def start(self):
        before = len(self.text())
        with open(self.log, 'a') as output:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                            env={**os.environ, **self.environment})
        wait_until(lambda: 'listens on' in self.text()[before:] or self.process.poll() is not None,
                   'the worker listens')
        if self.process.poll() is not None:
            raise AssertionError(self.text())
        return self

    def stop(self, how=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(30)

    def text(self):
        return self.log.read_text(errors='replace') if self.log.exists() else ''

    def children(self):
        """Processes of connections, but for those that only watch the GPUs, and executors."""
        return [number for number in children_of(self.process.pid) if self._name(number) != 'vgpu-watch']

    def lanes(self):
        return [process for process in self.children() if self._name(process) == 'vgpu-lane']

    def channels(self):
        """Those that serve a program each, without their lanes and executors."""
        return [process for process in self.children() if self._name(process) == 'vgpu-worker']

    @staticmethod
    def _name(process):
        try:
            return Path(f'/proc/{process}/comm').read_text().strip()
        except OSError:
            return None


class WorkerStack:
    """Both, with a pre-shared key unless credentials are given. A context manager."""

    def __init__(self, *options, worker_credentials=None, mediator_credentials=None, worker_options=(), driver=None,
                 address='127.0.0.1', worker_wrapper=(), silence_ms=10000, connect_to=None, worker_environment=None):
        self.temporary = tempfile.TemporaryDirectory(prefix='vgpu-worker-test-')
        self.directory = Path(self.temporary.name)
        key = psk_write(self.directory / 'key.psk')
        self.worker = Worker(self.directory, worker_credentials or key, '--silence-ms', str(silence_ms),
                             *worker_options, address=address, wrapper=worker_wrapper, environment=worker_environment)
        self.mediator = Mediator('--worker', f'A={connect_to or f"{address}:{self.worker.port}"}',
                                 '--worker-credentials', str(mediator_credentials or key), '--worker-silence',
                                 str(silence_ms), *options, directory=self.directory, driver=driver)

    def __enter__(self):
        self.worker.start()
        try:
            self.mediator.start()
        except BaseException:
            self.worker.stop()
            raise
        return self

    def __exit__(self, *_):
        self.mediator.__exit__()
        self.worker.stop()
        self.temporary.cleanup()


class DelayLine:
    """
    Forwards connections to a port of this machine, every piece that long after it came, and each direction of a
    connection at no more than 'rate' bytes a second.
    """

    def __init__(self, seconds, rate=0):
        self.seconds = seconds
        self.rate = rate
        self.target = None
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            near, _ = self.listener.accept()
            try:
                far = socket.create_connection(('127.0.0.1', self.target))
            except OSError:
                near.close()
                continue
            for end in (near, far):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # A process of its own: threads of one Python would take turns.
            if os.fork() == 0:
                self._forward(near, far)
                os._exit(0)
            near.close()
            far.close()

    def _forward(self, near, far):
        waiting = {near: collections.deque(), far: collections.deque()}
        free_at = {near: 0, far: 0}
        other = {near: far, far: near}
        # A line that is full takes nothing, so that the sender notices.
        most = 1 << 17 if self.rate else 1 << 20
        while True:
            firsts = [queue[0][0] for queue in waiting.values() if queue]
            pause = max(0, min(firsts) - time.monotonic()) if firsts else None
            # select() comes late by as much as the delay itself: the last bit is spun.
            open_ends = [end for end in (near, far) if not self.rate or free_at[end] <= time.monotonic()]
            if len(open_ends) < 2:
                full = max(0, max(free_at.values()) - time.monotonic())
                pause = full if pause is None else min(pause, full)
            ready = select.select(open_ends, [], [], None if pause is None else max(0, pause - 0.0002))[0]
            now = time.monotonic()
            for source in ready:
                data = source.recv(most)
                if not data:
                    return
                if self.rate:
                    free_at[source] = max(free_at[source], now) + len(data) / self.rate
                waiting[source].append((max(now, free_at[source]) + self.seconds, data))
            for source, queue in waiting.items():
                while queue and queue[0][0] <= time.monotonic():
                    other[source].sendall(queue.popleft()[1])


class Namespace:
    """A network namespace behind a veth pair with netem's delay on both ends. Raises OSError where that is impossible."""

    NAME = 'vgpu-test'

    def __init__(self, delay_ms):
        delay = f'{delay_ms}ms'
        inside = ('ip', 'netns', 'exec', self.NAME)
        try:
            for command in (('ip', 'netns', 'add', self.NAME),
                            ('ip', 'link', 'add', 'vgpu-near', 'type', 'veth', 'peer', 'name', 'vgpu-far'),
                            ('ip', 'link', 'set', 'vgpu-far', 'netns', self.NAME),
                            ('ip', 'address', 'add', f'{NEAR}/30', 'dev', 'vgpu-near'),
                            ('ip', 'link', 'set', 'vgpu-near', 'up'),
                            (*inside, 'ip', 'address', 'add', f'{FAR}/30', 'dev', 'vgpu-far'),
                            (*inside, 'ip', 'link', 'set', 'vgpu-far', 'up'),
                            ('tc', 'qdisc', 'add', 'dev', 'vgpu-near', 'root', 'netem', 'delay', delay, 'limit', '100000'),
                            (*inside, 'tc', 'qdisc', 'add', 'dev', 'vgpu-far', 'root', 'netem', 'delay', delay, 'limit',
                             '100000')):
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                if done.returncode:
                    raise OSError(f'{" ".join(command)}: {done.stderr.strip()}')
        except OSError:
            self.close()
            raise
        self.wrapper = inside

    def close(self):
        subprocess.run(('ip', 'netns', 'del', self.NAME), capture_output=True, check=False)
        subprocess.run(('ip', 'link', 'del', 'vgpu-near'), capture_output=True, check=False)
