# SPDX-License-Identifier: Apache-2.0
"""Programs whose GPU is at a worker, and everything that can go wrong on the way there."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

import tap
from stack import Mediator, build_directory, wait_until
from worker_stack import COPY_LOOP, END_TO_END, EXAMPLES, Authority, WorkerStack, psk_write


class Options(unittest.TestCase):
    def run_worker(self, *options):
        done = subprocess.run([build_directory() / 'host/worker/vgpu-worker', *options], capture_output=True, text=True,
                              timeout=60, check=False)
        return done.returncode, done.stderr

    def test_wrong_values(self):
        for option in ('--listen=foo', '--listen=127.0.0.1:0', '--listen=127.0.0.1:99999', '--listen=127.0.0.1:http',
                       '--connections-max=0', '--connections-max=many', '--lanes-max=9', '--silence-ms=10',
                       '--silence-ms=', '--executor-users-count=0', '--executor-users-first=x',
                       '--compute-cache-mib=99999', '--host-memory-mib=much', '--host-tasks=-1'):
            code, words = self.run_worker(option)
            self.assertEqual(code, 2, option)
            self.assertIn(f'{option.split("=")[0]}: ', words)
        for option in '--executor-users-first=10', '--compute-cache=here', '--executor-cgroup=here', '--no-such-option', 'surplus':
            self.assertEqual(self.run_worker(option)[0], 2, option)

    def test_check(self):
        with tempfile.TemporaryDirectory() as folder:
            key = Path(folder, 'worker.psk')
            psk_write(key)
            driver = build_directory() / 'softgpu' / 'driver' / 'libsoftgpu.so.1'
            with socket.socket() as other:
                # Nothing listens, and so a place that is taken does not matter.
                other.bind(('127.0.0.1', 0))
                other.listen()
                listen = f'--listen=127.0.0.1:{other.getsockname()[1]}'
                code, words = self.run_worker('--check', listen, f'--credentials={key}', f'--driver={driver}')
            self.assertEqual(code, 0, words)
            self.assertIn('The options are right', words)
            key.write_text('psk short\n')
            code, words = self.run_worker('--check', f'--credentials={key}', '--executor=/nowhere/executor',
                                          '--driver=/nowhere/libcuda.so.1')
            self.assertEqual(code, 2)
            self.assertRegex(words, f'credentials: {key}: ')
            self.assertIn('executor: /nowhere/executor: No such file', words)
            self.assertIn('driver: /nowhere/libcuda.so.1: No such file', words)
            self.assertIn('No such file', self.run_worker('--check', '--credentials=/nowhere/pem')[1])
            # A start that could not succeed the next time either has the same code.
            for path in (key, '/nowhere/pem'):
                self.assertEqual(self.run_worker(f'--credentials={path}')[0], 2)


    def test_log_is_a_pipe(self):
        """The process of a connection has none of the worker's descriptors, and one of another number for its log."""
        shell = 'exec "$@" 2> >(cat)'
        for inherited in '', ' 3</dev/null':
            with WorkerStack(worker_wrapper=('bash', '-c', shell + inherited, 'bash')) as stack:
                done = stack.mediator.run(EXAMPLES / 'vector_add', 1000)
                self.assertEqual(done.returncode, 0, stack.mediator.text())
                for line in 'executor pid', 'closed: ':
                    wait_until(lambda: line in stack.worker.text(), line)

