# SPDX-License-Identifier: Apache-2.0
"""All kernel cases through the whole path over the local transport: library, mediator, executor, software GPU.

usage: test_local.py KERNELS_RUN
"""

import subprocess
import sys

from stack import Mediator


def main():
    with Mediator() as mediator:
        return subprocess.run([sys.argv[1]], env=mediator.client_environment(), check=False).returncode


if __name__ == '__main__':
    sys.exit(main())
