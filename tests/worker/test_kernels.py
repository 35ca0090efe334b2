# SPDX-License-Identifier: Apache-2.0
"""All kernel cases over the network: library, mediator, relay, TLS, worker, executor, software GPU.

usage: test_kernels.py KERNELS_RUN
"""

import subprocess
import sys

from worker_stack import WorkerStack


def main():
    # The host has no driver at all: its own probe must not matter.
    with WorkerStack(driver='/nonexistent/libcuda.so.1') as stack:
        return subprocess.run([sys.argv[1]], env=stack.mediator.client_environment(), check=False).returncode


if __name__ == '__main__':
    sys.exit(main())
