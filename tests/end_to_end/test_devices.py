# SPDX-License-Identifier: Apache-2.0
"""Several GPUs through the whole path over the local transport: programs that use two, pools with a GPU each."""

import json
import os
import signal
import subprocess
import time
import unittest

import tap
from stack import PATIENCE, Mediator, build_directory, wait_until
from test_admin import admin
from test_schedule import Tenants
from test_schedule import end as programs_end

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


def assign(tenants, gpu, pool):
    # The driver is asked for its GPUs when the mediator has started.
    wait_until(lambda: len(admin(tenants, 'scan-gpus')) > gpu, 'the GPU is known')
    admin(tenants, 'assign-gpu', str(gpu), pool)


class Look:
    """A program that has asked NVML and then CUDA for the devices, and runs."""

    def __init__(self, tenants, name, **environment):
        path = tenants.program(name)
        if path.resolve() != PROGRAM:
            path.unlink()
            path.symlink_to(PROGRAM)
        self.process = subprocess.Popen(
            [str(path), 'look'], env=tenants.mediator.client_environment(VGPU_TEST_NVML=str(NVML), **environment),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.seen = json.loads(self.process.stdout.readline())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.communicate('end\n', timeout=60)


class Devices(unittest.TestCase):
    def passes_with_two(self, program):
        with Mediator(environment={'SOFTGPU_DEVICES': '2',
                                   'SOFTGPU_MEMORY_BYTES': f'{512 * MIB},{256 * MIB}'}) as mediator:
            done = mediator.run(program, CMOCKA_MESSAGE_OUTPUT='TAP')
            self.assertEqual(done.returncode, 0, f'{done.stdout}\n{done.stderr}\n{mediator.text()[-4000:]}')
            mediator.wait_for_rest()

    def test_program_with_two(self):
        self.passes_with_two(PROGRAM)

    def test_boxes(self):
        self.passes_with_two(PROGRAM.parent / 'device_boxes')

    def test_launches_on_several(self):
        self.passes_with_two(PROGRAM.parent / 'several_launches')

    def test_cuda_and_nvml_agree(self):
        with tenants_on(3) as tenants:
            with Look(tenants, 'one') as one:
                self.assertEqual(one.seen['cuda'], [uuid(0), uuid(1), uuid(2)])
                self.assertEqual(one.seen['nvml'], one.seen['cuda'])
            assign(tenants, 1, 'A')
            assign(tenants, 2, 'A')
            # Each takes two channels, so that the other GPU has fewer programs when the second is opened.
            with Look(tenants, 'one') as one:
                self.assertEqual(len(one.seen['cuda']), 1)
                self.assertEqual(one.seen['nvml'], one.seen['cuda'])
                with Look(tenants, 'other') as other:
                    self.assertEqual(other.seen['nvml'], other.seen['cuda'])
                    self.assertEqual({*one.seen['cuda'], *other.seen['cuda']}, {uuid(1), uuid(2)})

    def test_visible_devices(self):
        """CUDA_VISIBLE_DEVICES of a program is followed, and shows it nothing that it would not see without."""
        def seen(tenants, wish):
            with Look(tenants, 'one', CUDA_VISIBLE_DEVICES=wish) as one:
                return one.seen['cuda']

        with tenants_on(3) as tenants:
            for wish, wanted in (('1', [1]), ('2,0', [2, 0]), (f' {uuid(2)} ,1', [2, 1]), ('1,7,0', [1]), ('', []),
                                 ('-1', []), ('9', []), ('0\x01,1', [0]), ('0,' * 2000, [0])):
                self.assertEqual(seen(tenants, wish), [uuid(number) for number in wanted], wish)
            # NVML does not know it, as natively.
            with Look(tenants, 'one', CUDA_VISIBLE_DEVICES='1') as one:
                self.assertEqual(len(one.seen['nvml']), 3)
            admin(tenants, 'assign-gpu', '1', 'A')
            for wish, wanted in (('0', [1]), (uuid(1), [1]), (uuid(1)[:30], [1]), (uuid(0), []), ('1', []), ('0,1', [1]),
                                 ('', [])):
                self.assertEqual(seen(tenants, wish), [uuid(number) for number in wanted], wish)
        # Of what the operator has left of the devices.
        with tenants_on(3) as tenants:
            tenants.mediator.stop()
            tenants.mediator.environment['CUDA_VISIBLE_DEVICES'] = '2,1'
            tenants.mediator.start()
            for wish, wanted in (('0', [2]), ('1,0', [1, 2]), ('2', [])):
                self.assertEqual(seen(tenants, wish), [uuid(number) for number in wanted], wish)

    def test_pools(self):
        """Programs of one tenant are spread over the GPUs of its pool, and no other pool's."""
        with tenants_on(3) as tenants:
            for gpu, pool in ((0, 'B'), (1, 'A'), (2, 'A')):
                assign(tenants, gpu, pool)
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
            for gpu in 0, 1:
                assign(tenants, gpu, 'A')
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
                assign(tenants, int(gpu), pool)
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
                assign(tenants, int(gpu), pool)
            admin(tenants, 'set-pool', 'program:far', 'B')
            work = ('saturate', '--blocks', '2', '--iterations', '5000', '--batch', '8', '--from', 0, '--to',
                    time.monotonic() + 600)
            running = [tenants.spawn(name, *work) for name in ('near', 'beside', 'far')]
            for name in ('near', 'beside', 'far'):
                tenants.mediator.wait_for_line(f'\\({name}\\) connected')
            wait_until(lambda: {gpu['gpu']: gpu['programs'] for gpu in admin(tenants, 'scan-gpus')} == {0: 2, 1: 1},
                       'the programs are placed')

            def looked_at():
                rows = {row['tenant']: row for row in admin(tenants, 'top', '--once', '--interval=1')['tenants']}
                waits = {name: rows[f'program:{name}']['waits'] for name in ('near', 'beside', 'far')}
                print(f'# waits {waits}')
                self.assertEqual(waits['far'], 0)
                # All of them compute.
                return (all(rows[f'program:{name}']['launches'] for name in waits) and waits['near'] and
                        waits['beside'] and (rows, waits))
            rows, waits = wait_until(looked_at, 'those of one GPU wait for each other')
            self.assertEqual([rows[f'program:{name}']['entitlement'] for name in waits], [0.5, 0.5, 1])
            programs_end(*running)


@unittest.skipIf(os.environ.get('VGPU_SANITIZED'), 'sanitized code is not the code whose speed counts')
class ReachingTheHost(unittest.TestCase):
    """GPUs whose kernels reach all memory of their process: with them a tenant could take its executor over."""

    environment = {'SOFTGPU_PAGEABLE_ACCESS': '1'}
    program = BUILD / 'examples' / 'vector_add', 1000

    def test_refused_until_it_is_allowed(self):
        mediator = Mediator(environment=self.environment)
        mediator.configure('# as installed\n')
        with mediator:
            mediator.wait_for_line('CUDA is not available: GPU 0: kernels reach .* uvm_disable_hmm=1, '
                                   'or set allow-pageable-access')
            done = mediator.run(*self.program)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn('kernels reach all memory of their process', done.stderr)
            checks = {row['check']: row for row in mediator.admin('show-health', code=7)}
            self.assertFalse(checks['driver']['good'])
            self.assertIn('allow-pageable-access', checks['driver']['text'])
            self.assertEqual([gpu['fault'] for gpu in mediator.admin('scan-gpus')],
                             ["kernels reach the host's memory"])
            self.assertNotIn('executor pid', mediator.text())
            mediator.configure('allow-pageable-access = yes\n')
            mediator.wait_for_line('warning GPU 0: kernels reach all memory of their process')
            done = mediator.run(*self.program)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            self.assertEqual(len(mediator.admin('scan-gpus')), 1)

    def test_others_are_used(self):
        with Mediator() as mediator:
            done = mediator.run(*self.program)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            self.assertNotIn('kernels reach', mediator.text())


class Scheduled(unittest.TestCase):
    """Without pools each GPU has its scheduler; tests/worker has the same at a worker."""

    def tenants_on(self, devices, *options):
        return tenants_on(devices, *options)

    def looked_at(self, tenants, names):
        """Waits and entitlements of tenants while they run: {name: (waits, entitlement)}."""
        rows = {row['tenant']: row for row in admin(tenants, 'top', '--once', '--interval=1')['tenants']}
        found = {name: (rows[f'program:{name}']['waits'], rows[f'program:{name}']['entitlement']) for name in names}
        print(f'# waits, entitlement: {found}')
        return found

    def saturate(self, tenants, environment=None, **devices):
        """Programs that keep a device busy, with arguments; all compute when this returns."""
        end = time.monotonic() + 300
        running = [tenants.mediator.spawn(tenants.program(name), 'saturate', '--blocks', '2', '--iterations', '5000',
                                          '--batch', '8', '--from', time.monotonic(), '--to', end, *arguments,
                                          **environment or {}) for name, arguments in devices.items()]

        def all_compute():
            for program in running:
                if program.poll() is not None:
                    raise AssertionError(f'{program.args}: {program.communicate()}\n{tenants.mediator.text()}')
            return {row['tenant'] for row in admin(tenants, 'show-usage')['tenants'] if row['launches'] > 100} >= {
                f'program:{name}' for name in devices}
        wait_until(all_compute, 'all compute', 4 * PATIENCE)
        return running

    def end(self, running):
        programs_end(*running)

    def test_each_gpu_has_its_scheduler(self):
        with self.tenants_on(3, '--keep', '30') as tenants:
            running = self.saturate(tenants, zero=(), one=('--device', '1'), two=('--device', '2'),
                                    three=('--device', '2'))
            before = self.looked_at(tenants, ('zero', 'one', 'two', 'three'))
            self.assertEqual([entitlement for _, entitlement in before.values()], [1, 1, 0.5, 0.5])

            def both_have_waited():
                after = self.looked_at(tenants, before)
                return all(after[name][0] > before[name][0] for name in ('two', 'three')) and after
            after = wait_until(both_have_waited, 'those of one GPU wait for each other')
            self.assertEqual(after['zero'][0], before['zero'][0])
            self.assertEqual(after['one'][0], before['one'][0])
            # Two GPUs of one program have one scheduler, as long as it is there.
            # By its place on the bus, however the program numbers it.
            hidden = self.saturate(tenants, {'CUDA_VISIBLE_DEVICES': '1'}, hidden=())
            self.assertEqual([entitlement for _, entitlement in self.looked_at(tenants, ('one', 'hidden')).values()],
                             [0.5, 0.5])
            self.end(hidden)
            both = self.saturate(tenants, both=('--device', '1', '--also', '0'))
            wait_until(lambda: self.looked_at(tenants, ('zero',))['zero'][1] == 1 / 3, 'GPUs 0 and 1 are scheduled together')
            self.assertEqual([entitlement for _, entitlement in self.looked_at(tenants, ('one', 'two')).values()],
                             [1 / 3, 1 / 2])
            self.end(both)
            wait_until(lambda: self.looked_at(tenants, ('zero',))['zero'][1] == 1, 'GPUs 0 and 1 are apart again')
            self.end(running)
            tenants.mediator.stop(signal.SIGINT)

    def test_schedulers_after_a_restart(self):
        with self.tenants_on(2, '--keep', '30') as tenants:
            running = self.saturate(tenants, zero=(), one=('--device', '1'))
            tenants.mediator.stop()
            tenants.mediator.start()
            tenants.mediator.wait_for_line('adopted 2 connections and 2 executors')
            wait_until(lambda: [entitlement for _, entitlement in self.looked_at(tenants, ('zero', 'one')).values()] ==
                       [1, 1], 'each is alone on its GPU')
            before = self.looked_at(tenants, ('zero', 'one'))
            self.assertEqual(self.looked_at(tenants, ('zero', 'one')), before)
            self.end(running)
            tenants.mediator.stop(signal.SIGINT)


if __name__ == '__main__':
    tap.main()
