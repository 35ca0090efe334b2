# SPDX-License-Identifier: Apache-2.0
"""The ways to a GPU that peers.py sets side by side: the driver itself, ours over the local transport, ours through
a worker over TLS, and the peers of a folder.

A Side runs its servers, each in a process group of its own with a log, and says in which environment a program gets
to the GPU through it. The folder of peers has one folder for each; docs/benchmarks.md says how they are built:

    lupine/bin/lupine_driver_server, lupine/lib/ (what the server needs), lupine/client/libcuda.so.1 (and what it needs)
    gvirtus/bin/gvirtus-backend, gvirtus/lib/, gvirtus/lib/frontend/libcudart.so.13
    hami/libvgpu.so
"""

import json
import os
import secrets
import signal
import socket
import subprocess
import time


def port_free():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


def port_listens(port):
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(('127.0.0.1', port)) == 0


def path_list(*folders):
    """A value of LD_LIBRARY_PATH: the folders before what is there."""
    return ':'.join([*map(str, folders), *filter(None, [os.environ.get('LD_LIBRARY_PATH')])])


def group_end(process):
    """Ends a process that leads its group, and what it left behind."""
    for number in signal.SIGTERM, signal.SIGKILL:
        try:
            os.killpg(process.pid, number)
            process.wait(10)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue
    process.wait(10)


class NoStart(Exception):
    """A side whose server does not come up; the text says why."""


class Side:
    name = ''
    note = ''
    # Only programs of the runtime API with a shared libcudart get there; others would meet the machine's own driver.
    runtime_only = False

    def __init__(self, work, bundle, driver_folder):
        """driver_folder: where libcuda.so.1 is, None if the loader finds the GPU's own."""
        self.work = work / self.name.replace(' ', '-').replace(',', '')
        self.work.mkdir(parents=True, exist_ok=True)
        self.bundle = bundle
        self.driver_folder = driver_folder
        self.processes = []

    def driver_path(self, *folders):
        return path_list(*folders, *([self.driver_folder] if self.driver_folder else []))

    def spawn(self, name, command, environment, ready):
        """Starts a server; ready(text of its log) says when it can be used."""
        log = self.work / f'{name}.log'
        # It may have been carried here in a way that forgets who may execute what.
        if not os.access(command[0], os.X_OK):
            os.chmod(command[0], 0o755)
        with log.open('wb') as output:
            process = subprocess.Popen([str(part) for part in command], env={**os.environ, **environment},
                                       stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True)
        self.processes.append(process)
        end = time.monotonic() + 60
        while not ready(log.read_text(errors='replace')):
            if process.poll() is not None or time.monotonic() > end:
                text = log.read_text(errors='replace')[-1000:]
                self.stop()
                raise NoStart(f'{name} does not start: {text}')
            time.sleep(0.1)

    def start(self):
        """Does nothing if the servers are up."""
        if self.processes and all(process.poll() is None for process in self.processes):
            return
        self.stop()
        self.serve()

    def serve(self):
        pass

    def stop(self):
        for process in reversed(self.processes):
            group_end(process)
        self.processes = []

    def can_run(self, program):
        """Whether the program is tried; tenants are in any case."""
        del program
        return True

    def environment(self):
        """What a program's environment has beside ours."""
        raise NotImplementedError

    def tenant_environment(self, tenant, count):
        """Of one of several tenants, which are to get the same part of the GPU."""
        del tenant, count
        return self.environment()


class Native(Side):
    name = 'native'
    note = "NVIDIA's driver; tenants by its time slicing"

    def environment(self):
        return {'VGPU_NATIVE': '1', 'LD_LIBRARY_PATH': self.driver_path()}


class Local(Side):
    name = 'ours, local'
    note = 'mediator and executor on the machine, over the ring that a VM uses'

    def mediator(self, *options):
        socket_path = self.work / 'mediator.sock'
        socket_path.unlink(missing_ok=True)
        self.spawn('mediator', [self.bundle / 'bin/mediator_phase3', '--socket', socket_path, '--executor',
                                self.bundle / 'bin/cuda-executor', '--heartbeat', '60', '--executor-environment',
                                'LD_LIBRARY_PATH', '--tenant-per-program', 'yes', '--allow-pageable-access', 'yes',
                                *options],
                   {'LD_LIBRARY_PATH': self.driver_path(self.bundle / 'lib')}, lambda text: self.mediator_ready in text)

    mediator_ready = 'CUDA initialized'

    def serve(self):
        self.mediator('--driver', 'libcuda.so.1')

    def environment(self):
        return {'VGPU_SOCKET': str(self.work / 'mediator.sock'), 'VGPU_TRANSPORT': 'local',
                'LD_LIBRARY_PATH': path_list(self.bundle / 'guest')}


