# SPDX-License-Identifier: Apache-2.0
"""Programs whose GPU is at a worker, and everything that can go wrong on the way there."""

import collections
import contextlib
import itertools
import json
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
from ports import free_port
from stack import ROOT, Mediator, build_directory, executor_without_sandbox, wait_until
from link_peer import (ALIVE, CALLED, CHANNEL_BYTES, COMMANDS, COUNTERS, DELIVER, DOWNLOAD, DOWNLOAD_PACKED, FETCH,
                       FLAG_WATCH, FUNCTION_BYTES, OFFER, OPEN, PERMIT, RELEASED, REPLIES, RETURNED, SCHEDULE, STATUS,
                       TAKEN, TEXT, UPLOAD, UPLOAD_PACKED, WINDOW_BYTES, Proxy, await_record, called_frame, frame,
                       lane_frame, last_status, offer_frame, open_frame, packed, record)
from worker_stack import FAR, Authority, DelayLine, Namespace, Worker, WorkerStack, psk_write

EXAMPLES = build_directory() / 'examples'
END_TO_END = build_directory() / 'tests' / 'end_to_end'
COPY_LOOP = END_TO_END / 'copy_loop'

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
        self.mediator.wait_for_line('worker: the executor ended')

    def test_executor_stopped(self):
        """Its connection is as lively as ever: the worker's main process sees it."""
        program = self.copying()
        os.kill(self.executor_of(program), signal.SIGSTOP)
        output, _ = program.communicate(timeout=60)
        self.assertIn('CUDA_ERROR_DEVICE_UNAVAILABLE', output)
        wait_until(lambda: 'its executor was stopped for longer than 1500 ms: killed' in self.stack.worker.text(),
                   'the worker says so')
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


def memory_of(process, name):
    """In KiB, as /proc says it; 0: it is gone."""
    try:
        text = Path(f'/proc/{process}/status').read_text()
    except OSError:
        return 0
    found = re.search(rf'^{name}:\s+(\d+)', text, re.M)
    return int(found.group(1)) if found else 0


