# SPDX-License-Identifier: Apache-2.0
"""A file of FUSE whose server answers nobody who closes it, or asks what it is (linux/fuse.h)."""

import contextlib
import ctypes
import os
import signal
import socket
import struct
import tempfile
import traceback

from harness import Skip

PR_SET_PDEATHSIG = 1
CLONE_NEWNS, CLONE_NEWUSER = 0x00020000, 0x10000000
LOOKUP, OPEN, INIT = 1, 14, 26
NODE, MODE = 2, 0o100600
ENOSYS = 38

libc = ctypes.CDLL(None, use_errno=True)


def end_with_parent():
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def attributes():
    return struct.pack("<6Q10I", NODE, 0, 0, 0, 0, 0, 0, 0, 0, MODE, 1, 0, 0, 0, 4096, 0)


ANSWERS = {
    INIT: struct.pack("<4I2H2I2H8I", 7, 31, 0, 0, 0, 0, 4096, 1, 0, 0, *[0] * 8),
    # Nothing of it may be kept, so whoever looks at it asks.
    LOOKUP: struct.pack("<4Q2I", NODE, 0, 0, 0, 0, 0) + attributes(),
    OPEN: struct.pack("<QII", 1, 0, 0),
}


def serve(device):
    while True:
        request = os.read(device, 1 << 17)
        _, opcode, unique = struct.unpack_from("<IIQ", request)
        answer = ANSWERS.get(opcode)
        if answer is not None:
            os.write(device, struct.pack("<IiQ", 16 + len(answer), 0, unique) + answer)


def mount(folder):
    """In a mount namespace of its own. The device, or the error's number."""
    if libc.unshare(CLONE_NEWNS | (CLONE_NEWUSER if os.geteuid() else 0)) < 0:
        return -1, ctypes.get_errno()
    try:
        device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        return -1, error.errno
    options = "fd=%d,rootmode=40000,user_id=%d,group_id=%d" % (device, os.getuid(), os.getgid())
    # MS_REC | MS_PRIVATE: nobody else sees it.
    if (libc.mount(b"none", b"/", None, 0x4000 | 0x40000, None) < 0 or
            libc.mount(b"stuck", folder.encode(), b"fuse", 0, options.encode()) < 0):
        return -1, ctypes.get_errno()
    return device, 0


def server_run(folder, connection):
    device, error = mount(folder)
    if device < 0:
        connection.send(struct.pack("<I", error))
        return
    child = os.fork()
    if child == 0:
        end_with_parent()
        os.close(device)
        # Whoever opens it waits for the server, which is this process's parent.
        try:
            file = os.open(os.path.join(folder, "file"), os.O_RDWR | os.O_CLOEXEC)
        except OSError as reason:
            connection.send(struct.pack("<I", reason.errno))
            return
        socket.send_fds(connection, [struct.pack("<I", 0)], [file])
        signal.pause()
    serve(device)


@contextlib.contextmanager
def stuck_file():
    """A descriptor, of which each close waits until this is left."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    folder = tempfile.mkdtemp(prefix="vgpu-stuck-")
    server = os.fork()
    if server == 0:
        try:
            end_with_parent()
            os.setpgid(0, 0)
            ours.close()
            server_run(folder, theirs)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(0)
    theirs.close()
    ours.settimeout(60)
    descriptors = []
    try:
        data, descriptors, _, _ = socket.recv_fds(ours, 4, 1)
        if not data or struct.unpack("<I", data)[0]:
            raise Skip("no FUSE: " + (os.strerror(struct.unpack("<I", data)[0]) if data else "no answer"))
        yield descriptors[0]
    finally:
        # Without its server nobody waits any more.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):
            os.kill(server, signal.SIGKILL)
        os.waitpid(server, 0)
        for descriptor in descriptors:
            with contextlib.suppress(OSError):  # its server is gone
                os.close(descriptor)
        ours.close()
        os.rmdir(folder)
