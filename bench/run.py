#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Measures on this machine, with the software GPU: the engine's lane-operations per second, and each driver call
directly against the same call through the whole path (library, ring, executor), in one run.

usage: run.py [--build DIRECTORY]

On a machine with an NVIDIA GPU use tests/gpu/run.sh, which compares with NVIDIA's driver.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / 'tests' / 'end_to_end'))


def main():
    parser = argparse.ArgumentParser(description='measures')
    parser.add_argument('--build', default='build', type=Path)
    build = parser.parse_args().build.resolve()
    os.environ['VGPU_BUILD'] = str(build)
    from stack import Mediator

    print('## Software GPU: lane-operations per second\n', flush=True)
    subprocess.run([build / 'softgpu/engine/bench/engine_bench', ROOT / 'softgpu/engine/bench/kernels.ptx'], check=True)

    program = build / 'bench/launch_bench'
    with tempfile.TemporaryDirectory() as folder, Mediator() as mediator:
        folder = Path(folder)
        (folder / 'libcuda.so.1').symlink_to(build / 'softgpu/driver/libsoftgpu.so.1')
        direct, remoted = folder / 'direct.json', folder / 'remoted.json'
        with direct.open('w') as output:
            subprocess.run([program], stdout=output, check=True, timeout=600,
                           env={**os.environ, 'LD_LIBRARY_PATH': str(folder)})
        with remoted.open('w') as output:
            subprocess.run([program], stdout=output, check=True, timeout=600, env=mediator.client_environment())
        print('\n## Driver calls: software GPU directly, and through the mediator\'s executor\n', flush=True)
        subprocess.run([sys.executable, ROOT / 'bench/compare.py', '--without-goals', direct, remoted], check=True)


if __name__ == '__main__':
    main()
