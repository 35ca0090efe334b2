# SPDX-License-Identifier: Apache-2.0
"""bench/idle.py on the software GPU: no process of an idle program's uses a hundredth of a processor."""

import json
from pathlib import Path

import tap
from bundled import Bundled


class Idle(Bundled):
    def test_nobody_works(self):
        file = Path(self.folder.name) / 'idle.json'
        text = self.run_script('idle.py', '--json', file)
        seen = {(row['place'], row['process']) for row in json.loads(file.read_text())['rows']}
        for process in (('here', 'idle'), ('here', 'mediator_phase3'), ('here', 'cuda-executor'), ('worker', 'idle'),
                        ('worker', 'mediator_phase3'), ('worker', 'vgpu-relay'), ('worker', 'vgpu-worker'),
                        ('worker', 'cuda-executor')):
            self.assertIn(process, seen, text)


if __name__ == '__main__':
    tap.main()
