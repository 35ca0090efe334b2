# SPDX-License-Identifier: Apache-2.0
"""Programs through the whole path over the local transport: library, mediator, executor, software GPU."""

import os
import re
import unittest
from pathlib import Path

import impostor
import tap
from stack import WithMediator, build_directory, wait_until

EXAMPLES = build_directory() / 'examples'
ANSWERS = Path(__file__).parent / 'answers'


class Programs(WithMediator):
    def passes(self, *command, **environment):
        done = self.mediator.run(*command, **environment)
        self.assertEqual(done.returncode, 0, f'{done.stdout}\n{done.stderr}\n{self.mediator.text()[-4000:]}')
        return done.stdout

    def test_vector_add(self):
        output = self.passes(EXAMPLES / 'vector_add', 1000000)
        self.assertIn('[5, 7, 9]', output)

    def test_matrix_product(self):
        self.passes(EXAMPLES / 'matrix_product')

    def test_graph_capture(self):
        self.passes(build_directory() / 'tests' / 'end_to_end' / 'graph_capture')

    def test_error_codes(self):
        self.passes(build_directory() / 'tests' / 'end_to_end' / 'error_codes')

    def test_zero_calls(self):
        self.answers_as_natively('zero_calls')

    def answers_as_natively(self, name):
        """What the program says has the lines that it said with NVIDIA's driver 580.159.04 on an H200, in their order."""
        said = self.passes(build_directory() / 'tests' / 'end_to_end' / name).splitlines()
        place = 0
        for line in (ANSWERS / f'{name}.txt').read_text().splitlines():
            self.assertIn(line, said[place:], f'behind {said[max(0, place - 3):place]}')
            place = said.index(line, place) + 1

    def test_old_calls(self):
        self.answers_as_natively('old_calls')

    def test_rare_calls(self):
        self.answers_as_natively('rare_calls')

    def test_texture_references(self):
        self.answers_as_natively('texture_references')

    def test_two_at_once(self):
        programs = [self.mediator.spawn(EXAMPLES / 'vector_add', 300000) for _ in range(4)]
        for program in programs:
            output, _ = program.communicate(timeout=120)
            self.assertEqual(program.returncode, 0, output)

    def test_counters_increase(self):
        def processed():
            lines = re.findall(r'Total processed: (\d+)', self.mediator.text())
            return int(lines[-1]) if lines else 0
        before = processed()
        self.passes(EXAMPLES / 'vector_add', 1000)
        wait_until(lambda: processed() > before, 'Total processed increases')

    def test_nothing_is_left(self):
        self.passes(EXAMPLES / 'vector_add', 1000)
        self.mediator.wait_for_rest()
        descriptors = self.mediator.file_descriptors()
        for _ in range(10):
            self.passes(EXAMPLES / 'vector_add', 1000)
        self.mediator.wait_for_rest()
        wait_until(lambda: self.mediator.file_descriptors() <= descriptors, 'descriptors are given back')



class OthersMediators(unittest.TestCase):
    """In /tmp everybody may listen: only root and the program's own user are a mediator there."""

    def heard(self, user):
        program = EXAMPLES / 'vector_add'
        if os.geteuid() != 0 or not impostor.is_possible(program):
            self.skipTest('needs a mount namespace, and the build elsewhere than in /tmp')
        environment = {**os.environ, 'LD_LIBRARY_PATH': str(build_directory() / 'guest' / 'libcuda'),
                       'VGPU_TRANSPORT': 'local'}
        environment.pop('VGPU_SOCKET', None)
        return impostor.heard(user, [program, 100], environment)

    def test_another_user_hears_nothing(self):
        output, types = self.heard(65534)
        self.assertEqual(types, [], output)

    def test_root_hears_a_hello(self):
        output, types = self.heard(0)
        self.assertEqual(types, [2], output)


if __name__ == '__main__':
    tap.main()
