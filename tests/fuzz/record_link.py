# SPDX-License-Identifier: Apache-2.0
"""
Writes the seeds of fuzz_relay, fuzz_mirror and fuzz_lane anew (tests/fuzz/seeds): what a relay and a worker have said
to each other while a program ran, read by one between them that has credentials for both. What names a host is
replaced, and bulk data is cut, so that inputs stay small.

PYTHONPATH=tests:tests/end_to_end:tests/worker VGPU_BUILD=build python3 tests/fuzz/record_link.py
"""

import socket
import ssl
import struct
import sys
import tempfile
import threading
from pathlib import Path

import link_peer
from worker_stack import Authority, WorkerStack

SEEDS = Path(__file__).parent / 'seeds'
RECORD_BYTES_MAX = 512
PIECE_BYTES_MAX = 64
# As the targets have them.
MIRROR_WINDOW_BYTES = 128 << 10
LANE_WINDOW_BYTES = 512 << 10
CUT = {link_peer.UPLOAD, link_peer.DOWNLOAD}

# Steps, and flags of the first byte, as wire.h and the targets have them.
BYTES, ROOM = range(2)
GUEST_RECORD, GUEST_TAKES, GUEST_RETURNS, GUEST_WRITES, GUEST_FILLS, PERMIT, GUEST_PIECE = range(2, 9)
EXECUTOR_RECORD, EXECUTOR_TAKES, EXECUTOR_WRITES, EXECUTOR_FILLS, EXECUTOR_CLAIMS, EXECUTOR_SAYS, EXECUTOR_LOGS, \
    EXECUTOR_ENDS, PIECE = range(2, 11)
OWNER_OPENS, OWNER_PUTS, OWNER_LOOKS, OWNER_SLEEPS = range(2, 6)
OPENS = GREETS = RELAY = 1
LANES = 2

# In the channel's header (vgpu_channel.h).
UPLOAD_RELEASED, DEFERRED_ERROR, FUNCTION = 576, 640, 704
SCHEDULE_OFFSET = 2048

PTX = """.version 8.0
.target sm_90
.address_size 64
.visible .entry k(.param .u64 p) { .reg .u64 %a; ld.param.u64 %a, [p]; st.global.u32 [%a], 7; ret; }
"""
PROGRAM = f"""
import ctypes
cuda = ctypes.CDLL('libcuda.so.1')
context, memory, module, function = ctypes.c_void_p(), ctypes.c_uint64(), ctypes.c_void_p(), ctypes.c_void_p()
size = ctypes.c_size_t
def check(result):
    assert result == 0, result
check(cuda.cuInit(0))
check(cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), 0))
check(cuda.cuCtxSetCurrent(context))
check(cuda.cuMemAlloc_v2(ctypes.byref(memory), size(1 << 20)))
data = ctypes.create_string_buffer(1 << 16)
for count in (4, 9000, 1 << 16, *[9000] * 6):
    check(cuda.cuMemcpyHtoD_v2(memory, data, size(count)))
    check(cuda.cuMemcpyDtoH_v2(data, memory, size(count)))
check(cuda.cuModuleLoadData(ctypes.byref(module), {PTX.encode()!r}))
check(cuda.cuModuleGetFunction(ctypes.byref(function), module, b'k'))
parameters = (ctypes.c_void_p * 1)(ctypes.cast(ctypes.pointer(memory), ctypes.c_void_p))
check(cuda.cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, None, parameters, None))
called = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(lambda argument: None)
check(cuda.cuLaunchHostFunc(None, called, None))
check(cuda.cuCtxSynchronize())
cuda.cuMemsetD8Async(ctypes.c_uint64(7), 0, size(4), None)
cuda.cuCtxSynchronize()
check(cuda.cuMemFree_v2(memory))
"""


