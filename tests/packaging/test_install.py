# SPDX-License-Identifier: Apache-2.0
"""What `make install` puts where."""

import configparser
import json
import os
import shutil
import stat
import subprocess
import tempfile
import unittest
from pathlib import Path

import tap

SOURCE = Path(__file__).resolve().parents[2]
UNITS = 'mediator.service', 'vgpu-worker.service', 'vgpu-jobs.service'


def install(folder, prefix):
    """What make would build first is built, and packages are not this test's to install."""
    subprocess.run(['make', '--no-print-directory', '-o', 'configure', '-o', 'host', 'install',
                    f'BUILD={os.environ["VGPU_BUILD"]}', f'DESTDIR={folder}', f'PREFIX={prefix}'],
                   cwd=SOURCE, check=True, capture_output=True, text=True)


def unit_read(path):
    unit = configparser.RawConfigParser(strict=False, comment_prefixes=('#',))
    unit.optionxform = str
    unit.read_string(path.read_text())
    return unit


class Install(unittest.TestCase):
    def look(self, prefix):
        with tempfile.TemporaryDirectory() as folder:
            install(folder, prefix)
            root = Path(folder)
            for name in UNITS:
                unit = unit_read(root / 'etc/systemd/system' / name)
                program = unit['Service']['ExecStart'].split()[0]
                self.assertTrue(program.startswith(f'{prefix}/sbin/'), program)
                self.assertTrue(os.access(root / program[1:], os.X_OK), program)
                self.assertEqual(unit['Unit']['RequiresMountsFor'], '/etc/vgpu')
                # Settings that not all want are not in force until they are copied.
                self.assertFalse((root / f'etc/systemd/system/{name}.d').exists())
            share = root / prefix[1:] / 'share/vgpu-cuda'
            for name, leaf in ('mediator', 'mediator'), ('vgpu-worker', 'worker'):
                example = unit_read(share / f'systemd/{name}.service.d/executor-cgroup.conf')
                self.assertEqual(example['Service']['DelegateSubgroup'], leaf)
            for path in 'etc/vgpu/mediator.conf', 'usr/lib/sysusers.d/vgpu-cuda.conf', 'usr/lib/tmpfiles.d/vgpu-cuda.conf':
                self.assertTrue((root / path).is_file(), path)
            # Whom nobody may read, nobody of the same user can look into.
            mode = (root / prefix[1:] / 'libexec/vgpu/cuda-executor').stat().st_mode
            self.assertEqual(stat.S_IMODE(mode), 0o711)
            # An operator's settings stay; what they are compared with is new.
            (root / 'etc/vgpu/mediator.conf').write_text('slice = 7\n')
            install(folder, prefix)
            self.assertEqual((root / 'etc/vgpu/mediator.conf').read_text(), 'slice = 7\n')
            self.assertEqual((share / 'mediator.conf').read_text(), (SOURCE / 'packaging/mediator.conf').read_text())

    def test_masked_units(self):
        with tempfile.TemporaryDirectory() as folder:
            units = Path(folder, 'etc/systemd/system')
            units.mkdir(parents=True)
            (units / 'vgpu-worker.service').symlink_to('/dev/null')
            (units / 'vgpu-jobs.service').touch()
            (units / 'mediator.service').write_text('of an earlier version\n')
            install(folder, '/usr')
            self.assertEqual(os.readlink(units / 'vgpu-worker.service'), '/dev/null')
            self.assertEqual((units / 'vgpu-jobs.service').read_text(), '')
            self.assertIn('ExecStart=/usr/sbin/mediator_phase3', (units / 'mediator.service').read_text())

    def test_there_is_one_way(self):
        build = os.environ['VGPU_BUILD']
        self.assertEqual(json.loads(Path(build, 'meson-info/intro-installed.json').read_text()), {})
        if not shutil.which('meson'):
            self.skipTest('meson is not installed')
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(['meson', 'install', '--no-rebuild', '-C', build, '--destdir', folder],
                                  capture_output=True, text=True, check=False)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn('make install', done.stdout + done.stderr)
            self.assertEqual(os.listdir(folder), [])

    def test_local(self):
        self.look('/usr/local')

    def test_package(self):
        self.look('/usr')


if __name__ == '__main__':
    tap.main()
