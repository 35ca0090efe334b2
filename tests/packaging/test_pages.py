# SPDX-License-Identifier: Apache-2.0
"""Manual pages: test_pages.py PROGRAM=PAGE..., with the pages of programs that are built and of those that are not."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import tap

ROOT = Path(__file__).resolve().parents[2]
PAIRS = []


def rendered(page):
    """As a terminal shows it, in one line, and what groff complains of."""
    done = subprocess.run(['groff', '-man', '-Tascii', '-P-c', '-ww', '-rHY=0', '-rLL=2000n', str(page)], capture_output=True,
                          text=True, timeout=60, check=True)
    text = re.sub(r'.\x08', '', done.stdout)
    return ' '.join(text.split()), done.stderr


class Pages(unittest.TestCase):
    @unittest.skipUnless(shutil.which('groff'), 'needs groff')
    def test_they_say_what_the_programs_say(self):
        self.assertGreaterEqual(len(PAIRS), 5)
        for program, page in PAIRS:
            text, complaints = rendered(page)
            self.assertEqual(complaints, '', page)
            usage = subprocess.run([program, '--help'], capture_output=True, text=True, timeout=60,
                                   env={'ARGP_HELP_FMT': 'rmargin=1000', 'ASAN_OPTIONS': 'detect_leaks=0'}, check=True).stdout
            options = set(re.findall(r'(?<![\w-])--[a-z][a-z-]+', usage))
            self.assertTrue(options, program)
            for option in options:
                self.assertRegex(text, rf'{option}(?![\w-])', f'{page}: {option}')
            # Each option's text, and nothing of the template's marks.
            for words in re.findall(r'^ +-.*?[^ \n] {2,}(\S.*)$', usage, re.M):
                self.assertIn(' '.join(words.split())[1:], text, page)
            self.assertNotRegex(text, r'@[A-Z]+@')
            self.assertIn(Path(program).name, text)

    def test_each_installed_program_has_one(self):
        """By the Makefile, which installs them."""
        makefile = (ROOT / 'Makefile').read_text()
        sides = re.findall(r'^(?:HOST_SIDE|XEN_SIDE|GUEST_TOOLS) :=((?:.*\\\n)*.*)$', makefile, re.M)
        programs = {Path(word).name for side in sides for word in side.replace('\\\n', ' ').split()}
        # Not for people: others start them, from libexec.
        programs -= {'cuda-executor', 'vgpu-relay', 'vgpu-job-runner', 'libsoftgpu.so.1', 'libvgpujob.so.1'}
        programs |= {'vgpu-qemu'}
        self.assertGreaterEqual(programs, {'mediator_phase3', 'vgpu-admin', 'vgpu-worker', 'vgpu-xen', 'vgpu-run'})
        pages = set(re.findall(r'\b([\w-]+)\.[158]\b', makefile))
        self.assertEqual(programs - pages, set())

    def test_a_program_that_says_nothing(self):
        """The generator fails then, and makes no empty page."""
        with tempfile.TemporaryDirectory() as folder:
            template = Path(folder, 'template')
            template.write_text('@OPTIONS@\n')
            done = subprocess.run([sys.executable, ROOT / 'packaging/man/make_page.py', '/bin/false', template,
                                   Path(folder, 'page')], capture_output=True, timeout=60, check=False)
            self.assertNotEqual(done.returncode, 0)
            self.assertFalse(os.path.exists(Path(folder, 'page')))


if __name__ == '__main__':
    PAIRS = [pair.split('=') for pair in sys.argv[1:]]
    sys.argv[1:] = []
    tap.main()
