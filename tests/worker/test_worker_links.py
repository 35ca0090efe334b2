# SPDX-License-Identifier: Apache-2.0
"""Links to a worker that are lost, slow or packed, and what they cost."""

import collections
import os
import re
import signal
import subprocess
import tempfile
import unittest
from pathlib import Path

import tap
from ports import free_port
from stack import build_directory, wait_until
from link_peer import Proxy
from worker_stack import COPY_LOOP, EXAMPLES, FAR, DelayLine, Namespace, Worker, WorkerStack


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

    def test_more_gpus_than_have_schedulers(self):
        executor = str(build_directory() / 'tests' / 'mediator' / 'test_executor')
        with WorkerStack(worker_options=('--executor', executor),
                         worker_environment={'VGPU_EXECUTOR_TEST_PROBE': 'many'}) as stack:
            stack.mediator.wait_for_line('it has 32 GPUs')
            stack.mediator.wait_for_line('it has 8 more GPUs, without schedulers of their own: 32 is the most')
            workers, = (check for check in stack.mediator.admin('show-health') if check['check'] == 'workers')
            self.assertEqual(workers['text'], '1 of 1 are there; 8 of their GPUs have no schedulers of their own')

    def test_other_pool_is_local(self):
        with WorkerStack('--local-pool', 'B') as stack:
            done = stack.mediator.run(EXAMPLES / 'vector_add', 1000)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            self.assertNotIn('executor pid', stack.worker.text())


if __name__ == '__main__':
    tap.main()
