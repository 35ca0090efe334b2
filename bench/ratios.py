#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Prints the ratio of each "time NAME SECONDS" line in pairs of logs, PROGRAM-ROUND.native.log against
PROGRAM-ROUND.remoted.log: of the medians over the rounds, and what the rounds by themselves say.

usage: ratios.py RESULTS PROGRAM...
"""

import re
import statistics
import sys
from pathlib import Path


def times(path):
    words = (line.split() for line in path.read_text().splitlines())
    return {w[1]: float(w[2]) for w in words if len(w) == 3 and w[0] == 'time'}


def rounds(folder, program, side):
    """The times of each round, in order."""
    name = re.compile(re.escape(program) + r'-\d+\.' + side + r'\.log')
    return [times(path) for path in sorted(folder.iterdir()) if name.fullmatch(path.name)]


def main():
    folder, programs = Path(sys.argv[1]), sys.argv[2:]
    print('| program | measurement | native ms | remoted ms | remoted speed | of each round |')
    print('|---|---|---:|---:|---:|---|')
    for program in programs:
        native, remoted = (rounds(folder, program, side) for side in ('native', 'remoted'))
        for what in native[0]:
            pairs = [(n[what], r[what]) for n, r in zip(native, remoted) if what in n and what in r]
            if not pairs:
                continue
            before, after = (statistics.median(side) for side in zip(*pairs))
            each = ', '.join(f'{n / r:.2f}' for n, r in pairs)
            print(f'| {program} | {what} | {before * 1e3:.3f} | {after * 1e3:.3f} | {before / after:.3f}× | {each} |')


if __name__ == '__main__':
    main()
