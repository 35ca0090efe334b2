# SPDX-License-Identifier: Apache-2.0
"""What peers.py has measured, as JSON and as tables in Markdown."""

import json
import os
import statistics
import threading


def jain(values):
    return sum(values) ** 2 / (len(values) * sum(value * value for value in values)) if any(values) else 0.0


def figure(value):
    return f'{value:.4g}'


def table(head, rows, right_from):
    print('| ' + ' | '.join(head) + ' |')
    print('|' + '|'.join('---' if place < right_from else '---:' for place in range(len(head))) + '|')
    for row in rows:
        print('| ' + ' | '.join(cell.replace('|', '/') for cell in row) + ' |')
    print()


def across_turns(turns):
    """Medians over the turns of the medians, and of the p99."""
    late = [p99 for _, p99 in turns if p99 is not None]
    return statistics.median(median for median, _ in turns), statistics.median(late) if late else None


class Report:
    def __init__(self, sides, turns):
        self.sides = sides
        self.turns = turns
        self.values = {}    # (measurement, unit): {side: [(median, p99 or None) of each turn]}
        self.verdicts = {}  # program: {side: [verdict of each run]}
        self.answers = {}   # program: {side: what it computed}
        self.fairness = {}  # mix: {side: [part of the GPU's time of each tenant] or a verdict}
        self.device = ''
        self.cut = False
        self.saving = threading.Lock()

    def save(self, path):
        if not path:
            return
        with self.saving:
            values = [{'name': name, 'unit': unit, 'turns': sides} for (name, unit), sides in self.values.items()]
            path.write_text(json.dumps({
                'device': self.device, 'values': values, 'verdicts': self.verdicts, 'answers': self.answers,
                'fairness': self.fairness, 'cut': self.cut}, indent=1) + '\n')

    def values_print(self):
        head = ['measurement', 'unit']
        for side in self.sides:
            head += [f'{side.name}: p50 (p99)'] + (['ratio'] if side.name != 'native' else [])
        rows = []
        for (name, unit), turns in self.values.items():
            native = across_turns(turns['native'])[0] if 'native' in turns else 0
            row = [name, unit]
            for side in self.sides:
                cells = ['–', '–']
                if side.name in turns:
                    median, late = across_turns(turns[side.name])
                    cells = [figure(median) + (f' ({figure(late)})' if late is not None else ''),
                             f'{median / native:.3f}×' if native else '–']
                row += cells[:1] if side.name == 'native' else cells
            rows.append(row)
        if rows:
            table(head, rows, 2)

    def verdict(self, program, side):
        """Of all its runs; after a failure there are none."""
        runs = self.verdicts[program].get(side.name)
        if not runs:
            return '–'
        bad = [run for run in runs if not run.startswith(('pass', 'skipped'))]
        answers = self.answers.get(program, {})
        if bad:
            return bad[0] + (f' (in run {len(runs)})' if len(runs) > 1 else '')
        if side.name in answers and answers[side.name] != answers.get('native', answers[side.name]):
            return 'other results than natively'
        return runs[-1]

    def verdicts_print(self):
        if self.verdicts:
            table(['program', *(side.name for side in self.sides)],
                  [[program, *(self.verdict(program, side) for side in self.sides)] for program in self.verdicts],
                  len(self.sides) + 1)

    def fairness_print(self):
        rows = []
        for mix, sides in self.fairness.items():
            for name, used in sides.items():
                if isinstance(used, str):
                    rows.append([mix, name, used, '–', '–', '–'])
                    continue
                total = sum(used) or 1e-9
                rows.append([mix, name, ', '.join(f'{value / total:.4f}' for value in used), f'{total:.3f}',
                             f'{jain(used):.4f}', f'{max(used) / min(used):.3f}' if min(used) else '∞'])
        if rows:
            table(['tenants', 'through', 'shares of GPU time', 'together', 'Jain', 'most to least'], rows, 3)

    def print(self):
        print(f'\n{self.device or "unknown device"}; {os.cpu_count()} processors; {self.turns} turns'
              f'{"; cut short: the time was over" if self.cut else ""}\n')
        for side in self.sides:
            print(f'- {side.name}: {side.note}')
        print('\nRatios are to native. Of several turns the median of the p50 and of the p99.\n')
        self.values_print()
        self.verdicts_print()
        self.fairness_print()

    def ours_failed(self):
        ours = [side for side in self.sides if side.name.startswith('ours')]
        for program, verdicts in self.verdicts.items():
            natively = [run for run in verdicts.get('native', []) if not run.startswith('pass')]
            if not natively and any(not self.verdict(program, side).startswith(('pass', 'skipped', '–'))
                                    for side in ours):
                return True
        return any(isinstance(sides.get(side.name), str) for sides in self.fairness.values() for side in ours)
