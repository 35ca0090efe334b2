# SPDX-License-Identifier: Apache-2.0
"""vgpu-admin against tenants that compute: what it changes holds for them at once, and after a restart."""

import os
import re
import signal
import tempfile
import time
import unittest
from pathlib import Path

import tap
from stack import Mediator, build_directory, wait_until
from test_schedule import Tenants, end


def admin(tenants, *arguments, code=0):
    return tenants.mediator.admin(*arguments, code=code)


def share_metrics(tenants):
    text = admin(tenants, 'metrics')['text']
    found = re.findall(r'vgpu_vm_share_ratio\{tenant="([^"]+)",vm_id="0"\} (\S+)', text)
    return {name: float(value) for name, value in found if value != 'NaN'}


class Live(unittest.TestCase):
    @unittest.skipIf(os.environ.get('VGPU_SANITIZED'), 'sanitized code is not the code whose speed counts')
    def test_weights(self):
        """
        Who gets more: how exactly is for the tests of the scheduler. Measured up to five times, for other work on the
        machine disturbs it.
        """
        with Tenants() as tenants:
            running = [tenants.spawn(name, 'saturate', '--blocks', '2', '--iterations', '5000', '--batch', '8',
                                     '--from', 0, '--to', time.monotonic() + 600) for name in ('one', 'other')]
            for name in ('one', 'other'):
                tenants.mediator.wait_for_line(f'\\({name}\\) connected')
            for one, other, least, most in ((50, 50, 0.35, 0.65), (10, 90, 0, 0.3), (80, 20, 0.65, 1)):
                admin(tenants, 'set-weight', 'program:one', str(one))
                admin(tenants, 'set-weight', 'program:other', str(other))
                for attempts_left in 4, 3, 2, 1, 0:
                    time.sleep(0.5)
                    rows = {row['tenant']: row for row in admin(tenants, 'top', '--once', '--interval=1.5')['tenants']}
                    share = rows['program:one']['share']
                    print(f'# weights {one}:{other}, share {share}')
                    self.assertAlmostEqual(rows['program:one']['entitlement'], one / 100)
                    if least <= share <= most:
                        break
                    self.assertTrue(attempts_left, rows)
            self.assertGreater(rows['program:one']['waits'], 10)
            # By the mediator's own account between two heartbeats.
            shares = wait_until(lambda: share_metrics(tenants), 'shares among the metrics')
            self.assertAlmostEqual(sum(shares.values()), 1, places=6)
            self.assertGreater(shares['program:one'], shares['program:other'])
            text = admin(tenants, 'metrics')['text']
            for name, value in (('share_ratio', '1'), ('entitlement_ratio', '1')):
                self.assertIn(f'vgpu_pool_{name}{{pool="A"}} {value}\n', text)
            waits = {kind: sum(map(int, re.findall(rf'^vgpu_{kind}_wait_seconds_count\{{.*\}} (\d+)$', text, re.MULTILINE)))
                     for kind in ('vm', 'pool')}
            self.assertGreater(waits['pool'], 10)
            self.assertEqual(waits['pool'], waits['vm'])
            end(*running)

    def test_memory_of_a_running_program(self):
        with Tenants() as tenants:
            program = tenants.spawn_told('small')
            tenants.mediator.wait_for_line('\\(small\\) connected')
            admin(tenants, 'update-vm', 'program:small', '--memory-mib=48')
            got = tenants.told(program)
            self.assertLessEqual(got, 48 << 20)
            self.assertGreaterEqual(got, 46 << 20)
            end(program)

    def test_rate(self):
        with Tenants() as tenants:
            admin(tenants, 'set-rate-limit', 'program:slow', '--rate=500')
            _, lines, error = tenants.run('slow', 'issue', '--batch', '1000')
            self.assertGreater(lines[-1]['launches'], 1.5, error)
            admin(tenants, 'set-rate-limit', 'program:slow', '--rate=0')
            _, lines, error = tenants.run('slow', 'issue', '--batch', '1000')
            self.assertLess(lines[-1]['launches'], 1.5, error)

    def test_quarantine_hits_only_its_target(self):
        with Tenants() as tenants:
            until = time.monotonic() + 4
            good = tenants.spawn('good', 'check', '--blocks', '2', '--to', until)
            bad = tenants.spawn('bad', 'check', '--blocks', '2', '--to', until)
            for name in ('good', 'bad'):
                tenants.mediator.wait_for_line(f'\\({name}\\) connected')
            admin(tenants, 'quarantine-vm', 'program:bad')
            status, _, error = tenants.run('bad', 'memory')
            self.assertNotEqual(status, 0)
            self.assertIn('quarantined', error)
            status, _, error = tenants.run('good', 'memory')
            self.assertEqual(status, 0, error)
            # What runs goes on.
            for program in (good, bad):
                output, _ = program.communicate(timeout=60)
                self.assertEqual(program.returncode, 0, output)
            admin(tenants, 'clear-quarantine', 'program:bad')
            status, _, error = tenants.run('bad', 'memory')
            self.assertEqual(status, 0, error)

    def test_latencies_by_class(self):
        """Of a program that has ended; by the executor's own clock, so only their order is compared."""
        with Tenants() as tenants:
            status, _, error = tenants.run('one', 'issue', '--batch', '1000')
            self.assertEqual(status, 0, error)
            rows = {row['class']: row for row in admin(tenants, 'show-latency') if row['of'] == 'pool A'}
            self.assertGreaterEqual(set(rows), {'launch', 'memory', 'module', 'synchronize', 'other'})
            # Most launches are not looked at, and the others stand for them; its copy may not be among those either.
            self.assertAlmostEqual(rows['launch']['calls'], 1000, delta=100)
            for row in rows.values():
                self.assertGreater(row['mean_us'], 0, row)
                self.assertLessEqual(row['p50_us'], row['p99_us'], row)
            # The program waited for its kernels, and the launches did not.
            self.assertGreater(rows['synchronize']['p99_us'], rows['launch']['p50_us'])

    def test_slow_waits_are_logged(self):
        with Tenants('--slow-wait', '1') as tenants:
            start = time.monotonic()
            running = [tenants.spawn(name, 'saturate', '--blocks', '2', '--iterations', '5000', '--batch', '8',
                                     '--from', 0, '--to', time.monotonic() + 600) for name in ('one', 'other')]
            tenants.mediator.wait_for_line(r'\[SLOW\] program=(one|other) waited \d+ ms for GPU 0')
            wait_until(lambda: sum(row['waits'] for row in admin(tenants, 'top', '--once', '--interval=1')['tenants']) > 100,
                       'they have waited often')
            end(*running)
            # However many there were: three of each tenant, then one in ten seconds.
            self.assertLess(tenants.mediator.text().count('[SLOW]'), 8 + 0.2 * (time.monotonic() - start))

    def test_restart_with_a_running_program(self):
        with Tenants('--keep', '30') as tenants:
            tenants.mediator.options += ('--database', str(tenants.mediator.directory / 'vgpu.db'))
            tenants.mediator.stop()
            tenants.mediator.start()
            program = tenants.spawn_told('kept')
            tenants.mediator.wait_for_line('\\(kept\\) connected')
            admin(tenants, 'update-vm', 'program:kept', '--memory-mib=32', '--weight=7')
            tenants.mediator.stop()
            tenants.mediator.start()
            tenants.mediator.wait_for_line('adopted 1 connections and 1 executors')
            vm = admin(tenants, 'show-vm', 'program:kept')
            self.assertEqual((vm['weight'], vm['memory-mib'], vm['programs']), (7, 32, 1))
            self.assertLessEqual(tenants.told(program), 32 << 20)
            end(program)
            tenants.mediator.stop(signal.SIGINT)