class Programs(unittest.TestCase):
    """With a pre-shared key, and no driver on the host."""

    @classmethod
    def setUpClass(cls):
        silence = '--executor-silence', '1500'
        cls.stack = WorkerStack(*silence, driver='/nonexistent/libcuda.so.1', silence_ms=3000, worker_options=silence)
        cls.stack.__enter__()
        cls.mediator = cls.stack.mediator

    @classmethod
    def tearDownClass(cls):
        cls.stack.__exit__()

    def passes(self, *command, **environment):
        done = self.mediator.run(*command, **environment)
        self.assertEqual(done.returncode, 0, f'{done.stdout}\n{done.stderr}\n{self.mediator.text()[-3000:]}\n'
                         f'{self.stack.worker.text()[-3000:]}')
        return done.stdout

    def copying(self):
        """A program that copies without end and has begun to."""
        program = self.mediator.spawn(COPY_LOOP)
        self.assertEqual(program.stdout.readline(), 'copying\n')
        return program

    def test_programs(self):
        self.assertIn('[5, 7, 9]', self.passes(EXAMPLES / 'vector_add', 1000000))
        self.passes(EXAMPLES / 'matrix_product')

    def test_host_functions(self):
        self.passes(END_TO_END / 'host_functions')
        self.passes(END_TO_END / 'host_functions', 'exit')

    def test_copies_of_graphs(self):
        self.passes(END_TO_END / 'graph_copies')
        self.passes(END_TO_END / 'graph_captures')

    def test_several_at_once(self):
        programs = [self.mediator.spawn(EXAMPLES / 'vector_add', 300000) for _ in range(4)]
        for program in programs:
            output, _ = program.communicate(timeout=120)
            self.assertEqual(program.returncode, 0, output)

    def test_counters(self):
        before = self.mediator.text().count('errors')
        self.passes(EXAMPLES / 'vector_add', 1000)
        line = wait_until(lambda: re.findall(r': (\d+) calls, 2 launches', self.mediator.text()[before:]),
                          'the channel reports its counters')
        self.assertGreater(int(line[-1]), 10)
        wait_until(lambda: re.findall(r'Total processed: [1-9]', self.mediator.text()), 'they are added up')

    def test_link_lost_in_a_copy(self):
        others = [self.mediator.spawn(EXAMPLES / 'vector_add', 1000000) for _ in range(2)]
        program = self.copying()
        os.kill(self.connection_of(program), signal.SIGKILL)
        output, _ = program.communicate(timeout=60)
        self.assertIn('CUDA_ERROR_DEVICE_UNAVAILABLE', output)
        for other in others:
            output, _ = other.communicate(timeout=120)
            self.assertEqual(other.returncode, 0, output)
        self.passes(EXAMPLES / 'vector_add', 1000)

    def connection_of(self, program):
        """The worker's process that serves the program: its socket is the other end of the relay's."""
        ports = self.ports_of(program)
        inodes = {fields[9] for fields in self.sockets()
                  if str(int(fields[2].split(':')[1], 16)) in ports and fields[1].endswith(f':{self.stack.worker.port:04X}')}
        for process in self.stack.worker.channels():
            # That of another program may just have ended.
            with contextlib.suppress(FileNotFoundError):
                if {f'socket:[{inode}]' for inode in inodes} & self.files_of(process):
                    return process
        raise AssertionError('no process of the worker serves the program')

    @staticmethod
    def sockets():
        return [line.split() for line in Path('/proc/net/tcp').read_text().splitlines()[1:]]

    @staticmethod
    def files_of(process):
        return {os.readlink(entry) for entry in Path(f'/proc/{process}/fd').iterdir() if entry.is_symlink()}

    @staticmethod
    def memory_of(process):
        """The files without a name that it has mapped."""
        with contextlib.suppress(FileNotFoundError):
            return {line.split()[4] for line in Path(f'/proc/{process}/maps').read_text().splitlines() if '/memfd:' in line}
        return set()

    def relay_of(self, program):
        """It has the memory of the program's channel. The log is limited: it may not tell."""
        relay, = (process for process in self.mediator.executors() if self.memory_of(process) & self.memory_of(program.pid))
        return relay

    def ports_of(self, program):
        """Those that the program's relay has at its ends of the link."""
        files = self.files_of(self.relay_of(program))
        return [str(int(fields[1].split(':')[1], 16)) for fields in self.sockets() if f'socket:[{fields[9]}]' in files]

    def executor_of(self, program):
        ports = '|'.join(self.ports_of(program))
        return int(re.findall(rf'127.0.0.1:(?:{ports}): .*executor pid (\d+)', self.stack.worker.text())[-1])

    def test_executor_killed(self):
        program = self.copying()
        os.kill(self.executor_of(program), signal.SIGKILL)
        output, _ = program.communicate(timeout=60)
        self.assertIn('CUDA_ERROR_DEVICE_UNAVAILABLE', output)
        self.mediator.wait_for_line(r'lost: worker: the executor was killed by signal 9 \(Killed\)')

    def test_executor_stopped(self):
        """Its connection is as lively as ever: the worker's main process sees it."""
        program = self.copying()
        os.kill(self.executor_of(program), signal.SIGSTOP)
        output, _ = program.communicate(timeout=60)
        self.assertIn('CUDA_ERROR_DEVICE_UNAVAILABLE', output)
        self.mediator.wait_for_line('lost: worker: the executor was stopped for longer than 1500 ms')
        self.assertIn('its executor was stopped for longer than 1500 ms: killed', self.stack.worker.text())
        wait_until(lambda: not self.stack.worker.children(), 'the worker gives everything back')

    def test_relay_stopped(self):
        program = self.copying()
        os.kill(self.relay_of(program), signal.SIGSTOP)
        output, _ = program.communicate(timeout=60)
        self.assertIn('CUDA_ERROR_DEVICE_UNAVAILABLE', output)
        self.mediator.wait_for_line('lost: the executor was stopped for longer than 1500 ms')
        wait_until(lambda: not self.stack.worker.children(), 'the worker gives everything back')

    def test_program_killed(self):
        program = self.copying()
        program.kill()
        program.communicate()
        wait_until(lambda: not self.mediator.executors(), 'the relay ends')
        wait_until(lambda: not self.stack.worker.children(), 'the worker gives everything back')

    def test_garbage_before_tls(self):
        for data in (b'GET / HTTP/1.0\r\n\r\n', b'\0' * 4096, b'\x16\x03\x01\xff\xff' + b'A' * 70000, b'\x16'):
            with socket.create_connection(('127.0.0.1', self.stack.worker.port)) as peer:
                try:
                    peer.sendall(data)
                except OSError:
                    pass
        with socket.create_connection(('127.0.0.1', self.stack.worker.port)) as silent:
            self.passes(EXAMPLES / 'vector_add', 1000)
            silent.settimeout(30)
            self.assertEqual(silent.recv(1), b'')  # the handshake's time is over

    def test_crowd_without_credentials(self):
        """Who has none keeps nobody out by being there, and does not fill the log."""
        with WorkerStack(worker_options=('--connections-max', '2')) as stack, contextlib.ExitStack() as crowd:
            stack.mediator.wait_for_line('it has')
            address = ('127.0.0.1', stack.worker.port)
            # More than there are places, and none of them says anything.
            for _ in range(60):
                crowd.enter_context(socket.create_connection(address))
            self.assertEqual(stack.mediator.run(EXAMPLES / 'vector_add', 1000).returncode, 0, stack.mediator.text())
            wait_until(lambda: 'makes room for 127.0.0.1' in stack.worker.text(), 'the worker says so')
            for _ in range(300):
                with socket.create_connection(address) as peer:
                    peer.sendall(b'garbage')
            self.assertEqual(stack.mediator.run(EXAMPLES / 'vector_add', 1000).returncode, 0, stack.mediator.text())
            self.assertLess(stack.worker.text().count('refused: TLS'), 150)

    def test_worker_restarts(self):
        program = self.copying()
        self.stack.worker.stop(signal.SIGKILL)
        output, _ = program.communicate(timeout=60)
        self.assertIn('CUDA_ERROR_DEVICE_UNAVAILABLE', output)
        # The next one finds no worker at first, and waits a little for it to return.
        waiting = self.mediator.spawn(EXAMPLES / 'vector_add', 1000)
        time.sleep(0.5)
        self.stack.worker.start()
        output, _ = waiting.communicate(timeout=60)
        self.assertEqual(waiting.returncode, 0, output)

    def test_nothing_is_left(self):
        self.passes(EXAMPLES / 'vector_add', 1000)
        wait_until(lambda: not self.mediator.executors(), 'relays end')
        descriptors = self.mediator.file_descriptors()
        for _ in range(10):
            self.passes(EXAMPLES / 'vector_add', 1000)
        wait_until(lambda: not self.mediator.executors(), 'relays end')
        wait_until(lambda: self.mediator.file_descriptors() <= descriptors, 'descriptors are given back')
        wait_until(lambda: not self.stack.worker.children(), 'the worker has no process left')


