# SPDX-License-Identifier: Apache-2.0
"""bench/peers.py on the software GPU, without peers and with ones that cannot do anything: what it says of them."""

import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import tap

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ['VGPU_BUILD'])
# A server that hangs up; the driver beside it is none.
SERVER = '''#!{python}
import os, socket
listening = socket.create_server(('127.0.0.1', int(os.environ['LUPINE_PORT'])))
print('listening', flush=True)
while True:
    listening.accept()[0].close()
'''


class Peers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.bundle = Path(cls.folder.name) / 'bundle'
        subprocess.run([ROOT / 'tests/gpu/bundle.sh', BUILD, cls.bundle], check=True, capture_output=True, timeout=120)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def run_peers(self, *arguments, peers=(), nvcc='/nonexistent'):
        """Returns (what it printed, what it wrote as JSON)."""
        file = Path(self.folder.name) / 'results.json'
        done = subprocess.run(
            [sys.executable, ROOT / 'bench/peers.py', self.bundle, *peers, '--driver',
             BUILD / 'softgpu/driver/libsoftgpu.so.1', '--quick', '--json', file, *arguments],
            capture_output=True, text=True, timeout=280, check=False, env={**os.environ, 'NVCC': nvcc})
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout, json.loads(file.read_text())

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