class Driver(unittest.TestCase):
    def test_one_that_starts_for_the_probe_alone(self):
        """cuInit fails in the executors of programs, as where the GPU is lost between: health says so, and why."""
        with tempfile.TemporaryDirectory() as folder:
            wrapper, broken = Path(folder, 'executor'), Path(folder, 'broken')
            real = build_directory() / 'host' / 'executor' / 'cuda-executor'
            # Only what serves has no arguments. 0 is no number of devices for softgpu.
            wrapper.write_text(f'#!/bin/sh\n[ $# -gt 0 ] || [ ! -e {broken} ] || export SOFTGPU_DEVICES=0\n'
                               f'exec {real} "$@"\n')
            wrapper.chmod(0o755)
            broken.touch()
            with Mediator('--executor', str(wrapper)) as mediator:
                program = build_directory() / 'examples' / 'vector_add'

                def bad():
                    return {check['check']: check['text'] for check in
                            mediator.admin('show-health', code=7 if broken.exists() else 0) if not check['good']}

                mediator.wait_for_line('CUDA initialized')
                for _ in range(3):
                    self.assertNotEqual(mediator.run(program).returncode, 0)
                wait_until(lambda: mediator.text().count(': cuInit: CUDA_ERROR_INVALID_VALUE (1)') == 3, 'three failures')
                self.assertEqual(set(bad()), {'executors'})
                self.assertIn('pool A: the last 3 did not start: cuInit: CUDA_ERROR_INVALID_VALUE (1)',
                              bad()['executors'])
                # A program that wants no device says nothing of the driver.
                broken.unlink()
                self.assertNotEqual(mediator.run(program, CUDA_VISIBLE_DEVICES='').returncode, 0)
                self.assertEqual(mediator.run(program).returncode, 0)
                self.assertEqual(bad(), {})


if __name__ == '__main__':
    tap.main()
