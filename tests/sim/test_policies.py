# SPDX-License-Identifier: Apache-2.0
"""The mediator's policies in virtual time: shares, waits, fairness, from 2 to 1,000 VMs. usage: ... SIMULATE"""

import subprocess
import sys
import tempfile
import unittest

import tap

SIMULATE = sys.argv.pop(1)


def simulate(*arguments):
    """Rows of the groups as dictionaries, Jain's index, and the part of the time that the GPU was used."""
    done = subprocess.run([SIMULATE, '--csv', *arguments], capture_output=True, text=True, check=True)
    *groups, last = done.stdout.splitlines()
    rows = []
    for line in groups:
        count, weight, _, entitled, share, kernels, evenness, p50, p99, done = line.split(',')
        rows.append({'count': int(count), 'weight': int(weight), 'entitled': float(entitled), 'share': float(share),
                     'kernels': float(kernels), 'evenness': float(evenness), 'p50': float(p50), 'p99': float(p99), 'done': float(done)})
    _, jain, used = last.split(',')
    return rows, float(jain), float(used)


class Fair(unittest.TestCase):
    def entitled(self, *groups, seconds='60'):
        rows, jain, used = simulate('--seconds', seconds, *groups)
        for row in rows:
            self.assertAlmostEqual(row['share'] / row['entitled'], 1, delta=0.03, msg=f'{groups}: {rows}')
        self.assertGreaterEqual(jain, 0.99)
        self.assertGreater(used, 0.95)

    def test_equal_weights_unlike_kernels(self):
        for count in (1, 2, 4):
            self.entitled(f'{count}:50:medium:100', f'{count}:50:medium:20000')

    def test_the_cost_of_a_turn_is_the_same_for_unlike_kernels(self):
        """The GPU needs time to change programs, in which no kernel runs: who has more turns would pay it more often."""
        for count, switch in ((1, '400'), (2, '250'), (2, '400'), (4, '250'), (4, '400')):
            rows, _, _ = simulate('--switch', switch, f'{count}:50:medium:100', f'{count}:50:medium:20000')
            # Of one VM each; the least in each group beside the most of all.
            most = max(row['kernels'] / row['count'] for row in rows)
            least = min(row['kernels'] / row['count'] * row['evenness'] for row in rows)
            self.assertLess(most / least, 1.03, rows)

    def test_longer_turns_are_only_for_those_who_wait_for_long_kernels(self):
        rows, _, _ = simulate('2:50:medium:100', '2:50:medium:1000')
        self.assertLess(rows[0]['p99'], 16)
        rows, _, _ = simulate('2:50:medium:100', '2:50:medium:20000', '1:50:medium:100:30000')
        self.assertLess(rows[2]['p50'], 21)

    def test_weights(self):
        self.entitled('1:25:medium:100', '1:75:medium:20000')
        self.entitled('1:10:medium:20000', '1:90:medium:100')
        self.entitled('1:1:medium:100', '1:100:medium:1000', seconds='300')

    def test_the_cost_of_turns_does_not_fall_to_the_light(self):
        """Turns by weight are unlike; where few wait the short ones are longer, so that changing is no more of them."""
        for groups in (('1:10:medium:100', '1:90:medium:20000'), ('1:10:medium:100', '1:90:medium:100'),
                       ('1:25:medium:100', '1:75:medium:20000'), ('1:25:medium:20000', '1:75:medium:100')):
            rows, _, _ = simulate('--switch', '400', *groups)
            for row in rows:
                self.assertAlmostEqual(row['kernels'] / row['entitled'], 1, delta=0.03, msg=rows)
        # Not where a round would be long, nor for who has something to do from time to time.
        rows, _, _ = simulate('32:10:medium:100', '32:30:medium:2000')
        self.assertLess(rows[0]['p50'], 600)
        rows, _, _ = simulate('1:10:medium:100', '1:90:medium:1000:20000')
        self.assertLess(rows[1]['p99'], 6)

    def test_waiting_for_each_kernel(self):
        """A program has no work at the moment at which its slice ends, if it waits for each of its kernels."""
        self.entitled('--linger', '100', '1:75:medium:900:60', '1:25:medium:100')
        self.entitled('--linger', '100', '1:90:medium:2000:60', '1:10:medium:700:60')

    def test_who_comes_does_not_wait_for_what_others_are_due(self):
        rows, _, _ = simulate('1:1:medium:100', '1:100:medium:100', '1:50:medium:1000:30000')
        self.assertLess(rows[2]['p99'], 6)

    def test_many(self):
        self.entitled('32:10:medium:100', '32:30:medium:2000')
        self.entitled('500:50:medium:100', '500:100:medium:1000', seconds='600')

    def test_short_requests_wait_a_slice_at_most(self):
        rows, _, _ = simulate('1:50:medium:1000:10000', '1:50:medium:100')
        self.assertLess(rows[0]['p99'], 5.5)

    def test_high_class_waits_for_one_kernel(self):
        rows, _, _ = simulate('1:50:high:1000:10000', '4:50:medium:100')
        self.assertLess(rows[0]['p99'], 0.2)
        rows, _, _ = simulate('1:50:high:1000:10000', '4:50:medium:20000')
        self.assertLess(rows[0]['p99'], 20.2)

    def test_low_class_does_not_starve(self):
        rows, _, _ = simulate('--aging', '100', '1:50:high:1000', '1:50:low:1000')
        self.assertGreater(rows[1]['share'], 0.01)
        self.assertLess(rows[1]['p99'], 250)
        rows, _, _ = simulate('--aging', '0', '1:50:high:1000', '1:50:low:1000')
        self.assertLess(rows[1]['share'], 0.001)

    def test_pauses_of_a_high_class_do_not_keep_a_low_one_from_its_slice(self):
        """However it pauses: the low one gets a slice of 5 ms in each two times aging and a turn of the high one."""
        promised = 5 / (2 * 100 + 2 * 5)
        for high in '1:50:high:1000:1000:99', '1:50:high:1000:100:99', '1:50:high:1000:10:199', '1:50:high:1000:100:4':
            for low in '1:50:low:100', '3:50:low:50':
                rows, _, _ = simulate('--aging', '100', high, low)
                self.assertGreater(rows[1]['share'], 0.98 * promised, f'{high} {low}')
                self.assertLess(rows[1]['share'], 0.05, f'{high} {low}')
        rows, _, _ = simulate('--aging', '100', '1:50:high:1000:100:99', '1:50:medium:100', '1:50:low:100')
        self.assertGreater(min(row['share'] for row in rows), 0.98 * promised)

    def test_a_low_class_that_gets_enough_disturbs_nobody(self):
        rows, _, _ = simulate('--aging', '100', '1:50:high:1000:4000', '1:50:low:100')
        self.assertLess(rows[0]['p99'], 0.2)

    def test_idle_time_is_not_saved_up(self):
        """Who was away for long does not then keep the others from the GPU."""
        rows, _, _ = simulate('1:50:medium:1000:2000000:500', '1:50:medium:1000')
        self.assertLess(rows[1]['p99'], 12)

    def test_who_ends_and_starts_again_gains_nothing(self):
        """What a kernel took beyond its turn is paid for by the tenant's next program."""
        for group in '1:10:medium:20000:1000', '1:10:medium:250000:5000', '1:50:medium:20000:2000:3':
            rows, _, _ = simulate('--seconds', '300', '--ends', group, '1:90:medium:100')
            self.assertLess(rows[0]['share'] / rows[0]['entitled'], 1.03, f'{group}: {rows}')
        # Who has less than that coming to it loses nothing.
        rows, _, _ = simulate('--ends', '1:50:medium:1000:10000', '1:50:medium:100')
        self.assertLess(rows[0]['p99'], 5.5)

    def test_bursts_in_flight(self):
        """Who stops leaves them to be done, and with one at a time the GPU waits between them."""
        without, _, _ = simulate('2:50:medium:100')
        done = {}
        for bursts in 1, 2, 8:
            rows, jain, _ = simulate('--burst', '500', '--bursts', str(bursts), '2:50:medium:100')
            self.assertAlmostEqual(rows[0]['p99'] - without[0]['p99'], 0.5 * bursts, delta=0.1)
            self.assertGreater(jain, 0.99)
            done[bursts] = rows[0]['done']
        self.assertAlmostEqual(done[1] / done[2], 500 / 507, delta=0.003)

    def test_recorded_workload(self):
        with tempfile.NamedTemporaryFile('w', suffix='.txt') as trace:
            for i in range(100):
                trace.write(f'{i * 10000} {500 + i}\n')
            trace.flush()
            rows, _, _ = simulate(f'1:50:medium:@{trace.name}', '1:50:medium:100')
        self.assertAlmostEqual(rows[0]['share'], 0.055, delta=0.01)


class Others(unittest.TestCase):
    def test_round_robin_knows_no_weights(self):
        rows, _, _ = simulate('--policy', 'round-robin', '1:10:low:100', '1:90:high:100')
        self.assertAlmostEqual(rows[0]['share'], 0.5, delta=0.03)

    def test_priority_is_strict(self):
        rows, _, _ = simulate('--policy', 'priority', '1:10:high:100', '1:90:low:100')
        self.assertGreater(rows[0]['share'], 0.999)

    def test_exclusive_keeps(self):
        rows, _, _ = simulate('--policy', 'exclusive', '1:50:medium:100', '1:50:medium:100')
        self.assertEqual(sorted(round(row['share']) for row in rows), [0, 1])


if __name__ == '__main__':
    tap.main()
