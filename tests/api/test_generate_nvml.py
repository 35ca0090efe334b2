# SPDX-License-Identifier: Apache-2.0
"""The generator of NVML: what it rejects, by line; structures against NVIDIA's header, where there is one."""

import re
import subprocess
import unittest
from pathlib import Path

import tap
from generator import generate

ROOT = Path(__file__).resolve().parents[2]
GENERATOR = ROOT / 'api' / 'nvml' / 'generate.py'
DESCRIPTION = sorted((ROOT / 'api' / 'nvml').glob('*.api'))
HEADERS = [Path('/usr/local/cuda/include/nvml.h'), Path('/usr/include/nvml.h')]

GOOD = """
remote 7 nvmlThingGet
    also nvmlThingGet_v1
    device device
    in u32 kind
    count count 16
    array 8 things
remote 3 nvmlThingShow local_only
    device device
    versioned nvmlThing thing 1:8 2:16
local
    entry nvmlHere
denied changes it
    entry nvmlThingSet
unsupported not built
    entry nvmlNever
result 0 NVML_SUCCESS Success
"""


class Produced(unittest.TestCase):
    def setUp(self):
        process, self.files = generate(GENERATOR, GOOD)
        self.assertEqual(process.returncode, 0, process.stderr)

    def test_functions_are_sorted_by_number(self):
        numbers = [int(n) for n in re.findall(r'^\t\{"nvml\w+", (\d+),', self.files['nvml_functions.c'], re.M)]
        self.assertEqual(numbers, [3, 7])

    def test_parameters(self):
        self.assertIn('{NVML_ROLE_ARRAY, 2, 8, 0, {0}}', self.files['nvml_functions.c'])
        self.assertIn('{NVML_ROLE_VERSIONED, 0, 16, 0, {0x1000008, 0x2000010}}', self.files['nvml_functions.c'])

    def test_stubs(self):
        stubs = self.files['nvml_stubs.c']
        self.assertIn('NVML_API(nvmlThingGet_v1, struct nvml_device *device, unsigned int kind, unsigned int *count, '
                      'void *things)', stubs)
        self.assertIn('library_refuse(NVML_ERROR_NO_PERMISSION)', stubs)
        self.assertNotIn('nvmlHere', stubs)

    def test_checksum_follows_the_layout(self):
        def checksum(text):
            return re.search(r'NVML_API_CHECKSUM (\S+)', generate(GENERATOR, text)[1]['nvml_functions.h']).group(1)
        self.assertEqual(checksum(GOOD), checksum(GOOD.replace('entry nvmlHere', 'entry nvmlThere')))
        self.assertNotEqual(checksum(GOOD), checksum(GOOD.replace('2:16', '2:24')))

    def test_coverage(self):
        self.assertIn('6 functions, all of which resolve: 4 answer, 1 are denied', self.files['coverage-nvml.md'])


class Rejected(unittest.TestCase):
    def rejects(self, text, message, line=None):
        process, files = generate(GENERATOR, text)
        self.assertNotEqual(process.returncode, 0)
        self.assertEqual(files, {})
        self.assertRegex(process.stderr, (f':{line}: ' if line else '') + f'.*{message}')

    def test_numbers(self):
        self.rejects('remote 0 nvmlA\n\tdevice d\n', 'outside', 1)
        self.rejects('remote 1024 nvmlA\n\tdevice d\n', 'outside', 1)
        self.rejects('remote 1 nvmlA\n\tdevice d\nremote 1 nvmlB\n\tdevice d\n', 'share number 1')

    def test_names(self):
        self.rejects('local\n\tentry nvmlA\n\tentry nvmlA\n', 'described twice')
        self.rejects('local\n\tentry cuInit\n', 'no function of NVML')

    def test_parameters(self):
        self.rejects('remote 1 nvmlA\n\tin u16 x\n', 'not a parameter', 2)
        self.rejects('remote 1 nvmlA\n\tarray 4 x\n', 'needs one count', 2)
        self.rejects('remote 1 nvmlA\n\tversioned T x 1-8\n', 'VERSION:BYTES', 2)
        self.rejects('remote 1 nvmlA\n', '0 parameters')
        self.rejects('remote 1 nvmlA\n\tcount n 60000\n\tarray 8 x\n', 'more than')

    def test_places(self):
        self.rejects('entry nvmlA\n', 'not understood', 1)
        self.rejects('local\n\tdevice d\n', 'not understood', 2)
        self.rejects('denied\n', 'not understood', 1)


class Header(unittest.TestCase):
    """The sizes in the description are those of NVIDIA's header."""

    @unittest.skipUnless(any(h.exists() for h in HEADERS), 'needs nvml.h')
    def test_sizes(self):
        header = next(h for h in HEADERS if h.exists())
        known = header.read_text(errors='replace')
        checks, skipped = [], 0
        for line in '\n'.join(path.read_text() for path in DESCRIPTION).splitlines():
            match line.split():
                case ['struct', kind, size, _]:
                    if re.search(rf'\b{re.escape(kind)}\b', known) or kind.startswith('char'):
                        checks.append(f'_Static_assert(sizeof({kind}) == {size}, "{kind}");')
                    else:
                        skipped += 1
                case ['versioned', kind, _, *versions]:
                    kind = kind.replace('nvmlGpuFabricInfoV', 'nvmlGpuFabricInfo')
                    for version, size in (v.split(':') for v in versions):
                        name = f'{kind}_v{version}_t'
                        if re.search(rf'\b{name}\b', known):
                            checks.append(f'_Static_assert(sizeof({name}) == {size}, "{name}");')
                        else:
                            skipped += 1
        self.assertGreater(len(checks), 20)
        source = f'#include "{header}"\n' + '\n'.join(checks) + '\n'
        process = subprocess.run(['cc', '-w', '-fsyntax-only', '-x', 'c', '-'], input=source, capture_output=True,
                                 text=True, check=False)
        self.assertEqual(process.returncode, 0, process.stderr)
        print(f'# {len(checks)} structures checked, {skipped} that this header does not have')


if __name__ == '__main__':
    tap.main()
