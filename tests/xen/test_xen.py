# SPDX-License-Identifier: Apache-2.0
"""Boots Xen with a Debian dom0 under emulation, and HVM guests in it that compute through vgpu-xen. TAP.

usage: test_xen.py [LOG]        (environment: VGPU_BUILD, VGPU_CACHE; VGPU_XEN_PART: devices, grants or worker alone, short, or a
scene; for a slow or busy machine VGPU_XEN_PATIENCE, by which its time limits are multiplied, and VGPU_XEN_SECONDS for all of it)
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get('VGPU_BUILD', ROOT / 'build'))
CACHE = Path(os.environ.get('VGPU_CACHE', ROOT / '.cache'))
PART = os.environ.get('VGPU_XEN_PART', 'all')
PATIENCE = int(os.environ.get('VGPU_XEN_PATIENCE', 3))
SECONDS_MAX = int(os.environ.get('VGPU_XEN_SECONDS', 3600))
# SMAP stops dom0, RDTSCP stops PVH guests, both only under emulation. With XSAVE registers of HVM guests or of dom0
# got wrong values while such a guest ran, without any of our code in it.
PROCESSOR = 'max,-smap,-rdtscp,-xsave,-avx'


def last_line(*command):
    return subprocess.run([str(word) for word in command], check=True, stdout=subprocess.PIPE,
                          text=True).stdout.strip().splitlines()[-1]


def main():
    if not (BUILD / 'host/xen/vgpu-xen').exists():
        print('1..0 # SKIP vgpu-xen was not built: libxen-dev is missing')
        return 0
    for script in ('fetch.sh', 'fetch-emulator.sh'):
        fetched = subprocess.run([ROOT / 'tests/xen' / script, CACHE], check=False, capture_output=True, text=True)
        if fetched.returncode:
            print('1..0 # SKIP', ' '.join(fetched.stderr.split()))
            return 0
    emulator = fetched.stdout.strip()
    lab = last_line(ROOT / 'tests/xen/make-lab.sh', CACHE, BUILD)
    log = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tempfile.mkdtemp()) / 'console.log'
    command = [emulator, '-accel', 'tcg,thread=multi', '-machine', 'pc', '-cpu', PROCESSOR, '-m', '2600',
               '-smp', '2', '-nographic', '-no-reboot', '-net', 'none', '-kernel', CACHE / 'xen/xen', '-append',
               'console=com1 com1=115200,8n1 conring_size=4M loglvl=warning guest_loglvl=warning noreboot '
               'dom0_mem=1024M,max:1024M',
               '-initrd', f'{CACHE}/xen/vmlinux console=hvc0 earlyprintk=xen quiet vgpu.part={PART} vgpu.patience={PATIENCE},{lab}']
    with log.open('wb') as output:
        try:
            subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=output,
                           stderr=subprocess.STDOUT, timeout=SECONDS_MAX, check=False)
        except subprocess.TimeoutExpired:
            pass
    text = log.read_text(errors='replace').replace('\r', '')
    lines = re.findall(r'^TAP (.*)$', text, re.MULTILINE)
    print('\n'.join(lines))
    failed = [line for line in lines if line.startswith('not ok')]
    complete = any(line.startswith('1..') for line in lines)
    if failed or not complete:
        print(f'# the last lines of {log}:')
        print('\n'.join(f'# {line}' for line in text.splitlines()[-120:]))
    if not complete:
        print(f'1..{len(lines) + 1}\nnot ok {len(lines) + 1} - the test came to its end')
    return 1 if failed or not complete else 0


if __name__ == '__main__':
    sys.exit(main())
