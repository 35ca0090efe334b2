# SPDX-License-Identifier: Apache-2.0
"""What a test needs to be a peer on the link, or to stand between two of them."""

import select
import socket
import struct
import threading
import time

(OPEN, STATUS, COMMANDS, UPLOAD, REPLIES, DOWNLOAD, RELEASED, DEFERRED, COUNTERS, ALIVE, CLOSE, CALLED, RETURNED,
 TAKEN, PERMIT, SCHEDULE, UPLOAD_PACKED, DOWNLOAD_PACKED, TEXT, OFFER, LANE, LANE_COUNT) = range(1, 23)
VERSION = 8
# Of OPEN.
FLAG_WATCH = 2
CHANNEL_BYTES = 34 << 20
# As the executor lays a channel out: of each window for bulk data, and of that of host functions.
WINDOW_BYTES = (CHANNEL_BYTES - (0x150000 + (128 << 10))) // 2 & ~0xffff
FUNCTION_BYTES = 128 << 10
CALL, FETCH, DELIVER = range(3)


def frame(kind, payload=b''):
    return struct.pack('<II', len(payload), kind) + payload


def open_frame(version=VERSION, channel_bytes=CHANNEL_BYTES, lanes=0, window_bytes=WINDOW_BYTES):
    return frame(OPEN, struct.pack('<IIIIQ64s80sIIQII', version, 7, 0, ord('A'), channel_bytes, b'host', b'vm:7',
                                   0, lanes, 0, window_bytes, 0))


def packed(place, says, has, byte=7):
    """A frame's payload with a byte so many times, by zstd's format (RFC 8878): one block, run-length encoded."""
    block = struct.pack('<I', 1 | 1 << 1 | has << 3)[:3]
    return struct.pack('<QII', place, says, 0) + b'\x28\xb5\x2f\xfd\xa0' + struct.pack('<I', has) + block + bytes([byte])


def lane_frame(token, version=VERSION):
    return frame(LANE, struct.pack('<II32s', version, 0, token))


def offer_frame(count, token=bytes(32)):
    return frame(OFFER, struct.pack('<II32s', VERSION, count, token))


def record(opcode, payload=b'', length=None, flags=1):
    size = 16 + len(payload)
    return struct.pack('<IHHII', size if length is None else length, opcode, flags, 1, 0) + payload


def await_record(pieces):
    return record(0, struct.pack('<Q', pieces), flags=0)


def piece(number, place, data, size=None):
    """What goes over a lane."""
    return struct.pack('<QQII', number, place, len(data) if size is None else size, 0) + data


# The first thing on a lane that is used.
LANE_BEGIN = piece(0, 0, b'')


def frames(data):
    """The whole ones of what has come: (type, payload)."""
    while len(data) >= 8:
        size, kind = struct.unpack_from('<II', data)
        if len(data) < 8 + size:
            return
        yield kind, data[8:8 + size]
        data = data[8 + size:]


def last_status(peer):
    """The text of the last status, of an end or before the worker closes."""
    data = b''
    try:
        # After an end it waits until we close.
        while not any(kind == STATUS and payload[:4] != bytes(4) for kind, payload in frames(data)):
            got = peer.recv(1 << 16)
            if not got:
                break
            data += got
    except OSError:
        pass
    text = None
    for kind, payload in frames(data):
        if kind == STATUS:
            text = payload[8:].split(b'\0')[0].decode()
    return text


def called_frame(called, use=CALL, piece_bytes=0, payload=b''):
    return frame(CALLED, struct.pack('<QIIIIQ', 1, 0, called, use, piece_bytes, 0) + payload)


class Proxy:
    """Between mediator and worker: forwards, until it is told to cut the connections or to say nothing more."""

    def __init__(self, port):
        self.target = port
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.port = self.listener.getsockname()[1]
        self.pairs = []
        self.swallowed = []
        self.mute = False
        self.muted = None  # a pair, of which nothing more is forwarded
        self.is_slow = False
        self.pairs_max = None  # further ones are closed at once, or nothing is forwarded for them
        self.swallows = False
        self.bytes_there = 0
        self.bytes_back = 0
        self.bytes_of = {}  # by pair
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            if self.pairs_max is not None and len(self.pairs) >= self.pairs_max:
                if self.swallows:
                    self.swallowed.append(near)
                else:
                    near.close()
                continue
            try:
                far = socket.create_connection(('127.0.0.1', self.target))
            except OSError:
                near.close()
                continue
            self.pairs.append((near, far))
            threading.Thread(target=self._forward, args=(near, far), daemon=True).start()

    def _forward(self, near, far):
        while True:
            try:
                ready, _, _ = select.select([near, far], [], [])
                if self.mute or self.muted == (near, far):
                    time.sleep(0.05)
                    continue
                for source in ready:
                    if self.is_slow:
                        time.sleep(0.003)
                    data = source.recv(1 << (14 if self.is_slow else 16))
                    if not data:
                        raise OSError
                    if source is near:
                        self.bytes_there += len(data)
                    else:
                        self.bytes_back += len(data)
                    self.bytes_of[near, far] = self.bytes_of.get((near, far), 0) + len(data)
                    (far if source is near else near).sendall(data)
            except (OSError, ValueError):
                near.close()
                far.close()
                return

    def lane(self):
        """A lane of a program that copies: over it the most has gone. The last pair may be the mediator's."""
        counts = dict(self.bytes_of)
        return max(counts, key=counts.get)

    def cut(self, pairs=None):
        for pair in pairs or self.pairs:
            for end in pair:
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def close(self):
        self.listener.close()
        self.mute = False
        self.muted = None
        self.cut()
