# SPDX-License-Identifier: Apache-2.0
"""A running vgpu-jobs, and requests for it."""

import json
import socket
import subprocess

from processes import children_of
from stack import build_directory

BUILD = build_directory()
ADD = {'operation': 'vector_add', 'array_a': [1, 2, 3], 'array_b': [4, 5, 6]}

PTX = '''.version 6.4
.target sm_75
.address_size 64
.visible .entry scale(.param .u64 data, .param .f32 factor, .param .u32 count)
{
  .reg .pred %p; .reg .b32 %r<5>; .reg .f32 %f<3>; .reg .b64 %d<4>;
  ld.param.u64 %d1, [data]; ld.param.f32 %f1, [factor]; ld.param.u32 %r1, [count];
  mov.u32 %r2, %ctaid.x; mov.u32 %r3, %ntid.x; mov.u32 %r4, %tid.x;
  mad.lo.s32 %r2, %r2, %r3, %r4;
  setp.ge.u32 %p, %r2, %r1; @%p ret;
  mul.wide.u32 %d2, %r2, 4; add.s64 %d3, %d1, %d2;
  ld.global.f32 %f2, [%d3]; mul.f32 %f2, %f2, %f1; st.global.f32 [%d3], %f2;
  ret;
}
.visible .entry wild() { .reg .b64 %d; .reg .b32 %r; mov.u64 %d, 16; mov.u32 %r, 1; st.global.u32 [%d], %r; ret; }
.visible .entry endless() { L: bra L; }
'''


def ptx_request(kernel='scale', **changes):
    request = {'operation': 'ptx', 'ptx': PTX, 'kernel': kernel, 'grid': [1], 'block': [32], 'arguments': [
        {'type': 'f32', 'values': [1, 2, 3], 'output': True}, {'type': 'f32', 'value': 2.5}, {'type': 'u32', 'value': 3}]}
    return {**request, **changes}


class Serial:
    """What QEMU does for a virtio-serial port: a socket to connect to, and the guest's end of the stream."""

    def __init__(self, path):
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen(1)
        self.listener.settimeout(30)
        self.connect()

    def connect(self):
        self.stream, _ = self.listener.accept()
        self.stream.settimeout(60)
        self.lines = self.stream.makefile('r')

    def send(self, request):
        self.stream.sendall((request if isinstance(request, str) else json.dumps(request)).encode() + b'\n')

    def call(self, request):
        self.send(request)
        return json.loads(self.lines.readline())


class Daemon:
    """vgpu-jobs for a mediator, with serial ports of VMs and options."""

    def __init__(self, mediator, *options, ports=(), runner=BUILD / 'host/jobs/vgpu-job-runner'):
        self.directory = mediator.directory
        self.log = self.directory / 'jobs.log'
        arguments = [f'--serial={name}={self.directory}/{name.split(":")[0]}' for name in ports]
        with open(self.log, 'w') as log:
            self.process = subprocess.Popen(
                [BUILD / 'host/jobs/vgpu-jobs', *arguments, *options, '--runner', runner, '--library',
                 BUILD / 'guest/libcuda', '--mediator', str(mediator.socket)], stdin=subprocess.DEVNULL, stdout=log,
                stderr=log)
        self.ports = [Serial(self.directory / name.split(':')[0]) for name in ports]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(30)

    def runners(self):
        return children_of(self.process.pid)
