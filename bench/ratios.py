#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Prints the ratio of each "time NAME SECONDS" line in pairs of logs: NAME.native.log against NAME.remoted.log.

usage: ratios.py RESULTS NAME...
"""

import sys
from pathlib import Path


def times(path):
    words = (line.split() for line in path.read_text().splitlines())
    return {w[1]: float(w[2]) for w in words if len(w) == 3 and w[0] == 'time'}


def main():
    folder, names = Path(sys.argv[1]), sys.argv[2:]
    print('| program | measurement | native ms | remoted ms | remoted speed |\n|---|---|---:|---:|---:|')
    for name in names:
        native, remoted = (times(folder / f'{name}.{side}.log') for side in ('native', 'remoted'))
        for what, seconds in native.items():
            if what in remoted:
                print(f'| {name} | {what} | {seconds * 1e3:.3f} | {remoted[what] * 1e3:.3f} '
                      f'| {seconds / remoted[what]:.3f}× |')


if __name__ == '__main__':
    main()
