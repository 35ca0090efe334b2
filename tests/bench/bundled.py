# SPDX-License-Identifier: Apache-2.0
"""Tests of what runs from a bundle, on the software GPU: the bundle, and its programs of measurement."""

import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ['VGPU_BUILD'])


class Bundled(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.bundle = Path(cls.folder.name) / 'bundle'
        subprocess.run([ROOT / 'tests/gpu/bundle.sh', BUILD, cls.bundle], check=True, capture_output=True, timeout=120)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def run_script(self, name, *arguments, **environment):
        """Returns what it printed."""
        done = subprocess.run(
            [sys.executable, ROOT / 'bench' / name, self.bundle, *arguments, '--driver',
             BUILD / 'softgpu/driver/libsoftgpu.so.1'],
            capture_output=True, text=True, timeout=280, check=False, env={**os.environ, **environment})
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout
