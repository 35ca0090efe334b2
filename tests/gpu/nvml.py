#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""NVML natively and remoted, on a machine with an NVIDIA GPU.

usage: nvml.py collect FILE             call every function of api/nvml with libnvidia-ml.so.1, write what it gave
       nvml.py compare NATIVE REMOTED   two such files
       nvml.py smi NATIVE REMOTED       two outputs of nvidia-smi -q
"""

import ctypes
import json
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / 'api' / 'nvml'))

from description import parse  # noqa: E402

NVML = Path(__file__).resolve().parents[2] / 'api' / 'nvml'
SUCCESS = 0
ELEMENTS = 128
# Values that are of the moment: only how the call ended is compared.
MOMENTARY = re.compile(r'Usage|Utilization|Clock|Temperature|Thermal|Throughput|Energy|Samples|Reasons|Violation|'
                       r'Pstates|PerformanceState|PowerState|FieldValues|CurrPcie|PcieSpeed|Replay|Margin|ClkMon|BBX|'
                       r'Fan|Cooler|BAR1|EncoderStats|FBCStats|ErrorCounter|PerformanceModes')
# Lines of nvidia-smi -q that say what the device is.
IDENTITY = ('Driver Version', 'CUDA Version', 'Product Name', 'Product Brand', 'Product Architecture', 'Serial Number',
            'GPU UUID', 'Minor Number', 'VBIOS Version', 'Board ID', 'Board Part Number', 'Bus Id', 'Device Id',
            'Sub System Id', 'Persistence Mode', 'Compute Mode')


class Caller:
    """Calls functions of the description with arguments made for them."""

    def __init__(self):
        self.library = ctypes.CDLL('libnvidia-ml.so.1')
        if self.library.nvmlInit_v2() != SUCCESS:
            sys.exit('nvmlInit_v2 failed')
        count = ctypes.c_uint()
        self.library.nvmlDeviceGetCount_v2(ctypes.byref(count))
        self.devices = []
        for index in range(count.value):
            handle = ctypes.c_void_p()
            self.library.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(handle))
            self.devices.append(handle)

    def argument(self, parameter, device, value, version):
        """What is passed, and the memory whose bytes are a result (or None)."""
        match parameter.role:
            case 'DEVICE':
                return self.devices[device], None
            case 'IN':
                value = min(value, parameter.maximum) if parameter.maximum else value
                return (ctypes.c_ulonglong if parameter.size == 8 else ctypes.c_uint)(value), None
            case 'SIZE':
                return ctypes.c_uint(min(ELEMENTS, parameter.maximum)), None
            case 'COUNT':
                memory = ctypes.create_string_buffer(ELEMENTS.to_bytes(4, 'little'), 4)
            case 'VERSIONED':
                number, size = parameter.versions[min(version, len(parameter.versions) - 1)]
                memory = ctypes.create_string_buffer((size | number << 24).to_bytes(4, 'little'), size)
            case 'ARRAY' | 'VALUES':
                memory = ctypes.create_string_buffer(ELEMENTS * parameter.size)
            case _:
                memory = ctypes.create_string_buffer(parameter.size)
        return memory, memory

    def call(self, function, device, value, version):
        if not hasattr(self.library, function.symbol):
            return {'missing': True}
        made = [self.argument(p, device, value, version) for p in function.parameters]
        result = getattr(self.library, function.symbol)(*[passed for passed, _ in made])
        values = [memory.raw.hex() for _, memory in made if memory] if result == SUCCESS else []
        return {'result': result, 'values': values}

    def memory(self, device):
        values = (ctypes.c_ulonglong * 3)()
        return {'result': self.library.nvmlDeviceGetMemoryInfo(self.devices[device], values), 'total': values[0],
                'free': values[1], 'used': values[2]}


def collect(path):
    description = parse(sorted(NVML.glob('*.api')))
    caller = Caller()
    found = {'devices': len(caller.devices), 'memory': [caller.memory(d) for d in range(len(caller.devices))],
             'calls': {}}
    for function in description.remote:
        has_device = function.parameters[0].role == 'DEVICE'
        values = range(4) if any(p.role == 'IN' for p in function.parameters) else [0]
        versions = range(max([len(p.versions) for p in function.parameters] + [1]))
        for device in range(len(caller.devices)) if has_device else [0]:
            for value in values:
                for version in versions:
                    key = f'{function.symbol} device={device} in={value} version={version}'
                    found['calls'][key] = caller.call(function, device, value, version)
    Path(path).write_text(json.dumps(found, indent=1))
    answered = sum(1 for c in found['calls'].values() if c.get('result') == SUCCESS)
    print(f'{len(found["calls"])} calls, {answered} with success')


def compare(native_path, remoted_path):
    native, remoted = (json.loads(Path(p).read_text()) for p in (native_path, remoted_path))
    problems, equal, missing = [], 0, 0
    if native['devices'] != remoted['devices']:
        problems.append(f'devices: {native["devices"]} natively, {remoted["devices"]} remoted')
    for device, (ours, theirs) in enumerate(zip(remoted['memory'], native['memory'])):
        if ours['result'] or ours['total'] != theirs['total'] or ours['used'] + ours['free'] > ours['total']:
            problems.append(f'memory of device {device}: {theirs} natively, {ours} remoted')
    for key, theirs in native['calls'].items():
        ours = remoted['calls'].get(key, {})
        if theirs.get('missing'):
            # An older driver: ours has the name, and says that the host's library has no such function.
            missing += 1
        elif ours.get('result') != theirs['result']:
            problems.append(f'{key}: result {theirs["result"]} natively, {ours.get("result")} remoted')
        elif not MOMENTARY.search(key) and ours['values'] != theirs['values']:
            problems.append(f'{key}:\n  {theirs["values"]} natively\n  {ours["values"]} remoted')
        else:
            equal += 1
    print('\n'.join(problems))
    print(f'{equal} calls alike, {len(problems)} different, {missing} that the native library lacks')
    sys.exit(1 if problems or equal == 0 else 0)


def smi_read(path):
    lines = [line.rstrip() for line in Path(path).read_text().splitlines()]
    return [tuple(part.strip() for part in line.split(' : ', 1)) for line in lines if ' : ' in line]


def smi(native_path, remoted_path):
    native, remoted = smi_read(native_path), smi_read(remoted_path)
    problems = []
    for name in IDENTITY:
        theirs, ours = ([value for key, value in side if key == name] for side in (native, remoted))
        if theirs != ours:
            problems.append(f'{name}: {theirs} natively, {ours} remoted')
    for key, value in native:
        if value not in ('N/A', '[N/A]') and (key, 'N/A') in remoted and (key, value) not in remoted:
            print(f'only natively: {key}: {value}')
    print('\n'.join(problems))
    print(f'{len(native)} lines natively, {len(remoted)} remoted, {len(problems)} differences in what the device is')
    sys.exit(1 if problems or not remoted else 0)


def main(arguments):
    match arguments:
        case ['collect', path]:
            collect(path)
        case ['compare', native, remoted]:
            compare(native, remoted)
        case ['smi', native, remoted]:
            smi(native, remoted)
        case _:
            sys.exit(__doc__)


if __name__ == '__main__':
    main(sys.argv[1:])
