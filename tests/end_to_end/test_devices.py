# SPDX-License-Identifier: Apache-2.0
"""Several GPUs through the whole path over the local transport: programs that use two, pools with a GPU each."""

import json
import os
import signal
import subprocess
import time
import unittest

import tap
from stack import Mediator, build_directory, wait_until
from test_admin import admin
from test_schedule import Tenants, lines_of

BUILD = build_directory()
PROGRAM = BUILD / 'tests' / 'end_to_end' / 'devices'
NVML = BUILD / 'guest' / 'libnvml' / 'libnvidia-ml.so.1'
MIB = 1 << 20


def uuid(number):
    """Of that device of the software GPU."""
    return f'GPU-736f6674-6770-8075-8000-{number + 1:012d}'


def tenants_on(devices, *options, memory=f'{512 * MIB}', **settings):
    tenants = Tenants(*options, **settings)
    tenants.mediator.environment = {'SOFTGPU_DEVICES': str(devices), 'SOFTGPU_MEMORY_BYTES': memory}
    return tenants


class Look:
    """A program that has asked NVML and then CUDA for the devices, and runs."""

    def __init__(self, tenants, name):
        path = tenants.program(name)
        if path.resolve() != PROGRAM:
            path.unlink()
            path.symlink_to(PROGRAM)
        self.process = subprocess.Popen(
            [str(path), 'look'], env=tenants.mediator.client_environment(VGPU_TEST_NVML=str(NVML)),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.seen = json.loads(self.process.stdout.readline())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.communicate('end\n', timeout=60)


class Devices(unittest.TestCase):
    def test_program_with_two(self):
        with Mediator(environment={'SOFTGPU_DEVICES': '2',
                                   'SOFTGPU_MEMORY_BYTES': f'{512 * MIB},{256 * MIB}'}) as mediator:
            done = mediator.run(PROGRAM, CMOCKA_MESSAGE_OUTPUT='TAP')
            self.assertEqual(done.returncode, 0, f'{done.stdout}\n{done.stderr}\n{mediator.text()[-4000:]}')
            mediator.wait_for_rest()

    def test_cuda_and_nvml_agree(self):
        with tenants_on(3) as tenants:
            with Look(tenants, 'one') as one:
                self.assertEqual(one.seen['cuda'], [uuid(0), uuid(1), uuid(2)])
                self.assertEqual(one.seen['nvml'], one.seen['cuda'])
            admin(tenants, 'assign-gpu', '1', 'A')
            admin(tenants, 'assign-gpu', '2', 'A')
            # Each takes two channels, so that the other GPU has fewer programs when the second is opened.
            with Look(tenants, 'one') as one:
                self.assertEqual(len(one.seen['cuda']), 1)
                self.assertEqual(one.seen['nvml'], one.seen['cuda'])
                with Look(tenants, 'other') as other:
                    self.assertEqual(other.seen['nvml'], other.seen['cuda'])
                    self.assertEqual({*one.seen['cuda'], *other.seen['cuda']}, {uuid(1), uuid(2)})

    def test_pools(self):
        """Programs of one tenant are spread over the GPUs of its pool, and no other pool's."""
        with tenants_on(3) as tenants:
            for gpu, pool in ((0, 'B'), (1, 'A'), (2, 'A')):
                admin(tenants, 'assign-gpu', str(gpu), pool)
            with Look(tenants, 'one') as first, Look(tenants, 'one') as second:
                self.assertEqual({*first.seen['cuda'], *second.seen['cuda']}, {uuid(1), uuid(2)})
                admin(tenants, 'set-pool', 'program:one', 'B')
                with Look(tenants, 'one') as third:
                    self.assertEqual(third.seen['cuda'], [uuid(0)])
            programs = {gpu['uuid']: gpu['programs'] for gpu in admin(tenants, 'scan-gpus')}
            self.assertEqual(set(programs), {uuid(0), uuid(1), uuid(2)})

    def test_placement_by_tenant(self):
        with tenants_on(2, '--placement', 'tenant', '--keep', '30') as tenants:
            tenants.mediator.options += ('--database', str(tenants.mediator.directory / 'vgpu.db'))
            tenants.mediator.stop()
            tenants.mediator.start()
            for gpu in '0', '1':
                admin(tenants, 'assign-gpu', gpu, 'A')
            with Look(tenants, 'one') as first, Look(tenants, 'one') as second, Look(tenants, 'other') as stranger:
                self.assertEqual(first.seen, second.seen)
                self.assertNotEqual(first.seen, stranger.seen)
                # The next mediator knows it too.
                tenants.mediator.stop()
                tenants.mediator.start()
                tenants.mediator.wait_for_line('adopted')
                with Look(tenants, 'one') as third:
                    self.assertEqual(first.seen, third.seen)
            tenants.mediator.stop(signal.SIGINT)

    def test_memory_limit_on_each(self):
        """A tenant's limit is for all that it has, on whichever device."""
        with tenants_on(2, one='memory-mib=64', other='memory-mib=32') as tenants:
            for gpu, pool in (('0', 'A'), ('1', 'B')):
                admin(tenants, 'assign-gpu', gpu, pool)
            admin(tenants, 'set-pool', 'program:other', 'B')
            for name, limit in (('one', 64), ('other', 32)):
                _, lines, error = tenants.run(name, 'memory')
                self.assertEqual(lines[-1]['total'], limit * MIB, error)
                now = time.monotonic()
                _, lines, error = tenants.run(name, 'hog', '--from', now, '--to', now + 0.2)
                self.assertLessEqual(lines[-1]['bytes'], limit * MIB, error)
                self.assertGreater(lines[-1]['bytes'], (limit - 4) * MIB, error)

    @unittest.skipIf(os.environ.get('VGPU_SANITIZED'), 'sanitized code is not the code whose speed counts')
    def test_tenants_on_two_gpus_do_not_wait(self):
        """Each GPU has a scheduler of its own: who is alone on his GPU is never made to wait."""
        with tenants_on(2) as tenants:
            for gpu, pool in (('0', 'A'), ('1', 'B')):
                admin(tenants, 'assign-gpu', gpu, pool)
            admin(tenants, 'set-pool', 'program:far', 'B')
            end = time.monotonic() + 4
            work = ('saturate', '--blocks', '2', '--iterations', '5000', '--batch', '8', '--from', time.monotonic(),
                    '--to', end)
            running = [tenants.spawn(name, *work) for name in ('near', 'beside', 'far')]
            for name in ('near', 'beside', 'far'):
                tenants.mediator.wait_for_line(f'\\({name}\\) connected')
            wait_until(lambda: {gpu['gpu']: gpu['programs'] for gpu in admin(tenants, 'scan-gpus')} == {0: 2, 1: 1},
                       'the programs are placed')
            rows = {row['tenant']: row for row in admin(tenants, 'top', '--once', '--interval=1')}
            waits = {name: rows[f'program:{name}']['waits'] for name in ('near', 'beside', 'far')}
            print(f'# waits {waits}')
            self.assertGreater(waits['near'], 0)
            self.assertGreater(waits['beside'], 0)
            self.assertEqual(waits['far'], 0)
            self.assertEqual([rows[f'program:{name}']['entitlement'] for name in waits], [0.5, 0.5, 1])
            for program in running:
                output, _ = program.communicate(timeout=60)
                self.assertEqual(program.returncode, 0, output)
                self.assertGreater(lines_of(output)[-1]['kernels'], 0)


if __name__ == '__main__':
    tap.main()
