# SPDX-License-Identifier: Apache-2.0
"""NVIDIA's cuda-samples (public, not part of this repository): builds them, runs them, and makes a table.

usage: samples.py build SOURCE BUILD            for the GPU that is there; what does not build is left out
       samples.py run SOURCE BUILD RESULT.json  with the libcuda.so.1 of the environment
       samples.py table NATIVE.json REMOTED.json
The arguments of a sample are those of its own test_args.json.
"""

import concurrent.futures
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

JOBS = int(os.environ.get('JOBS_MAX', '6'))
CONFIGURATIONS_MAX = 5
SECONDS_MAX = int(os.environ.get('SECONDS_MAX', '100'))
# What samples end with where the machine lacks something (Common/helper_cuda.h).
WAIVED = 2
GRAPHICS = re.compile(r'OpenGL|GLUT|Vulkan|EGL|NVSCI|NvSci|Direct3D|d3d1|D3D1', re.IGNORECASE)


def samples(source):
    """Folder of each sample, as CATEGORY/NAME; those for other systems are left out."""
    for path in sorted(source.glob('Samples/[0-7]_*/*/CMakeLists.txt')):
        yield path.parent.relative_to(source / 'Samples')


def architecture():
    """Of the first GPU, as a number: some samples hand it on to nvcc themselves."""
    answer = subprocess.run(['nvidia-smi', '--query-gpu=compute_cap', '--format=csv,noheader'], check=True,
                            stdout=subprocess.PIPE, text=True)
    return answer.stdout.splitlines()[0].strip().replace('.', '')


def build(source, target):
    setting = f'set(CMAKE_CUDA_ARCHITECTURES {architecture()})'
    for path in source.rglob('CMakeLists.txt'):
        text = path.read_text()
        path.write_text(re.sub(r'set\(CMAKE_CUDA_ARCHITECTURES [^)]*\)', setting, text))
    target.mkdir(parents=True, exist_ok=True)
    # One sample whose library is missing stops the configuration of all: those are taken out.
    for _ in range(CONFIGURATIONS_MAX):
        done = subprocess.run(['cmake', '-G', 'Ninja', '-S', source, '-B', target, '-DCMAKE_BUILD_TYPE=Release'],
                              check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        (target / 'configure.log').write_text(done.stdout)
        wrong = set(re.findall(r'(?:CMake Error at |in directory \S*?/)Samples/([^/\s]+)/([^/\s:]+)', done.stdout))
        if done.returncode == 0 or not wrong:
            break
        for category, name in wrong:
            path = source / 'Samples' / category / 'CMakeLists.txt'
            path.write_text(path.read_text().replace(f'add_subdirectory({name})\n', ''))
    if done.returncode:
        sys.exit(done.stdout[-2000:])
    with (target / 'build.log').open('w') as log:
        # Not all can be built; the table says which.
        subprocess.run(['ninja', '-C', target, '-k', '0'], check=False, stdout=log, stderr=subprocess.STDOUT)


def programs(source, target):
    """Of each sample: its programs, or why there is none."""
    for sample in samples(source):
        folder = target / 'Samples' / sample
        found = [path for path in sorted(folder.glob('*')) if path.is_file() and os.access(path, os.X_OK)
                 and path.read_bytes()[:4] == b'\x7fELF' and '.so' not in path.name]
        if found:
            for program in found:
                yield program.name, program, None
        elif GRAPHICS.search((source / 'Samples' / sample / 'CMakeLists.txt').read_text()):
            yield sample.name, None, 'graphics'
        else:
            yield sample.name, None, 'not built here'


def runs(options):
    if 'runs' in options:
        return [run.get('args', []) for run in options['runs']]
    return [options.get('args', [])]


def sample_run(program, options):
    start = time.monotonic()
    text = ''
    status = 'pass'
    for arguments in runs(options):
        try:
            done = subprocess.run([program, *arguments], cwd=program.parent, stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=SECONDS_MAX, check=False)
            output = done.stdout.decode(errors='replace')
        except subprocess.TimeoutExpired as over:
            text += (over.stdout or b'').decode(errors='replace')
            status = f'over {SECONDS_MAX} s'
            break
        text += output
        if done.returncode == WAIVED:
            status = 'waived'
        elif done.returncode:
            status = f'fail ({done.returncode})'
            break
    return {'status': status, 'seconds': round(time.monotonic() - start, 2), 'output': text[-2000:]}


def run(source, target, result):
    arguments = json.loads((source / 'test_args.json').read_text())
    seen = {}
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        waiting = {}
        for name, program, reason in programs(source, target):
            if reason or arguments.get(name, {}).get('skip'):
                seen[name] = {'status': 'skip', 'seconds': 0, 'output': reason or 'skipped by its own list'}
            else:
                waiting[pool.submit(sample_run, program, arguments.get(name, {}))] = name
        for future in concurrent.futures.as_completed(waiting):
            seen[waiting[future]] = future.result()
    result.write_text(json.dumps(seen, indent=1, sort_keys=True))


def last_line(output):
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    telling = [line for line in lines if re.search(r'error|fail|not support', line, re.IGNORECASE)]
    return (telling or lines or [''])[-1].replace('|', '/')[:120]


def table(native, remoted):
    native, remoted = json.loads(native.read_text()), json.loads(remoted.read_text())
    counts = {'pass': 0, 'fail': 0, 'skip': 0}
    print('| sample | native | remoted | |\n|---|---|---|---|')
    for name in sorted(native, key=str.lower):
        here, there = native[name], remoted[name]
        if here['status'] != 'pass':
            # What fails natively tells nothing of us.
            counts['skip'] += 1
        else:
            counts['pass' if there['status'] == 'pass' else 'fail'] += 1
        note = '' if here['status'] == there['status'] == 'pass' else last_line(
            here['output'] if here['status'] != 'pass' else there['output'])
        print(f'| {name} | {here["status"]} | {there["status"]} | {note} |')
    print(f'\nOf the samples that pass natively {counts["pass"]} pass remoted, {counts["fail"]} fail; '
          f'{counts["skip"]} do not run here natively.')
    return counts['fail'] == 0


def main(arguments):
    if len(arguments) == 3 and arguments[0] == 'build':
        build(Path(arguments[1]).resolve(), Path(arguments[2]).resolve())
    elif len(arguments) == 4 and arguments[0] == 'run':
        run(Path(arguments[1]).resolve(), Path(arguments[2]).resolve(), Path(arguments[3]))
    elif len(arguments) == 3 and arguments[0] == 'table':
        return 0 if table(Path(arguments[1]), Path(arguments[2])) else 1
    else:
        sys.exit(__doc__)
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
