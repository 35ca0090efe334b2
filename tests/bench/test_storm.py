# SPDX-License-Identifier: Apache-2.0
"""bench/storm.py on the software GPU, each misdeed twice."""

import json
from pathlib import Path

import tap
from bundled import Bundled


class Storm(Bundled):
    def test_each_misdeed(self):
        file = Path(self.folder.name) / 'storm.json'
        text = self.run_script('storm.py', '--rounds', '12', '--json', file)
        results = json.loads(file.read_text())
        self.assertEqual(results['failures'], [], text)
        self.assertEqual(set(results['misdeeds'].values()), {2}, results)
        self.assertEqual(len(results['misdeeds']), 6)
        self.assertEqual(results['free_before'], results['free_after'])


if __name__ == '__main__':
    tap.main()