class Recorder:
    """Between relay and worker; self.exchanges has for each connection what came, in order: (is it the worker's, bytes)."""

    def __init__(self, authority):
        self.port_behind = None
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.port = self.listener.getsockname()[1]
        self.exchanges = []
        self.server = self._context(ssl.PROTOCOL_TLS_SERVER, authority, authority.worker('between'))
        self.client = self._context(ssl.PROTOCOL_TLS_CLIENT, authority, authority.host('between'))
        threading.Thread(target=self._accept, daemon=True).start()

    @staticmethod
    def _context(protocol, authority, bundle):
        context = ssl.SSLContext(protocol)
        context.load_cert_chain(bundle)
        context.load_verify_locations(authority.certificate)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_REQUIRED
        return context

    def _accept(self):
        while True:
            near, _ = self.listener.accept()
            threading.Thread(target=self._connect, args=(near,), daemon=True).start()

    def _connect(self, near):
        near = self.server.wrap_socket(near, server_side=True)
        far = self.client.wrap_socket(socket.create_connection(('127.0.0.1', self.port_behind)))
        exchange = []
        self.exchanges.append(exchange)
        threading.Thread(target=self._forward, args=(near, far, exchange, False), daemon=True).start()
        self._forward(far, near, exchange, True)

    @staticmethod
    def _forward(source, target, exchange, is_worker):
        try:
            while data := source.recv(1 << 16):
                exchange.append((is_worker, data))
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass


def frames_of(exchange):
    """(is it the worker's, type, payload), in the order in which they were whole."""
    waiting = {False: b'', True: b''}
    for is_worker, data in exchange:
        waiting[is_worker] += data
        while len(waiting[is_worker]) >= 8:
            size, kind = struct.unpack_from('<II', waiting[is_worker])
            if len(waiting[is_worker]) < 8 + size:
                break
            yield is_worker, kind, waiting[is_worker][8:8 + size]
            waiting[is_worker] = waiting[is_worker][8 + size:]


def sanitized(kind, payload):
    if kind == link_peer.OPEN:
        return payload[:24] + struct.pack('<64s80s', b'host', b'tenant') + payload[24 + 64 + 80:]
    if kind in (link_peer.OFFER, link_peer.LANE):
        return payload[:8] + bytes(32)
    if kind in CUT:
        return payload[:8 + PIECE_BYTES_MAX]
    if kind in (link_peer.COMMANDS, link_peer.REPLIES):
        return b''.join(records_of(payload))
    return payload


def records_of(payload):
    """What is long is cut."""
    while payload:
        size = struct.unpack_from('<I', payload)[0]
        record = payload[:min(size, RECORD_BYTES_MAX)]
        yield struct.pack('<I', len(record)) + record[4:]
        payload = payload[size:]


def step(kind, data=b'', value=0):
    return struct.pack('<BBH', kind, value, len(data)) + data


