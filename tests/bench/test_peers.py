# SPDX-License-Identifier: Apache-2.0
"""bench/peers.py on the software GPU, without peers and with ones that cannot do anything: what it says of them."""

import json
import sys
from pathlib import Path

import tap
from bundled import BUILD, Bundled

# A server that hangs up; the driver beside it is none.
SERVER = '''#!{python}
import os, socket
listening = socket.create_server(('127.0.0.1', int(os.environ['LUPINE_PORT'])))
print('listening', flush=True)
while True:
    listening.accept()[0].close()
'''


class Peers(Bundled):
    def run_peers(self, *arguments, peers=(), nvcc='/nonexistent'):
        """Returns (what it printed, what it wrote as JSON)."""
        file = Path(self.folder.name) / 'results.json'
        text = self.run_script('peers.py', *peers, '--quick', '--json', file, *arguments, NVCC=nvcc)
        return text, json.loads(file.read_text())

    def test_ours_beside_the_driver(self):
        text, results = self.run_peers('--only', 'bench', '--only', 'fairness')
        sides = {'native', 'ours, local', 'ours, worker'}
        for program in 'launch_bench', 'vector_add':
            self.assertEqual({side: set(runs) for side, runs in results['verdicts'][program].items()},
                             {side: {'pass'} for side in sides})
        turns = {row['name']: row['turns'] for row in results['values']}
        for name in 'launch_and_synchronize', 'copy_pageable_d2h_4_mib', 'vector_add, process':
            self.assertEqual(set(turns[name]), sides)
            self.assertTrue(all(median > 0 for side in sides for median, _ in turns[name][side]), turns[name])
            self.assertIn(f'| {name} |', text)
        for side in sides:
            used = results['fairness']['2 unlike'][side]
            self.assertEqual(len(used), 2, used)
            self.assertGreater(sum(used), 0)
        self.assertIn('softgpu', text)

    def test_a_peer_that_fails(self):
        peer = Path(self.folder.name) / 'peers/lupine'
        for folder in 'bin', 'client', 'lib':
            (peer / folder).mkdir(parents=True)
        server = peer / 'bin/lupine_driver_server'
        server.write_text(SERVER.format(python=sys.executable))
        (peer / 'client/libcuda.so.1').symlink_to(BUILD / 'guest/libnvml/libnvidia-ml.so.1')
        text, results = self.run_peers('--only', 'bench', peers=[peer.parent])
        for program in 'launch_bench', 'vector_add':
            self.assertEqual(results['verdicts'][program]['ours, local'][0], 'pass')
            # Told once, not repeated.
            verdict, = results['verdicts'][program]['LUPINE']
            self.assertRegex(verdict, '^fails: ')
        self.assertIn('| LUPINE |', text)

    def test_no_time(self):
        text, results = self.run_peers('--only', 'bench', '--budget', '0')
        self.assertTrue(results['cut'])
        self.assertIn('cut short', text)
        self.assertEqual(results['values'], [])


if __name__ == '__main__':
    tap.main()