class Links(unittest.TestCase):
    def test_cut_connection(self):
        self.through_proxy(lambda proxy: proxy.cut(), 'the link to the worker was lost')

    def test_half_open_connection(self):
        self.through_proxy(lambda proxy: setattr(proxy, 'mute', True), 'silent for')

    def through_proxy(self, harm, reason):
        port = free_port()
        proxy = Proxy(port)
        with WorkerStack('--executor-stop-timeout', '2', silence_ms=2000, worker_options=(),
                         connect_to=f'127.0.0.1:{proxy.port}') as stack:
            stack.worker.stop()
            stack.worker = Worker(stack.directory, stack.directory / 'key.psk', '--silence-ms', '2000',
                                  port=port).start()
            program = stack.mediator.spawn(COPY_LOOP)
            self.assertEqual(program.stdout.readline(), 'copying\n')
            harm(proxy)
            output, _ = program.communicate(timeout=60)
            self.assertIn('CUDA_ERROR_DEVICE_UNAVAILABLE', output)
            stack.mediator.wait_for_line(reason)
            proxy.mute = False
            done = stack.mediator.run(EXAMPLES / 'vector_add', 1000)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            proxy.close()

    def test_slow_connection(self):
        port = free_port()
        proxy = Proxy(port)
        proxy.is_slow = True
        with WorkerStack(connect_to=f'127.0.0.1:{proxy.port}') as stack:
            proxy.target = stack.worker.port
            done = stack.mediator.run(EXAMPLES / 'vector_add', 300000)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            proxy.close()

    @unittest.skipIf(os.environ.get('VGPU_SANITIZED'), "sanitizers' own memory is more than that")
    def test_memory_while_the_link_is_slow(self):
        """
        What is copied waits where the program has it: relay and worker hold what the windows have room for, and a few
        buffers, however much there is to copy.
        """
        copied_mib, own_kib, shared_kib = 96, 16 << 10, 48 << 10
        # Of each connection's, the lanes' too.
        line = DelayLine(0, 20 << 20)
        most = collections.Counter()

        def look():
            for kind, processes in (('relay', stack.mediator.executors()),
                                    ('worker', [stack.worker.process.pid, *stack.worker.channels(), *stack.worker.lanes()])):
                for process in processes:
                    for name in 'RssAnon', 'RssShmem':
                        most[kind, name] = max(most[kind, name], memory_of(process, name))
            return program.poll() is not None or 'rounds' in output.read_text()

        with WorkerStack(connect_to=f'127.0.0.1:{line.port}') as stack:
            line.target = stack.worker.port
            # Until it is known to be one that watches, the mediator's connection looks like a program's.
            stack.mediator.wait_for_line('it has 1 GPU')
            output = stack.directory / 'copies'
            with open(output, 'w') as file:
                program = subprocess.Popen([COPY_LOOP, str(copied_mib)], stdout=file,
                                           env=stack.mediator.client_environment())
            wait_until(stack.worker.channels, 'it begins')
            # Asked now, it says so after the first round, and ends.
            program.send_signal(signal.SIGINT)
            wait_until(look, 'the first round is over', 240)
            self.assertEqual(program.wait(60), 0)
            self.assertIn('1 rounds', output.read_text())
        print(f'# at most, in KiB: {dict(most)}')
        for kind in 'relay', 'worker':
            self.assertGreater(most[kind, 'RssAnon'], 0)
            self.assertLess(most[kind, 'RssAnon'], own_kib)
            self.assertLess(most[kind, 'RssShmem'], shared_kib)

    def test_executor_stuck_in_the_kernel(self):
        """Where SIGKILL might not end it: its connection ends with it."""
        with tempfile.TemporaryDirectory() as folder:
            executor = str(executor_without_sandbox(folder))
            with WorkerStack(worker_options=('--executor', executor, '--executor-stuck', '2', '--driver',
                                             str(END_TO_END / 'libslow_driver.so')), driver='/nonexistent/libcuda.so.1',
                             worker_environment={'VGPU_EXECUTOR_STUCK': '1'}) as stack:
                done = stack.mediator.run(EXAMPLES / 'vector_add', 1000)
                self.assertNotEqual(done.returncode, 0)
                wait_until(lambda: 'its executor was stuck in the kernel for longer than 2000 ms: killed' in
                           stack.worker.text(), 'the worker says so')
                wait_until(lambda: not stack.worker.children(), 'the worker has no process left')

    def test_executor_that_says_what_is_not_its_to_say(self):
        """That the kernel has killed it for want of memory, which counts against its tenant, the worker alone knows."""
        liar = build_directory() / 'tests' / 'mediator' / 'test_executor'
        with WorkerStack(worker_options=('--executor', str(liar)), driver='/nonexistent/libcuda.so.1',
                         worker_environment={'VGPU_EXECUTOR_TEST': 'memory-fail'}) as stack:
            self.assertNotEqual(stack.mediator.run(EXAMPLES / 'vector_add', 1000).returncode, 0)
            stack.mediator.wait_for_line('as a worker says it')
            self.assertNotIn('[CGROUP]', stack.mediator.text())

    def test_slow_start(self):
        """An executor, whose driver may need longer than peers may be silent: the relay has nothing to say before."""
        with tempfile.TemporaryDirectory() as folder:
            slow = Path(folder) / 'slow-executor'
            slow.write_text(f'#!/bin/sh\n[ $# -gt 0 ] || sleep 5\nexec {build_directory()}/host/executor/cuda-executor "$@"\n')
            slow.chmod(0o755)
            with WorkerStack('--worker-lanes', '0', driver='/nonexistent/libcuda.so.1',
                             worker_options=('--executor', str(slow), '--silence-ms', '2000')) as stack:
                done = stack.mediator.run(EXAMPLES / 'vector_add', 1000)
                self.assertEqual(done.returncode, 0, f'{done.stderr}{stack.worker.text()}')

    def test_packed_data(self):
        """Over a slow link less than the data crosses, in either direction, and it is the same data."""
        proxy = Proxy(free_port())
        proxy.is_slow = True
        crossed = {}
        for pack in ('no', 'yes'):
            with WorkerStack('--worker-pack', pack, connect_to=f'127.0.0.1:{proxy.port}') as stack:
                proxy.target = stack.worker.port
                proxy.bytes_there = proxy.bytes_back = 0
                done = stack.mediator.run(EXAMPLES / 'vector_add', 4000000)
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
                crossed[pack] = proxy.bytes_there, proxy.bytes_back
        proxy.close()
        print(f'# to the worker and back: {crossed}')
        self.assertGreater(crossed['no'][0], 2 * 16000000)
        self.assertGreater(crossed['no'][1], 16000000)
        self.assertLess(crossed['yes'][0], 0.9 * crossed['no'][0])
        self.assertLess(crossed['yes'][1], 0.9 * crossed['no'][1])

    def test_delayed_network(self):
        try:
            namespace = Namespace(10)
        except OSError as reason:
            self.skipTest(str(reason))
        self.addCleanup(namespace.close)
        with WorkerStack(address=FAR, worker_wrapper=namespace.wrapper) as stack:
            done = stack.mediator.run(EXAMPLES / 'vector_add', 300000)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_other_pool_is_local(self):
        with WorkerStack('--local-pool', 'B') as stack:
            done = stack.mediator.run(EXAMPLES / 'vector_add', 1000)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            self.assertNotIn('executor pid', stack.worker.text())


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

    @staticmethod
    def channel_accept(context, listener):
        """A relay that has sent its OPEN; those that only watch are sent away."""
        while True:
            plain, _ = listener.accept()
            plain.settimeout(30)
            peer = context.wrap_socket(plain, server_side=True)
            first = b''
            while len(first) < len(open_frame()):
                first += peer.recv(len(open_frame()) - len(first))
            if not struct.unpack_from('<I', first, len(open_frame()) - 24)[0] & FLAG_WATCH:
                return peer
            peer.close()

    def test_relay_refuses(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.worker_bundle)
        context.load_verify_locations(self.authority)
        context.verify_mode = ssl.CERT_REQUIRED
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


if __name__ == '__main__':
    tap.main()
