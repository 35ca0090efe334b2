# SPDX-License-Identifier: Apache-2.0
"""bench/trace.py on the software GPU: the parts of each request are those of its whole time."""

import re

import tap
from bundled import Bundled


class Trace(Bundled):
    def test_requests_are_taken_apart(self):
        text = self.run_script('trace.py', '--quick')
        self.assertEqual(len(re.findall(r'beside (?:short|long) kernels: [1-9]', text)), 4, text)
        for found, seen in re.findall(r'kernels: (\d+) of (\d+) requests', text):
            # The first one may have begun before its executor's trace did.
            self.assertGreaterEqual(int(found), int(seen) - 1, text)
        rows = [[int(word) for word in row.split('|')] for row in re.findall(r'^\| slow \| (.*) \|$', text, re.M)]
        self.assertGreater(len(rows), 4, text)
        for total, wake, launch, mark, gpu, gap, reply, flight, late, until in rows:
            self.assertLessEqual(abs(wake + launch + mark + gpu + reply - total), 4, text)
            self.assertLessEqual(gap, total + 1, text)
            self.assertLessEqual(until, total + 1, text)
            self.assertTrue(flight >= 0 and late >= 0, text)


if __name__ == '__main__':
    tap.main()