def header_step(offset, data):
    return step(EXECUTOR_WRITES, data, offset // 8)


def relay_seed(frames):
    steps = []
    for is_worker, kind, payload in frames:
        if is_worker:
            steps.append(step(BYTES, link_peer.frame(kind, payload)))
            if kind == link_peer.REPLIES:
                steps.append(step(GUEST_TAKES))
        elif kind == link_peer.COMMANDS:
            steps += [step(GUEST_RECORD, record) for record in records_of(payload)]
        elif kind == link_peer.RETURNED:
            steps.append(step(GUEST_RETURNS))
        elif kind == link_peer.PERMIT:
            steps.append(step(PERMIT, payload[:4], 1))
    return b''.join(steps)


def mirror_seed(frames):
    steps = []
    for is_worker, kind, payload in frames:
        if not is_worker:
            steps.append(step(BYTES, link_peer.frame(kind, payload)))
            if kind == link_peer.COMMANDS:
                steps.append(step(EXECUTOR_TAKES))
        elif kind == link_peer.REPLIES:
            steps += [step(EXECUTOR_RECORD, record) for record in records_of(payload)]
        elif kind == link_peer.RELEASED:
            steps.append(header_step(UPLOAD_RELEASED, payload))
        elif kind == link_peer.DEFERRED:
            steps.append(header_step(DEFERRED_ERROR, payload))
        elif kind == link_peer.CALLED:
            steps.append(header_step(FUNCTION, payload[:32]))
        elif kind == link_peer.SCHEDULE:
            claims = payload[16:-64]
            steps.append(step(EXECUTOR_CLAIMS, claims, SCHEDULE_OFFSET // 16))
    return b''.join(steps)


def pieces_of(data):
    """The heads, with a little of what belongs to each."""
    while len(data) >= 24:
        number, place, size, reserved = struct.unpack_from('<QQII', data)
        piece = data[24:24 + size]
        cut = piece[:PIECE_BYTES_MAX]
        yield struct.pack('<QQII', number, place, len(cut), reserved) + cut
        data = data[24 + size:]


def lane_seed(exchange, is_worker):
    """What that side sends, after its first frame, and the other end's owner."""
    data = b''.join(data for of_worker, data in exchange if of_worker == is_worker)
    size = struct.unpack_from('<I', data)[0]
    steps = [step(OWNER_OPENS)]
    for piece in pieces_of(data[8 + size:]):
        steps += [step(BYTES, piece), step(OWNER_LOOKS), step(OWNER_PUTS, struct.pack('<II', 0, len(piece))),
                  step(OWNER_SLEEPS, b'', 1)]
    return b''.join(steps)


def write(folder, name, data):
    (SEEDS / folder).mkdir(parents=True, exist_ok=True)
    (SEEDS / folder / name).write_bytes(data)


def exchange_write(exchange, name):
    first = next(frames_of(exchange))
    if first[1] == link_peer.LANE:
        write('lane', f'{name}-relay', bytes([RELAY]) + lane_seed(exchange, True))
        write('lane', f'{name}-worker', bytes([0]) + lane_seed(exchange, False))
        return
    if struct.unpack_from('<I', first[2], 168)[0] & link_peer.FLAG_WATCH:
        return
    frames = [(is_worker, kind, sanitized(kind, payload)) for is_worker, kind, payload in frames_of(exchange)
              if kind != link_peer.TEXT]
    kinds = {kind for _, kind, _ in frames}
    flag = LANES if link_peer.LANE_COUNT in kinds else 0
    write('relay', name, bytes([OPENS | flag]) + relay_seed(frames))
    write('mirror', name, bytes([GREETS | flag]) + mirror_seed(frames))


def packed_write():
    """Links are too fast here for anything to be packed."""
    for folder, kind in (('relay', link_peer.DOWNLOAD_PACKED), ('mirror', link_peer.UPLOAD_PACKED)):
        write(folder, 'packed', bytes([0]) + step(BYTES, link_peer.frame(kind, link_peer.packed(0, 4096, 4096))))


def ends_write():
    """What just fits at the end of a window: those of a program this small are never used so far."""
    last = struct.pack('<Q', MIRROR_WINDOW_BYTES - 16)
    write('mirror', 'end', bytes([0]) + header_step(UPLOAD_RELEASED, last) +
          step(BYTES, link_peer.frame(link_peer.UPLOAD, last + bytes(16))))
    piece = link_peer.piece(0, LANE_WINDOW_BYTES - 16, bytes(16))
    write('lane', 'end', bytes([RELAY]) + step(OWNER_OPENS) + step(BYTES, piece))


def record(directory, lanes):
    authority = Authority(directory)
    between = Recorder(authority)
    stack = WorkerStack('--worker-lanes', str(lanes), worker_credentials=authority.worker(),
                        mediator_credentials=authority.host(), connect_to=f'127.0.0.1:{between.port}')
    between.port_behind = stack.worker.port
    with stack:
        done = stack.mediator.run(sys.executable, '-c', PROGRAM)
        assert done.returncode == 0, done.stdout + done.stderr + stack.mediator.text() + stack.worker.text()
    for number, exchange in enumerate(between.exchanges):
        if exchange:
            exchange_write(exchange, f'lanes{lanes}-{number}')


def main():
    for lanes in (0, 1):
        with tempfile.TemporaryDirectory(prefix='vgpu-record-') as directory:
            record(Path(directory), lanes)
    packed_write()
    ends_write()


if __name__ == '__main__':
    main()