class Worker(Local):
    name = 'ours, worker'
    note = 'the GPU at a vgpu-worker behind TLS on the loopback interface'
    # It knows no driver.
    mediator_ready = 'Listening on socket'

    def serve(self):
        credentials = self.work / 'psk'
        if not credentials.exists():
            credentials.write_text(f'psk {secrets.token_hex(32)}\n')
            credentials.chmod(0o600)
        port = port_free()
        self.spawn('worker', [self.bundle / 'bin/vgpu-worker', '--listen', f'127.0.0.1:{port}', '--credentials',
                              credentials, '--driver', 'libcuda.so.1', '--allow-pageable-access'],
                   {'LD_LIBRARY_PATH': self.driver_path(self.bundle / 'lib')}, lambda _: port_listens(port))
        self.mediator('--driver', '/nonexistent/libcuda.so.1', '--worker', f'A=127.0.0.1:{port}',
                      '--worker-credentials', credentials, *self.lanes())

    @staticmethod
    def lanes():
        """WORKER_LANES in the environment, instead of as many as usual."""
        return ('--worker-lanes', os.environ['WORKER_LANES']) if 'WORKER_LANES' in os.environ else ()


class Lupine(Side):
    """lupinemachines/lupine: HTTP/2 over TCP without TLS, a process of the server for each client."""
    name = 'LUPINE'
    note = 'its server on the loopback interface, plain HTTP/2'

    def __init__(self, work, bundle, driver_folder, folder):
        super().__init__(work, bundle, driver_folder)
        self.folder = folder
        self.port = 0

    def serve(self):
        self.port = port_free()
        self.spawn('server', [self.folder / 'bin/lupine_driver_server'],
                   {'LUPINE_PORT': str(self.port), 'LD_LIBRARY_PATH': self.driver_path(self.folder / 'lib')},
                   lambda text: 'listening' in text)

    def environment(self):
        # As its own tests of PyTorch do. Without LUPINE_DISABLE_LOCAL it would use the machine's driver beside.
        return {'LUPINE_SERVER': f'127.0.0.1:{self.port}', 'LUPINE_DISABLE_LOCAL': '1', 'VGPU_NATIVE': '1',
                'LD_PRELOAD': str(self.folder / 'client/libcuda.so.1'),
                'LD_LIBRARY_PATH': path_list(self.folder / 'client')}


class Hami(Side):
    """Project-HAMi/HAMi-core: hooks in each program's process, no server; it slows tenants down."""
    name = 'HAMi-core'
    note = 'preloaded; each of N tenants with a limit of 100/N percent of the multiprocessors; for fairness only'

    def __init__(self, work, bundle, driver_folder, folder):
        super().__init__(work, bundle, driver_folder)
        self.folder = folder

    def can_run(self, program):
        return False

    def environment(self):
        return self.tenant_environment('all', 1)

    def tenant_environment(self, tenant, count):
        # A cache for each tenant, as each container has its own.
        os.makedirs('/tmp/vgpulock', exist_ok=True)
        return {'LD_PRELOAD': str(self.folder / 'libvgpu.so'), 'LD_LIBRARY_PATH': self.driver_path(),
                'CUDA_DEVICE_SM_LIMIT': str(100 // count), 'LIBCUDA_LOG_LEVEL': '0', 'VGPU_NATIVE': '1',
                'CUDA_DEVICE_MEMORY_SHARED_CACHE': str(self.work / f'{tenant}-{count}.cache')}


class Gvirtus(Side):
    """gvirtus/GVirtuS: the runtime API over TCP, one process with one context for all clients."""
    name = 'GVirtuS'
    note = 'its backend on the loopback interface; the runtime API only'
    runtime_only = True
    toolkit = None

    def __init__(self, work, bundle, driver_folder, folder):
        super().__init__(work, bundle, driver_folder)
        self.folder = folder
        self.configuration = self.work / 'properties.json'

    def can_run(self, program):
        return program == 'runtime_bench'

    def own_environment(self):
        return {'GVIRTUS_HOME': str(self.folder), 'GVIRTUS_CONFIG': str(self.configuration),
                'GVIRTUS_LOGLEVEL': '40000'}

    def serve(self):
        port = port_free()
        endpoint = {'suite': 'tcp/ip', 'protocol': 'tcp', 'server_address': '127.0.0.1', 'port': str(port)}
        self.configuration.write_text(json.dumps({
            'communicator': [{'endpoint': endpoint, 'plugins': ['cudart']}], 'secure_application': False}))
        libraries = [self.folder / 'lib'] + ([self.toolkit] if self.toolkit else [])
        self.spawn('backend', [self.folder / 'bin/gvirtus-backend', self.configuration],
                   {**self.own_environment(), 'LD_LIBRARY_PATH': self.driver_path(*libraries)},
                   lambda _: port_listens(port))

    def environment(self):
        libraries = path_list(self.folder / 'lib', self.folder / 'lib/frontend')
        return {**self.own_environment(), 'LD_LIBRARY_PATH': libraries}


PEERS = {'lupine': Lupine, 'gvirtus': Gvirtus, 'hami': Hami}


def sides_of(work, bundle, driver_folder, peers, toolkit):
    """Ours, and each peer that is in the folder peers (None: none); toolkit: where libcudart is, or None."""
    sides = [Native(work, bundle, driver_folder), Local(work, bundle, driver_folder),
             Worker(work, bundle, driver_folder)]
    for folder, kind in PEERS.items():
        if peers and (peers / folder).is_dir():
            sides.append(kind(work, bundle, driver_folder, peers / folder))
            sides[-1].toolkit = toolkit
    return sides
