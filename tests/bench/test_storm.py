# SPDX-License-Identifier: Apache-2.0
"""bench/storm.py on the software GPU, each misdeed twice."""

import json
from pathlib import Path

import tap
from bundled import Bundled


class Storm(Bundled):
    def test_each_misdeed(self):
        file = Path(self.folder.name) / 'storm.json'
        # Here other things may be going on; and the memory is the machine's own.
        text = self.run_script('storm.py', '--each', '2', '--bound', '10', '--thief-mib', '512', '--json', file)
        results = json.loads(file.read_text())
        self.assertEqual(results['failures'], [], text)
        self.assertEqual(set(results['misdeeds'].values()), {2}, results)
        self.assertEqual(len(results['misdeeds']), 6)
        self.assertEqual(results['free_before'], results['free_after'])
        for kind in results['misdeeds']:
            self.assertEqual(set(results['longest'][kind]), {'executor', 'memory'})


if __name__ == '__main__':
    tap.main()
