# SPDX-License-Identifier: Apache-2.0
"""Compiles the programs with nvcc, where it is, and runs them through the whole path over the local transport:
library, mediator, executor, software GPU. TAP, from run.sh.

usage: test_local.py OUTDIR
"""

import subprocess
import sys
from pathlib import Path

from stack import Mediator

HERE = Path(__file__).resolve().parent
NO_COMPILER = 77


def main():
    output = Path(sys.argv[1])
    built = subprocess.run([HERE / 'build.sh', output], capture_output=True, text=True, check=False)
    if built.returncode == NO_COMPILER:
        print(f'1..0 # SKIP {built.stdout.strip()}')
        return 0
    if built.returncode:
        print(f'1..1\nnot ok 1 - build.sh ended with {built.returncode}: {built.stderr[-2000:]}')
        return 1
    with Mediator() as mediator:
        return subprocess.run([HERE / 'run.sh', output], env=mediator.client_environment(PROGRAM_SECONDS_MAX='60'),
                              check=False).returncode


if __name__ == '__main__':
    sys.exit(main())
