#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The main job, shown: two virtual machines without a GPU compute on the host's through the mediator.

usage: demo.py [--build DIRECTORY] [--elements N]

Starts a mediator (with NVIDIA's driver where there is one, else with the software GPU), boots two QEMU guests
that have a vgpu-cuda device, shows lspci in each, runs vector_add in both at the same time, and prints what
each computed. Exit code 0 only if all of it was right.
"""

import argparse
import concurrent.futures
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / 'tests' / 'vm'))

import guest as machines  # noqa: E402  (its folder is on the path only now)

STARTED = time.monotonic()
VMS = [
    {'vm_id': 1, 'name': 'vm-a', 'pool_id': 'A', 'priority': 'medium'},
    {'vm_id': 2, 'name': 'vm-b', 'pool_id': 'A', 'priority': 'medium'},
]


def say(text):
    print(f'[{time.monotonic() - STARTED:5.1f} s] {text}', flush=True)


def start_mediator(build, folder):
    """The daemon on a socket of its own, with its log in the folder."""
    log = folder / 'mediator.log'
    process = subprocess.Popen([str(build / 'host/mediator/mediator_phase3'), '--socket', str(folder / 'mediator.sock'),
                                '--log', str(log), '--heartbeat', '1'], stdin=subprocess.DEVNULL)
    end = time.monotonic() + 20
    while time.monotonic() < end:
        text = log.read_text() if log.exists() else ''
        if process.poll() is not None:
            raise RuntimeError(f'the mediator ended with {process.returncode}:\n{text}')
        if 'Listening on socket' in text and 'CUDA initialized' in text:
            for line in text.splitlines():
                if 'CUDA initialized' in line or 'Listening on socket' in line:
                    say('mediator: ' + line.split(' info ', 1)[-1])
            return process, log
        time.sleep(0.05)
    raise RuntimeError(f'the mediator does not become ready:\n{text}')


def run_vm(vm, image, socket, elements, both_up):
    """Boots one guest, computes in it; what it printed and how long things took."""
    booting = time.monotonic()
    with machines.Guest(image=image, socket=str(socket), **vm) as guest:
        vm['accelerator'] = guest.accelerator
        vm['boot'] = time.monotonic() - booting
        say(f'{vm["name"]}: up after {vm["boot"]:.1f} s ({guest.accelerator})')
        devices = guest.check('lspci -nn').output
        vm['lspci'] = [line for line in devices.splitlines() if '3D controller' in line]
        for line in vm['lspci']:
            say(f'{vm["name"]}: lspci: {line}')
        both_up.wait(timeout=120)
        say(f'{vm["name"]}: vector_add {elements}')
        running = time.monotonic()
        result = guest.run(f'vector_add {elements}', timeout=180)
        vm['seconds'] = time.monotonic() - running
        vm['status'] = result.status
        vm['output'] = result.output
        if result.status:
            vm['console'] = guest.console()[-2000:] + guest.qemu_output()[-2000:]


def last_counters(text, vm):
    """Calls and bytes of the VM's last program, as the mediator logged them when its executor ended."""
    lines = re.findall(rf'vm_id={vm["vm_id"]}\b.*?(\d+) calls, (\d+) launches, (\d+) bytes to the device, '
                       r'(\d+) bytes from the device', text)
    return [int(n) for n in lines[-1]] if lines else None


def table(rows):
    widths = [max(len(str(row[i])) for row in rows) for i in range(len(rows[0]))]
    for number, row in enumerate(rows):
        print('  ' + '  '.join(str(cell).ljust(width) for cell, width in zip(row, widths)))
        if number == 0:
            print('  ' + '  '.join('-' * width for width in widths))


def report(vms, log_text, elements):
    """The table, and whether everything was right."""
    rows = [('VM', 'pool', 'GPU in lspci', f'{elements:,} elements', '[1,2,3]+[4,5,6]', 'calls', 'bytes', 'kernel',
             'in the VM')]
    right = True
    for vm in vms:
        values = dict(re.findall(r'^(\w+)=(.*)$', vm.get('output', ''), re.M))
        counters = last_counters(log_text, vm)
        small = '[5, 7, 9]' if '[5, 7, 9]' in vm.get('output', '') else 'WRONG'
        good = vm.get('status') == 0 and small != 'WRONG' and vm.get('lspci') and counters and counters[0] > 0
        right = right and bool(good)
        kernel = float(values['kernel_ms']) if 'kernel_ms' in values else None
        rows.append((vm['name'], vm['pool_id'], 'yes' if vm.get('lspci') else 'NO',
                     'all right' if vm.get('status') == 0 else 'WRONG', small,
                     f'{counters[0]:,}' if counters else '?',
                     f'{counters[2] + counters[3]:,}' if counters else '?',
                     f'{kernel:.1f} ms' if kernel is not None else '?', f'{vm.get("seconds", 0):.2f} s'))
    print()
    table(rows)
    print()
    for vm in vms:
        if vm.get('status') != 0:
            print(f'{vm["name"]} failed ({vm.get("status")}):\n{vm.get("output")}\n{vm.get("console", "")}')
    return right


def main():
    parser = argparse.ArgumentParser(description='two virtual machines compute on one GPU')
    parser.add_argument('--build', default='build', type=Path)
    parser.add_argument('--elements', default=1000000, type=int)
    arguments = parser.parse_args()
    build = arguments.build.resolve()

    say('preparing QEMU with the device, the guest kernel, its driver and its file system')
    device = machines.build_device()
    image = machines.build_image([f'{build}/guest/libcuda/libcuda.so.1:lib/libcuda.so.1',
                                  f'{build}/examples/vector_add:bin/vector_add'])
    say(f'device {Path(device).name}, file system {os.path.getsize(image) >> 10} KiB')
    with tempfile.TemporaryDirectory(prefix='vgpu-demo-') as folder:
        folder = Path(folder)
        mediator, log = start_mediator(build, folder)
        try:
            both_up = threading.Barrier(len(VMS))
            say('booting two virtual machines')
            with concurrent.futures.ThreadPoolExecutor() as pool:
                runs = [pool.submit(run_vm, vm, image, folder / 'mediator.sock', arguments.elements, both_up)
                        for vm in VMS]
                for run in runs:
                    try:
                        run.result()
                    except (machines.GuestError, threading.BrokenBarrierError, OSError) as error:
                        both_up.abort()
                        print(error)
            time.sleep(0.3)
            mediator.send_signal(signal.SIGTERM)
            mediator.wait(20)
            text = log.read_text()
            right = report(VMS, text, arguments.elements)
            if not right:
                print('mediator log:\n' + text[-6000:])
        finally:
            if mediator.poll() is None:
                mediator.kill()
                mediator.wait()
    say('both virtual machines computed everything right' if right else 'FAILED')
    return 0 if right else 1


if __name__ == '__main__':
    sys.exit(main())