class ReachingTheHost(unittest.TestCase):
    """The worker's own setting counts: it is its memory."""

    def run_at(self, *worker_options):
        with WorkerStack('--allow-pageable-access', 'yes', worker_options=worker_options,
                         worker_environment={'SOFTGPU_PAGEABLE_ACCESS': '1'}) as stack:
            done = stack.mediator.run(EXAMPLES / 'vector_add', 1000)
            return done, stack.worker.text()

    def test_refused(self):
        done, log = self.run_at()
        self.assertNotEqual(done.returncode, 0)
        self.assertIn('CUDA_ERROR_SYSTEM_NOT_READY', done.stdout + done.stderr)
        self.assertIn('GPU 0 is not used: its kernels reach all memory of their process', log)

    def test_allowed(self):
        done, log = self.run_at('--allow-pageable-access')
        self.assertEqual(done.returncode, 0, f'{done.stdout}{done.stderr}{log}')


@unittest.skipUnless((END_TO_END / 'ipc').exists(), 'cmocka is not installed')
class Sharing(unittest.TestCase):
    """CUDA IPC between programs of one tenant at one worker."""

    def test_parent_and_child(self):
        with WorkerStack() as stack:
            done = stack.mediator.run(END_TO_END / 'ipc', CMOCKA_MESSAGE_OUTPUT='TAP')
            self.assertEqual(done.returncode, 0, f'{done.stdout}\n{done.stderr}\n{stack.worker.text()[-4000:]}')

    def test_pool(self):
        with WorkerStack() as stack:
            done = stack.mediator.run(END_TO_END / 'shared_pool', CMOCKA_MESSAGE_OUTPUT='TAP')
            self.assertEqual(done.returncode, 0, f'{done.stdout}\n{done.stderr}\n{stack.worker.text()[-4000:]}')

    def test_exported_memory(self):
        with WorkerStack() as stack:
            done = stack.mediator.run(END_TO_END / 'shared_allocation', CMOCKA_MESSAGE_OUTPUT='TAP')
            self.assertEqual(done.returncode, 0, f'{done.stdout}\n{done.stderr}\n{stack.worker.text()[-4000:]}')
            wait_until(lambda: not stack.worker.children(), 'the worker has no process left')
            descriptors = Path(f'/proc/{stack.worker.process.pid}/fd')
            before = len(list(descriptors.iterdir()))
            done = stack.mediator.run(END_TO_END / 'shared_allocation', 'many')
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            # As many as a tenant may have, or a quarter of what the service may have open.
            self.assertGreater(json.loads(done.stdout.splitlines()[-1])['exported'], 100)
            self.assertEqual(json.loads(done.stdout.splitlines()[-1])['result'], 2)
            wait_until(lambda: len(list(descriptors.iterdir())) <= before, 'they are closed')

    def test_tenants(self):
        """Another tenant opens nothing, nor does anybody when the process that has published is gone."""
        with WorkerStack('--tenant-per-program', 'yes') as stack:
            other = stack.directory / 'other'
            other.symlink_to(END_TO_END / 'ipc')
            with self.given(stack) as handles:
                self.take(stack.mediator, other, handles, 2)
                self.take(stack.mediator, END_TO_END / 'ipc', handles, 0)
            wait_until(lambda: not stack.worker.children(), 'the worker has no process left')
            self.take(stack.mediator, END_TO_END / 'ipc', handles, 2)

    def test_hosts(self):
        """A tenant of the same name that another host's certificate speaks for is another one."""
        with tempfile.TemporaryDirectory(prefix='vgpu-authority-') as folder:
            authority = Authority(Path(folder))
            options = {'worker_credentials': authority.worker(),
                       'mediator_credentials': authority.host()}
            with WorkerStack(**options) as stack, \
                    Mediator('--worker', f'A=127.0.0.1:{stack.worker.port}', '--worker-credentials',
                             str(authority.host('elsewhere'))) as elsewhere, self.given(stack) as handles:
                self.take(elsewhere, END_TO_END / 'ipc', handles, 2)
                self.take(stack.mediator, END_TO_END / 'ipc', handles, 0)

    def test_processes_are_listed(self):
        """NVML: the tenant's own at that worker, and what they have."""
        use = build_directory() / 'tests' / 'nvml' / 'use'
        library = {'VGPU_TEST_NVML': str(build_directory() / 'guest' / 'libnvml' / 'libnvidia-ml.so.1')}
        with WorkerStack('--tenant-per-program', 'yes') as stack:
            other = stack.directory / 'other'
            other.symlink_to(use)
            holders = [stack.mediator.spawn(program, 'hold', 32 << 20, stdin=subprocess.PIPE, **library)
                       for program in (use, other)]
            for holder in holders:
                self.assertEqual(holder.stdout.readline(), 'held\n')
            listed = stack.mediator.run(use, 'list', **library)
            self.assertEqual(listed.stdout, f'{holders[0].pid} {32 << 20}\n', listed.stderr + stack.worker.text())
            for holder in holders:
                holder.communicate('end\n', timeout=60)

    def take(self, mediator, program, handles, status):
        done = mediator.run(program, 'take', handles)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)

    @contextlib.contextmanager
    def given(self, stack):
        """A file with handles of what a program has that runs meanwhile."""
        handles = stack.directory / 'handles'
        giver = stack.mediator.spawn(END_TO_END / 'ipc', 'give', handles, stdin=subprocess.PIPE)
        try:
            self.assertEqual(giver.stdout.readline(), 'given\n')
            yield handles
        finally:
            giver.communicate(timeout=60)


if __name__ == '__main__':
    tap.main()
