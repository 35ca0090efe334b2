# SPDX-License-Identifier: Apache-2.0
"""The generator: what it rejects, by line, and what it must produce for known input."""

import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import tap
from generator import generate

ROOT = Path(__file__).resolve().parents[2]
GENERATOR = ROOT / 'api' / 'generate.py'
DESCRIPTION = sorted((ROOT / 'api' / 'driver').glob('*.api'))

GOOD = """
call cuThingCreate posted 70
    entry cuThingCreate 2000
    new stream thing
    in u32 flags
    doubt flags > 1
call cuThingRead waited 71
    entry cuThingRead 2000
    entry cuThingRead_ptsz 7000
    in stream hStream
    out f32 value optional
local
    entry cuHere 2000
refused not built
    entry cuNever 2000
refused CUDA_ERROR_INVALID_CONTEXT of another time
    entry cuOnce 2000
    entry cuOnceOfIt 2000 handle stream 1
result 1 CUDA_ERROR_INVALID_VALUE invalid argument
"""


class Rejects(unittest.TestCase):
    def rejected(self, text, line, why):
        process, files = generate(GENERATOR, text)
        self.assertNotEqual(process.returncode, 0)
        self.assertIn(why, process.stderr)
        if line:
            self.assertIn(f'input.api:{line}:', process.stderr)
        self.assertEqual(files, {}, 'nothing is written for a rejected description')

    def test_unknown_word(self):
        self.rejected('# first\nnonsense here\n', 2, 'not understood')

    def test_unknown_type(self):
        self.rejected('call cuA waited 70\n in u33 value\n', 2, 'not a parameter')

    def test_bad_mode(self):
        self.rejected('call cuA sometimes 70\n', 1, 'mode sometimes')

    def test_opcode_of_the_protocol(self):
        self.rejected('call cuA waited 12\n', 1, 'outside')

    def test_two_calls_one_opcode(self):
        self.rejected('call cuA waited 70\ncall cuB waited 70\n', None, 'share opcode 70')

    def test_entry_twice(self):
        self.rejected('local\n entry cuA 2000\nrefused no\n entry cuA 2000\n', None, 'described twice')

    def test_posted_with_output(self):
        self.rejected('call cuA posted 70\n out u32 value\n', None, 'no outputs')

    def test_waited_and_doubted(self):
        self.rejected('call cuA waited 70\n in u32 value\n doubt value > 1\n', None, 'only a posted call')

    def test_parameter_outside_a_call(self):
        self.rejected('in u32 value\n', 1, 'not understood')

    def test_tail_needs_hands(self):
        self.rejected('call cuA waited 70\n in tail bytes\n', None, 'a tail needs')

    def test_host_address_needs_host_hand(self):
        self.rejected('call cuA waited 70\n in host_address p\n', None, 'needs host hand')

    def test_two_versions_alike(self):
        self.rejected('local\n entry cuA 2000\n entry cuA_v2 2000\n', None, 'version 2000 twice')


