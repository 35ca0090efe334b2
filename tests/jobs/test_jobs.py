# SPDX-License-Identifier: Apache-2.0
"""JSON jobs through vgpu-jobs, its runners, mediator, executor and software GPU."""

import json
import os
import re
import socket
import subprocess
import tempfile
import threading
import time
import unittest
from pathlib import Path

import tap
from job_stack import ADD, BUILD, Daemon, Serial, ptx_request
from ports import free_port
from processes import children_of
from stack import Mediator, processor_seconds, wait_until

RUN = BUILD / 'guest' / 'jobs' / 'vgpu-run'


class Jobs(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory(prefix='vgpu-jobs-')
        cls.directory = Path(cls.temporary.name)
        cls.mediator = Mediator().start()
        cls.local = cls.directory / 'jobs.sock'
        cls.port = free_port()
        cls.log = cls.directory / 'log'
        with open(cls.log, 'w') as log:
            cls.daemon = subprocess.Popen(
                [BUILD / 'host/jobs/vgpu-jobs', '--listen', f'unix:{cls.local}', '--listen', f'127.0.0.1:{cls.port}',
                 '--serial', f'VM-A={cls.directory}/a', '--serial', f'VM-B={cls.directory}/b', '--runner',
                 BUILD / 'host/jobs/vgpu-job-runner', '--library', BUILD / 'guest/libcuda', '--mediator',
                 str(cls.mediator.socket), '--job-timeout', '10'], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        cls.vm_a = Serial(cls.directory / 'a')
        cls.vm_b = Serial(cls.directory / 'b')

    @classmethod
    def tearDownClass(cls):
        cls.daemon.terminate()
        cls.daemon.wait(30)
        cls.mediator.__exit__()
        cls.temporary.cleanup()

    def error(self, request, text):
        answer = self.vm_a.call(request)
        self.assertNotIn('result', answer)
        self.assertIn(text, answer['error'])
        self.assertEqual(self.vm_a.call(ADD), {'result': [5, 7, 9]})

    def result(self, request):
        answer = self.vm_a.call(request)
        self.assertIn('result', answer, answer)
        return answer['result']

    def test_of_the_guide(self):
        self.assertEqual(self.vm_a.call(ADD), {'result': [5, 7, 9]})
        wait_until(lambda: 'Received GPU request from VM-A' in self.log.read_text(), 'it is logged')
        # As the guide's client does it: no line's end, and a new connection for each request.
        with socket.create_connection(('127.0.0.1', self.port)) as stream:
            stream.send(json.dumps(ADD).encode())
            self.assertEqual(json.loads(stream.recv(4096)), {'result': [5, 7, 9]})

    def test_urgent_data_wakes_nobody_for_ever(self):
        with socket.socket(socket.AF_UNIX) as stream:
            stream.connect(str(self.local))
            stream.send(b'x', socket.MSG_OOB)
            self.assertEqual(self.vm_a.call(ADD), {'result': [5, 7, 9]})
            before = processor_seconds(self.daemon.pid)
            time.sleep(2)
            self.assertLess(processor_seconds(self.daemon.pid) - before, 1)

    def test_operations(self):
        pair = {'array_a': [1.5, 2, -3], 'array_b': [4, 5, 6]}
        self.assertEqual(self.result({'operation': 'vector_add', **pair}), [5.5, 7, 3])
        self.assertEqual(self.result({'operation': 'saxpy', 'scalar': 2, **pair}), [7, 9, 0])
        self.assertEqual(self.result({'operation': 'dot', **pair}), -2)
        for reduction, value in (('sum', 500500), ('min', 1), ('max', 1000)):
            request = {'operation': 'reduce', 'array_a': list(range(1, 1001)), 'reduction': reduction}
            self.assertEqual(self.result(request), value)
        product = self.result({'operation': 'matmul', 'matrix_a': [[1, 2, 3], [4, 5, 6]],
                               'matrix_b': [[1, 0], [0, 1], [2, 2]]})
        self.assertEqual(product, [[7, 8], [16, 17]])
        self.assertEqual(self.vm_a.call({'id': 'x7', **ADD})['id'], 'x7')

    def test_large(self):
        count = 100000
        answer = self.result({'operation': 'vector_add', 'array_a': list(range(count)), 'array_b': [1] * count})
        self.assertEqual(answer, list(range(1, count + 1)))

    def test_ptx(self):
        self.assertEqual(self.result(ptx_request()), [[2.5, 5, 7.5]])
        self.error(ptx_request(ptx='no ptx'), 'PTX is refused')
        self.error(ptx_request(kernel='other'), 'kernel "other"')
        self.error(ptx_request(grid=[]), 'grid')
        self.error(ptx_request(grid=[0]), 'kernel failed')
        self.error(ptx_request(block=[-1]), 'block')
        self.error(ptx_request(block=[99999]), 'kernel failed')
        self.error(ptx_request(arguments={}), 'arguments')
        self.error(ptx_request(arguments=[{'type': 'f32', 'value': 1}] * 33), 'arguments')
        for argument in ({'type': 'f16', 'value': 1}, {'type': 'f32'}, {'type': 'f32', 'value': 'x'}, 7,
                         {'type': 'u32', 'value': -1}, {'type': 'i32', 'value': 1.5}, {'type': 'f32', 'value': 1e300},
                         {'type': 'f32', 'count': -1}, {'type': 'f32', 'count': 1 << 40},
                         {'type': 'f32', 'value': 1, 'count': 1}):
            with self.subTest(argument):
                self.error(ptx_request(arguments=[argument]), 'a')

    def test_outputs_together(self):
        """Each may be as large as all of them."""
        two = [{'type': 'f32', 'count': count, 'output': True} for count in (1 << 20, 1)]
        self.error(ptx_request(arguments=two), 'outputs have more than 1048576 elements together')
        endless = [{'type': 'f64', 'count': 1 << 20, 'output': True}] * 32
        self.error(ptx_request(arguments=endless), 'elements together')
        # A sanitizer reserves more than any limit.
        for runner in children_of(self.daemon.pid) if 'VGPU_SANITIZED' not in os.environ else ():
            data, = re.findall(r'Max data size +(\d+)', Path(f'/proc/{runner}/limits').read_text())
            self.assertLessEqual(int(data), 1 << 30)

    def test_faults(self):
        self.error(ptx_request('wild', arguments=[]), 'failed')
        self.error(ptx_request('endless', arguments=[]), 'ended before its answer')

    def test_bad_requests(self):
        for request, text in (
                ('[]', 'no JSON object'), ('hello', 'no JSON object'), ('"text"', 'no JSON object'), ('{]', 'no JSON'),
                ('{}', 'operation'), ({'operation': 5}, 'operation'), ({'operation': 'rm'}, 'no operation'),
                ('{"operation":"dot","operation":"dot"}', 'duplicate'), ({**ADD, 'array_b': [1]}, '3 elements'),
                ({**ADD, 'array_a': []}, 'array_a'), ({**ADD, 'array_a': 5}, 'array_a'),
                ({**ADD, 'array_a': [1, 'x', 3]}, 'no number'), ({**ADD, 'array_a': [1, None, 3]}, 'no number'),
                ('{"operation":"vector_add","array_a":[NaN],"array_b":[1]}', 'no JSON'),
                ('{"operation":"vector_add","array_a":[Infinity],"array_b":[1]}', 'no JSON'),
                ('{"operation":"vector_add","array_a":[1e999],"array_b":[1]}', 'no JSON'),
                ({'operation': 'vector_add', 'array_a': [1e308], 'array_b': [1e308]}, 'not a finite number'),
                ({'operation': 'matmul', 'matrix_a': [[1, 2], [3]], 'matrix_b': [[1]]}, 'different length'),
                ({'operation': 'matmul', 'matrix_a': [[1, 2]], 'matrix_b': [[1]]}, '2 columns'),
                ({'operation': 'reduce', 'array_a': [1], 'reduction': 'median'}, 'reduction'),
                ('{"operation":"a\\u0000b"}', 'no JSON'), ('{"operation":"\udcff"}'.encode('utf-8', 'replace').decode(),
                                                           'no operation')):
            with self.subTest(str(request)[:40]):
                self.error(request, text)

    def test_too_deep_and_too_long(self):
        for request in ('{"a":' + '[' * 100, '{"a":"' + 'x' * (5 << 20)):
            with socket.create_connection(('127.0.0.1', self.port)) as stream:
                stream.settimeout(30)
                try:
                    stream.sendall(request.encode())
                    self.assertIn(b'too long or too deep', stream.recv(4096))
                except ConnectionError:
                    pass  # it closed while we were still sending
        self.assertEqual(self.vm_a.call(ADD), {'result': [5, 7, 9]})

    def test_many(self):
        for start in range(0, 10000, 100):
            for number in range(start, start + 100):
                self.vm_a.send({'id': number, 'operation': 'vector_add', 'array_a': [number], 'array_b': [1]})
            for number in range(start, start + 100):
                self.assertEqual(json.loads(self.vm_a.lines.readline()), {'id': number, 'result': [number + 1]})

    def test_two_machines_at_once(self):
        failures = []

        def work(machine, offset):
            for number in range(200):
                answer = machine.call({'operation': 'saxpy', 'scalar': 1, 'array_a': [number] * 100,
                                       'array_b': [offset] * 100})
                if answer != {'result': [number + offset] * 100}:
                    failures.append(answer)
        threads = [threading.Thread(target=work, args=pair) for pair in ((self.vm_a, 1000), (self.vm_b, 2000))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
        self.assertEqual(failures, [])

    def test_machine_restarts(self):
        self.vm_b.stream.sendall(b'{"operation":"vec')
        self.vm_b.lines.close()
        self.vm_b.stream.close()
        self.vm_b.connect()
        self.assertEqual(self.vm_b.call(ADD), {'result': [5, 7, 9]})

    def test_tool(self):
        def run(*words):
            return subprocess.run([RUN, '--to', f'unix:{self.local}', *words], capture_output=True, text=True, timeout=60,
                                  check=False)
        self.assertEqual(run('vector_add', '1,2,3', '4,5,6').stdout, '{"result":[5,7,9]}\n')
        self.assertEqual(run('vector_add', '1,2', '4').returncode, 1)
        self.assertEqual(run('fly').returncode, 2)
        done = subprocess.run([RUN, '--to', '/nonexistent', 'dot', '1', '1'], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn('/nonexistent: no answer from the host: No such file', done.stderr)
        done = subprocess.run([RUN, '--help'], capture_output=True, text=True, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ''))
        self.assertIn('vgpu-run [--to WHERE] json REQUEST', done.stdout)


class Settings(unittest.TestCase):
    def test_no_mediator(self):
        with tempfile.TemporaryDirectory(prefix='vgpu-jobs-') as folder:
            nobody = Mediator(directory=folder)
            with Daemon(nobody, ports=('one:7',)) as jobs:
                self.assertIn('no mediator', jobs.ports[0].call(ADD)['error'])

    def test_options(self):
        for option in ('--serial=one:x=/nonexistent', '--serial=one:0=/nonexistent', '--vm=127.0.0.1', '--vm=vsock:3=0',
                       '--vm=vsock:3=x', '--serial=one', '--serial=one=' + 'x' * 200, '--listen=foo', '--listen=unix:',
                       '--listen=unix:/' + 'x' * 200, '--listen=vsock:x', '--listen=127.0.0.1', '--listen=127.0.0.1:0',
                       '--listen=127.0.0.1:99999', '--mediator=/' + 'x' * 200, '--job-timeout=0', '--job-timeout=soon',
                       '--idle-timeout=-1', '--clients-max=0', '--clients-max=many', '--clients-per-vm='):
            done = subprocess.run([BUILD / 'host/jobs/vgpu-jobs', option], capture_output=True, text=True, timeout=60,
                                  check=False)
            self.assertEqual(done.returncode, 2, option)
            self.assertIn(f'{option.split("=")[0]}: ', done.stderr)
            self.assertIn('is no', done.stderr)
        done = subprocess.run([BUILD / 'host/jobs/vgpu-jobs'], capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn('no --listen and no --serial', done.stderr)

    def test_check(self):
        """Says what is wrong, and starts and touches nothing: the socket of one that runs stays."""
        with tempfile.TemporaryDirectory(prefix='vgpu-jobs-') as folder, socket.socket(socket.AF_UNIX) as running:
            running.bind(f'{folder}/socket')
            running.listen()

            def check(*options):
                done = subprocess.run([BUILD / 'host/jobs/vgpu-jobs', '--check', f'--listen=unix:{folder}/socket',
                                       *options], capture_output=True, text=True, timeout=60, check=False)
                return done.returncode, done.stderr

            code, words = check()
            self.assertEqual(code, 0, words)
            self.assertIn('the options are right', words)
            code, words = check('--runner=/nowhere/runner', '--library=/nowhere')
            self.assertEqual(code, 2)
            self.assertIn('--runner: /nowhere/runner: No such file', words)
            self.assertIn('--library: /nowhere/libcuda.so.1: No such file', words)
            self.assertEqual(check('--job-timeout=x')[0], 2)
            with socket.socket(socket.AF_UNIX) as peer:
                peer.connect(f'{folder}/socket')

    def test_port_that_is_not_there(self):
        """It waits for the VM, and says what it waits for: the path may be a mistake, or its rights."""
        with tempfile.TemporaryDirectory(prefix='vgpu-jobs-') as folder:
            with Daemon(Mediator(directory=folder), '--serial', f'late:3={folder}/late') as jobs:
                wait_until(lambda: 'late: No such file or directory; trying' in jobs.log.read_text(), 'it says so')


if __name__ == '__main__':
    tap.main()
