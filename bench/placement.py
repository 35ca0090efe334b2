#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""How a pool of two GPUs is used: programs are placed on them in equal number, and share each fairly.

usage: placement.py BUNDLE [--driver LIBRARY]

BUNDLE is what tests/gpu/bundle.sh made. First both GPUs are in one pool with four tenants that saturate, then each has a
pool of its own. Where there are fewer GPUs the exit status is 77; 1 if a goal was missed. About 30 seconds.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

from shares import Bench, Mediator

TENANTS = 4


def admin(bench, *words):
    done = subprocess.run([bench.bundle / 'bin/vgpu-admin', '--socket', bench.work / 'admin.sock', '--json', *words],
                          env=bench.environment(False), stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout) if done.stdout.strip() else None


def mediator_start(bench, folder, *options):
    folder.mkdir()
    bench.mediator = Mediator(folder, bench.bundle, bench.driver, '--admin-socket', str(bench.work / 'admin.sock'),
                              '--database', str(folder / 'state.sqlite'), *options)
    end = time.monotonic() + 20
    while len(admin(bench, 'scan-gpus')) < 2:
        if time.monotonic() > end:
            print('there are no two GPUs')
            sys.exit(77)
        time.sleep(0.2)


def main():
    parser = argparse.ArgumentParser(description='programs on two GPUs')
    parser.add_argument('bundle', type=Path)
    parser.add_argument('--driver', default='libcuda.so.1')
    options = parser.parse_args()
    bench = Bench(options.bundle, options.driver)
    try:
        bench.calibrate()
        native = bench.saturate({'a': 'short', 'b': 'short'}, native=True)
        _, native_total = bench.shares('native time slicing, 2 tenants on one GPU', native, {'a': 1, 'b': 1})
        mediator_start(bench, bench.work / 'one')
        for gpu in '0', '1':
            admin(bench, 'assign-gpu', gpu, 'A')
        names = [f't{i}' for i in range(TENANTS)]
        used = bench.saturate(dict.fromkeys(names, 'short'), seconds=6)
        _, total = bench.shares('4 tenants on a pool of 2 GPUs', used, dict.fromkeys(names, 1))
        bench.goal('a GPU of two, to native time slicing', total / 2 / native_total, total / 2 >= native_total)
        bench.goal("4 tenants on 2 GPUs, Jain's index", bench.jain(list(used.values())),
                   bench.jain(list(used.values())) >= 0.99)
        bench.mediator.stop()
        mediator_start(bench, bench.work / 'two')
        for gpu, pool in ('0', 'A'), ('1', 'B'):
            admin(bench, 'assign-gpu', gpu, pool)
        admin(bench, 'set-pool', 'program:far', 'B')
        used = bench.saturate({'near': 'short', 'beside': 'long', 'far': 'short'}, seconds=6)
        print('a pool for each: ' + ', '.join(f'{name} {value:.4f} of its GPU' for name, value in used.items()))
        bench.goal('alone in its pool', used['far'], used['far'] >= 0.97)
        bench.goal('the two of the other pool, worst deviation', abs(used['near'] - used['beside']) / 2,
                   abs(used['near'] - used['beside']) / 2 <= 0.03)
        bench.mediator.stop()
    finally:
        if bench.mediator and bench.mediator.process.poll() is None:
            bench.mediator.process.kill()
    sys.exit(1 if bench.missed else 0)


if __name__ == '__main__':
    main()