class Produces(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        process, cls.files = generate(GENERATOR, GOOD)
        if process.returncode:
            raise AssertionError(process.stderr)

    def test_wire(self):
        wire = self.files['vgpu_api_wire.h']
        self.assertIn('VGPU_CALL_cuThingCreate = 70,', wire)
        self.assertIn('struct wire_cuThingCreate {\n\tuint32_t thing;\n\tuint32_t flags;\n} __attribute__((aligned(8)));',
                      wire)
        self.assertIn('struct wire_cuThingRead_reply {\n\tfloat value;\n} __attribute__((aligned(8)));', wire)

    def test_per_thread_entry(self):
        stubs = self.files['guest_stubs.c']
        self.assertIn('API(cuThingRead, CUstream hStream, float *value)\n{\n'
                      '\treturn core_cuThingRead(hStream, value, false);', stubs)
        self.assertIn('API(cuThingRead_ptsz, CUstream hStream, float *value)\n{\n'
                      '\treturn core_cuThingRead(hStream, value, true);', stubs)

    def test_doubted_call_is_waited_for(self):
        body = re.search(r'CUresult host_cuThingCreate.*?\n}\n', self.files['guest_stubs.c'], re.S).group()
        self.assertRegex(body, r'if \(__builtin_expect\(flags > 1, 0\)\)\n\t\treturn call_wait\(.*\n\treturn call_post\(')

    def test_refused_answers_not_supported(self):
        self.assertRegex(self.files['guest_stubs.c'],
                         r'API\(cuNever, void\)\n\{\n\treturn call_refused\("cuNever", CUDA_ERROR_NOT_SUPPORTED\);')
        self.assertRegex(self.files['guest_stubs.c'],
                         r'API\(cuOnce, void\)\n\{\n\treturn call_refused\("cuOnce", CUDA_ERROR_INVALID_CONTEXT\);')
        self.assertRegex(self.files['guest_stubs.c'],
                         r'API\(cuOnceOfIt, uint64_t before_0, CUstream handle\)\n\{(?s:.*)object_id\(handle, '
                         r'VGPU_KIND_STREAM, &id\)(?s:.*)"cuOnceOfIt", result \? result : CUDA_ERROR_INVALID_CONTEXT')
        self.assertIn('| cuOnce | 2.0 | `CUDA_ERROR_INVALID_CONTEXT` | of another time |', self.files['coverage.md'])

    def test_handles_first(self):
        text = 'call cuA waited 70 handles first\n entry cuA 2000\n out u32 value\n in stream hStream\n'
        _, files = generate(GENERATOR, text)
        core = re.search(r'static CUresult core_cuA.*?\n}\n', files['guest_stubs.c'], re.S).group()
        self.assertLess(core.index('stream_id('), core.index('!value'))
        _, files = generate(GENERATOR, text.replace('handles first', ''))
        core = re.search(r'static CUresult core_cuA.*?\n}\n', files['guest_stubs.c'], re.S).group()
        self.assertLess(core.index('!value'), core.index('stream_id('))

    def test_refused_with_a_handle(self):
        for words in ('handle', 'handle stream', 'handle no_kind 1', 'handle stream x', 'handle stream 1 2'):
            process, _ = generate(GENERATOR, f'refused no\n entry cuA 2000 {words}\n')
            self.assertIn('entry SYMBOL VERSION handle KIND PLACE', process.stderr)

    def test_refused_wants_a_reason(self):
        process, _ = generate(GENERATOR, 'refused CUDA_ERROR_INVALID_CONTEXT\n entry cuOnce 2000\n')
        self.assertIn('refused needs a reason', process.stderr)

    def test_decoder_checks_length_before_use(self):
        body = re.search(r'static CUresult decode_cuThingRead.*?\n}\n', self.files['executor_calls.c'], re.S).group()
        self.assertLess(body.index('payload_bytes < sizeof(*arguments)'), body.index('execute_cuThingRead('))

    def test_optional_output(self):
        self.assertIn('if (value)\n\t\t*value = (float)value_value;', self.files['guest_stubs.c'])

    def test_proc_table_is_sorted(self):
        names = re.findall(r'\{"(\w+)", (\d+), (\w+),', self.files['proc_table.c'])
        self.assertEqual(names, sorted(names, key=lambda n: (n[0], n[2] == 'true', int(n[1]))))
        self.assertEqual(len(names), 7)

    def test_coverage_counts(self):
        self.assertIn('7 entry points that `cuGetProcAddress` can give, 4 implemented, 3 refused',
                      self.files['coverage.md'])


class Description(unittest.TestCase):
    """The real description."""

    @classmethod
    def setUpClass(cls):
        with tempfile.TemporaryDirectory() as directory:
            subprocess.run([sys.executable, str(GENERATOR), directory, *map(str, DESCRIPTION)], check=True)
            cls.files = {p.name: p.read_text() for p in Path(directory).glob('*')}

    def test_names_of_the_real_library(self):
        # Driver 580.159.04 exports 707 names: 671 of the API, 36 of the debugger and of interoperability.
        self.assertIn('671 entry points', self.files['coverage.md'])
        self.assertIn('36 further names', self.files['coverage.md'])

    def test_committed_coverage_is_current(self):
        self.assertEqual((ROOT / 'docs' / 'coverage.md').read_text(), self.files['coverage.md'],
                         'docs/coverage.md is stale: run make coverage')

    def test_released_layouts_have_not_changed(self):
        golden = (Path(__file__).parent / 'released_layouts.txt').read_text().splitlines()
        wire = self.files['vgpu_api_wire.h']
        structs = set(re.sub(r'\s+', ' ', m) for m in re.findall(r'struct wire_\w+ \{.*?\}', wire, re.S))
        opcodes = set(re.findall(r'VGPU_CALL_\w+ = \d+', wire))
        missing = [line for line in golden if line not in structs and line not in opcodes]
        self.assertEqual(missing, [], 'a released opcode or layout was changed')

    def test_classes_of_calls(self):
        body = re.search(r'enum vgpu_call_class execute_api_class.*?\n}\n', self.files['executor_calls.c'], re.S).group()
        found, waiting = {}, []
        for call, result in re.findall(r'case VGPU_CALL_(\w+):|return VGPU_CLASS_(\w+);', body):
            if call:
                waiting.append(call)
            else:
                found.update(dict.fromkeys(waiting, result))
                waiting = []
        expected = {'cuGraphLaunch': 'LAUNCH', 'cuMemcpyDtoDAsync_v2': 'COPY', 'cuMemsetD8Async': 'COPY',
                    'cuMemAlloc_v2': 'MEMORY', 'cuMemMap': 'MEMORY', 'cuModuleLoadDataEx': 'MODULE',
                    'cuLinkComplete': 'MODULE', 'cuCtxSynchronize': 'SYNCHRONIZE', 'cuStreamWaitEvent': 'SYNCHRONIZE'}
        self.assertEqual({call: found.get(call) for call in expected}, expected)
        self.assertNotIn('cuCtxCreate_v2', found)


if __name__ == '__main__':
    tap.main()
