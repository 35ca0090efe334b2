#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the way to a worker costs: launch_bench with the executor here, at a worker on the loopback interface, and
at one behind a network of 0.1 and 1 ms of delay in each direction.

usage: worker.py [--build BUILD] [--full | --pack]

With --pack: vector_add of 4 million floats (32 MB there, 16 MB back) over links of several speeds, with bulk data
packed and as it is.

As root the delay is netem's, between two network namespaces; where the kernel has no netem, a process in between
holds every piece of data back for that time, and costs some microseconds more itself. Prints a table.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / 'tests' / 'end_to_end'), str(ROOT / 'tests' / 'worker'), str(ROOT / 'tests')]

# pylint: disable=wrong-import-position
from stack import Mediator  # noqa: E402
from worker_stack import FAR, DelayLine, Namespace, WorkerStack  # noqa: E402

DELAYS_MS = (0.1, 1)
ROWS = ('launch_issue_0_parameters', 'launches_sustained', 'launch_and_synchronize', 'copy_8_bytes_h2d',
        'copy_8_bytes_d2h', 'copy_pageable_h2d_1_mib', 'copy_pageable_d2h_1_mib', 'copy_pageable_h2d_4_mib',
        'copy_pageable_d2h_4_mib', 'copy_pageable_h2d_64_mib', 'copy_pageable_d2h_64_mib',
        'vector_add_1000000_end_to_end')


def measure(mediator, build, full):
    command = [build / 'bench' / 'launch_bench'] + ([] if full else ['--quick'])
    done = mediator.run(*command, seconds=900)
    if done.returncode:
        sys.exit(f'launch_bench failed: {done.stdout}{done.stderr}{mediator.text()[-2000:]}')
    return {row['name']: row for row in map(json.loads, done.stdout.splitlines()) if 'name' in row}


def measure_delayed(delay_ms, build, full):
    """The results, and how the delay was made."""
    try:
        namespace = Namespace(delay_ms)
    except OSError as reason:
        line = DelayLine(delay_ms / 1000)
        with WorkerStack(connect_to=f'127.0.0.1:{line.port}') as stack:
            line.target = stack.worker.port
            return measure(stack.mediator, build, full), f'a process in between, for: {reason}'
    try:
        with WorkerStack(address=FAR, worker_wrapper=namespace.wrapper) as stack:
            return measure(stack.mediator, build, full), 'netem'
    finally:
        namespace.close()


def pack_measure(build):
    print('| link | as it is | packed |\n|---|---|---|')
    for megabits in (100, 300, 1000, 3000, 0):
        times = []
        for pack in ('no', 'yes'):
            line = DelayLine(0, megabits * 125000)
            options = {'connect_to': f'127.0.0.1:{line.port}'} if megabits else {}
            with WorkerStack('--worker-pack', pack, **options) as stack:
                line.target = stack.worker.port
                samples = []
                for _ in range(5):
                    start = time.monotonic()
                    done = stack.mediator.run(build / 'examples' / 'vector_add', 4000000)
                    samples.append(time.monotonic() - start)
                    if done.returncode:
                        sys.exit(done.stdout + done.stderr)
                times.append(sorted(samples)[2])
        print(f'| {f"{megabits} Mbit/s" if megabits else "loopback"} | {times[0]:.2f} s | {times[1]:.2f} s |', flush=True)


def cell(result):
    """The median, and of latencies the 99th percentile."""
    late = f' ({result["p99"]:.4g})' if 'p99' in result else ''
    return f'{result["median"]:.4g}{late}'


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--build', default=str(ROOT / 'build'))
    parser.add_argument('--full', action='store_true', help='more samples and larger copies')
    parser.add_argument('--pack', action='store_true')
    options = parser.parse_args()
    os.environ['VGPU_BUILD'] = options.build
    build = Path(options.build).resolve()
    if options.pack:
        pack_measure(build)
        return
    results = {}
    with Mediator() as mediator:
        results['executor here'] = measure(mediator, build, options.full)
    with WorkerStack() as stack:
        results['worker, loopback'] = measure(stack.mediator, build, options.full)
    how = ''
    for delay in DELAYS_MS:
        results[f'worker, {delay} ms'], how = measure_delayed(delay, build, options.full)
    print(f'Delay each way by {how}.\n')
    print('| | unit | ' + ' | '.join(results) + ' |')
    print('|---|---|' + '---|' * len(results))
    for row in ROWS:
        if all(row in result for result in results.values()):
            values = [cell(result[row]) for result in results.values()]
            print(f'| {row} | {next(iter(results.values()))[row]["unit"]} | ' + ' | '.join(values) + ' |')


if __name__ == '__main__':
    main()
