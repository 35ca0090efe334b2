# SPDX-License-Identifier: Apache-2.0
"""Policies other than fair, with programs on the software GPU; and what is recorded of them, played by the simulator."""

import os
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

import tap
from stack import build_directory, wait_until
from test_schedule import Tenants, end

SIMULATE = build_directory() / 'tests/sim/simulate'
# So many kernels at once that a program that waits for a processor still has work (test_schedule.py).
SATURATE = ['saturate', '--blocks', '2', '--iterations', '5000', '--batch', '256']
SECONDS = 3
NO_MEASURE = 'sanitized code is not the code whose speed counts'


class Policies(unittest.TestCase):
    def shares(self, policy, **settings):
        """Parts of the time for which each had the GPU while others were there."""
        with Tenants('--policy', policy, **settings) as tenants:
            running = [tenants.spawn(name, *SATURATE, '--from', 0, '--to', time.monotonic() + 600) for name in settings]
            for name in settings:
                tenants.mediator.wait_for_line(f'\\({name}\\) connected')
            wait_until(lambda: sum(tenants.contended_ms().values()) > 100, 'they are at work')
            first = tenants.contended_ms()
            time.sleep(SECONDS)
            last = tenants.contended_ms()
            end(*running)
        used = {name: last[name] - first[name] for name in settings}
        print(f'# {policy}: ms {used}')
        return {name: value / max(sum(used.values()), 1) for name, value in used.items()}

    def measured(self, check, policy, **settings):
        """Other work on the machine's few processors disturbs what is measured: one of five measurements must hold."""
        for attempts_left in 4, 3, 2, 1, 0:
            shares = self.shares(policy, **settings)
            if check(shares) or not attempts_left:
                break
        self.assertTrue(check(shares), shares)

    @unittest.skipIf(os.environ.get('VGPU_SANITIZED'), NO_MEASURE)
    def test_round_robin_knows_no_weights(self):
        """Turns are as long as what was issued at once: some more or less of one is a part of so short a time."""
        self.measured(lambda shares: abs(shares['a'] - 0.5) < 0.15, 'round-robin', a='weight=10 priority=low',
                      b='weight=90 priority=low')

    @unittest.skipIf(os.environ.get('VGPU_SANITIZED'), NO_MEASURE)
    def test_priority_is_strict(self):
        """While the high one has work, and it always has: the low one gets what is left at its beginning and end."""
        self.measured(lambda shares: shares['high'] > 0.9, 'priority', high='weight=10 priority=high',
                      low='weight=90 priority=low')

    def test_exclusive_keeps_the_gpu_until_the_program_ends(self):
        with Tenants('--policy', 'exclusive', first='weight=10', second='weight=90') as tenants:
            now = time.monotonic()
            first = tenants.spawn('first', *SATURATE, '--from', now, '--to', now + 5)
            wait_until(lambda: any(row['has_gpu'] for row in tenants.mediator.admin('show-usage')['tenants']),
                       'the first one has the GPU')
            second = tenants.spawn('second', 'issue', '--blocks', '2', '--batch', '10')
            tenants.mediator.wait_for_line('\\(second\\) connected')
            output, _ = second.communicate(timeout=120)
            # It came to its kernels when the first one had ended.
            self.assertGreaterEqual(time.monotonic(), now + 5)
            first.wait(60)
            self.assertEqual((first.returncode, second.returncode), (0, 0), output)


class Recorder(unittest.TestCase):
    def test_a_recorded_workload_is_played(self):
        with tempfile.TemporaryDirectory(prefix='vgpu-record-') as folder, Tenants(a='weight=50', b='weight=50') as tenants:
            # Nothing is recorded yet.
            self.assertEqual(tenants.mediator.admin('record-workload', f'{folder}/x', '--for=none', code=2), None)
            running = [tenants.spawn(name, *SATURATE, '--from', 0, '--to', time.monotonic() + 600) for name in 'ab']
            wait_until(lambda: all(tenants.contended_ms().get(name, 0) > 100 for name in 'ab'), 'both are at work')
            rows = tenants.mediator.admin('record-workload', f'{folder}/all', '--for=3')
            end(*running)
            self.assertEqual({row['tenant'] for row in rows}, {'program:a', 'program:b'}, rows)
            arrivals = {}
            for row in rows:
                lines = [tuple(map(float, line.split())) for line in Path(row['file']).read_text().splitlines()]
                self.assertEqual(len(lines), row['turns'])
                self.assertGreater(row['turns'], 5)
                self.assertTrue(all(0 <= asked <= 3.5e6 and 0 < work < 3e6 for asked, work in lines), lines)
                arrivals[row['tenant']] = [asked for asked, _ in lines]
                self.assertEqual(arrivals[row['tenant']], sorted(arrivals[row['tenant']]))
            groups = [f'1:{row["weight"]}:{row["priority"]}:@{row["file"]}' for row in rows]
            played = subprocess.run([SIMULATE, '--csv', '--seconds', '10', *groups], capture_output=True, text=True,
                                    check=True).stdout.splitlines()
            shares = [float(line.split(',')[4]) for line in played[:2]]
            self.assertAlmostEqual(sum(shares), 1, places=3)
            # Both always had work, with the same weights.
            self.assertTrue(all(0.2 < share < 0.8 for share in shares), played)


if __name__ == '__main__':
    tap.main()
