# SPDX-License-Identifier: Apache-2.0
"""path.c over a real channel: mediator, executor and the strict driver; and what a program says without them."""

import unittest

import tap
from stack import Mediator, build_directory

PATH = build_directory() / 'tests' / 'guest' / 'path'
STRICT = build_directory() / 'tests' / 'executor' / 'libstrict_driver.so'


class Path(unittest.TestCase):
    def test_path(self):
        with Mediator(driver=STRICT) as mediator:
            done = mediator.run(PATH, CMOCKA_MESSAGE_OUTPUT='TAP')
            self.assertEqual(done.returncode, 0, f'{done.stdout}\n{done.stderr}\n{mediator.text()[-4000:]}')
            for line in done.stdout.splitlines():
                if line.startswith('#'):
                    print(line)
            mediator.wait_for_rest()


if __name__ == '__main__':
    tap.main()
