# SPDX-License-Identifier: Apache-2.0
"""Two virtual machines on a host without a GPU: their CUDA calls go to a worker, their JSON jobs come over virtio-serial."""

import concurrent.futures
import json
import subprocess
import unittest
from pathlib import Path

import guest as machines
import tap
from stack import build_directory, wait_until
from worker_stack import WorkerStack

BUILD = build_directory()
FILES = [f'{BUILD}/guest/libcuda/libcuda.so.1:lib/libcuda.so.1', f'{BUILD}/examples/vector_add:bin/vector_add',
         f'{BUILD}/tests/end_to_end/copy_loop:bin/copy_loop', f'{BUILD}/guest/jobs/vgpu-run:bin/vgpu-run',
         f'{BUILD}/guest/jobs/libvgpujob.so.1:lib/libvgpujob.so.1']
# udev's names of the ports are not there in the small guest.
PORT = 'for p in /sys/class/virtio-ports/*; do grep -q vgpu.job $p/name && export VGPU_JOBS=/dev/${p##*/}; done; '


class Guests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        image = machines.build_image(FILES)
        cls.stack = WorkerStack('--local-pool', 'A', driver='/nonexistent/libcuda.so.1').__enter__()
        cls.addClassCleanup(cls.stack.__exit__)
        cls.guests = []
        serials = []
        for number, name in enumerate(('VM-A', 'VM-B'), 1):
            path = cls.stack.directory / f'{name}.job'
            cls.guests.append(machines.Guest(
                vm_id=number, image=image, socket=str(cls.stack.mediator.socket), name=name,
                extra_qemu=['-chardev', f'socket,id=job,path={path},server=on,wait=off', '-device',
                            'virtserialport,chardev=job,name=vgpu.job']))
            serials += ['--serial', f'{name}:{number}={path}']
        cls.log = Path(cls.stack.directory) / 'jobs.log'
        with open(cls.log, 'w') as log:
            daemon = subprocess.Popen(
                [BUILD / 'host/jobs/vgpu-jobs', *serials, '--runner', BUILD / 'host/jobs/vgpu-job-runner', '--library',
                 BUILD / 'guest/libcuda', '--mediator', str(cls.stack.mediator.socket)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        cls.addClassCleanup(daemon.wait, 30)
        cls.addClassCleanup(daemon.terminate)
        for guest in cls.guests:
            cls.addClassCleanup(guest.stop)
            guest.start()

    def test_programs_on_the_worker(self):
        with concurrent.futures.ThreadPoolExecutor() as pool:
            for run in [pool.submit(guest.run, 'vector_add 200000', 180) for guest in self.guests]:
                result = run.result()
                self.assertEqual(result.status, 0, result.output + self.stack.mediator.text()[-2000:])
                self.assertIn('[5, 7, 9]', result.output)
        for number in (1, 2):
            self.assertRegex(self.stack.worker.text(), f'vm_id={number} channel=.*executor pid')

    def test_worker_restarts(self):
        guest = self.guests[0]
        with concurrent.futures.ThreadPoolExecutor() as pool:
            before = self.stack.worker.text().count('(copy_loop) connected')
            run = pool.submit(guest.run, 'copy_loop', 120)
            wait_until(lambda: self.stack.worker.text().count('(copy_loop) connected') > before, 'it copies')
            self.stack.worker.stop()
            self.assertIn('CUDA_ERROR_', run.result().output)
        self.stack.worker.start()
        self.assertEqual(guest.run('vector_add 1000', 120).status, 0)

    def test_jobs(self):
        with concurrent.futures.ThreadPoolExecutor() as pool:
            runs = [pool.submit(guest.run, PORT + 'vgpu-run vector_add 1,2,3 4,5,6', 120) for guest in self.guests]
            for run in runs:
                self.assertEqual(json.loads(run.result().output), {'result': [5, 7, 9]})
        for name in ('VM-A', 'VM-B'):
            wait_until(lambda n=name: f'Received GPU request from {n}' in self.log.read_text(), 'it is logged')
        for number, name in enumerate(('VM-A', 'VM-B'), 1):
            self.stack.mediator.wait_for_line(f'vm_id={number} pool=A .*job of "{name}"')
        result = self.guests[0].run(PORT + 'vgpu-run vector_add 1,2,3 4', 60)
        self.assertEqual(result.status, 1)
        self.assertIn('3 elements', result.output)


if __name__ == '__main__':
    tap.main()
