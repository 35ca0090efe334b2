#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Sets two outputs of launch_bench side by side as a Markdown table.

usage: compare.py [--without-goals] [--histograms] NATIVE REMOTED

The ratio is remoted to native. A goal of the design's performance table is met, missed, or not stated. Exit code 1
if a goal is missed or could not be measured, so that a script can tell. The goals are for a real GPU: without them
where native is the software one. Histograms: what part of the calls took at most so long, and longer than the line before.
"""

import argparse
import json
import sys

# name -> what the remoted side must reach: limits on its own median and p99, or on the ratio to native.
GOALS = {
    'launch_issue_0_parameters': {'median_at_most': 0.3, 'p99_at_most': 1.0},
    'launch_issue_4_parameters': {'median_at_most': 0.3, 'p99_at_most': 1.0},
    'launches_sustained': {'ratio_at_least': 1.0},
    'launch_and_synchronize': {'ratio_at_most': 1.25},
    'copy_pinned_h2d_256_mib': {'ratio_at_least': 0.98},
    'copy_pinned_d2h_256_mib': {'ratio_at_least': 0.98},
    'copy_pageable_h2d_256_mib': {'ratio_at_least': 1.0},
    'copy_pageable_d2h_256_mib': {'ratio_at_least': 1.0},
}


def read_results(path):
    """Returns (header, {name: record}) of one output; a line that is not JSON is an error."""
    header, records = {}, {}
    with open(path, encoding='utf-8') as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except json.JSONDecodeError as error:
                sys.exit(f'{path}:{number}: {error}')
            if 'name' in record:
                records[record['name']] = record
            else:
                header.update(record)
    if not records:
        sys.exit(f'{path}: no measurement in it')
    return header, records


def judge(goal, native, remoted):
    """Returns (met, the goal in words)."""
    ratio = remoted['median'] / native['median']
    parts, met = [], True
    if 'median_at_most' in goal:
        parts.append(f'p50 ≤ {goal["median_at_most"]:g}')
        met = met and remoted['median'] <= goal['median_at_most']
    if 'p99_at_most' in goal:
        parts.append(f'p99 ≤ {goal["p99_at_most"]:g}')
        met = met and remoted['p99'] <= goal['p99_at_most']
    if 'ratio_at_least' in goal:
        parts.append(f'≥ {goal["ratio_at_least"]:g}×')
        met = met and ratio >= goal['ratio_at_least']
    if 'ratio_at_most' in goal:
        parts.append(f'≤ {goal["ratio_at_most"]:g}×')
        met = met and ratio <= goal['ratio_at_most']
    return met, ', '.join(parts)


def print_histogram(record, other):
    """Bounds are of the record's unit (samples.h)."""
    parts = []
    for side in (record, other):
        parts.append({bound: count / side['samples'] for bound, count in side['histogram']})
    print(f'\n{record["name"]}, {record["unit"]}\n\n| at most | native | remoted |\n|---:|---:|---:|')
    for bound in sorted(parts[0] | parts[1]):
        print(f'| {bound:g} | ' + ' | '.join(f'{part[bound]:.2%}' if bound in part else '' for part in parts) + ' |')


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--without-goals', action='store_true')
    parser.add_argument('--histograms', action='store_true')
    parser.add_argument('native')
    parser.add_argument('remoted')
    arguments = parser.parse_args()
    goals = {} if arguments.without_goals else GOALS
    native_header, native = read_results(arguments.native)
    remoted_header, remoted = read_results(arguments.remoted)
    print(f'Native: {native_header.get("device", "?")}, {native_header.get("library", "?")}. '
          f'Remoted: {remoted_header.get("device", "?")}, {remoted_header.get("library", "?")}.\n')
    print('| measurement | unit | native p50 | native p99 | remoted p50 | remoted p99 | ratio | goal | |')
    print('|---|---|---:|---:|---:|---:|---:|---|---|')
    missed = 0
    for name, one in native.items():
        other = remoted.get(name)
        if other is None:
            continue
        verdict, words = '', ''
        if name in goals:
            met, words = judge(goals[name], one, other)
            verdict = 'met' if met else 'missed'
            missed += not met
        print(f'| {name} | {one["unit"]} | {one["median"]:.4g} | {one["p99"]:.4g} | {other["median"]:.4g} '
              f'| {other["p99"]:.4g} | {other["median"] / one["median"]:.3f}× | {words} | {verdict} |')
    absent = [name for name in goals if name not in native or name not in remoted]
    lacking = sorted(set(native) ^ set(remoted))
    if lacking:
        print(f'\nOnly on one side: {", ".join(lacking)}.')
    if absent:
        print(f'\nGoals without a measurement: {", ".join(absent)}.')
    for name in native if arguments.histograms else ():
        if name in remoted:
            print_histogram(native[name], remoted[name])
    if goals:
        print(f'\n{len(goals) - missed - len(absent)} of {len(goals)} goals met.')
    return 1 if missed or absent else 0


if __name__ == '__main__':
    sys.exit(main())
