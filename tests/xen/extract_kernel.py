# SPDX-License-Identifier: Apache-2.0
"""Unpacks the kernel inside a bzImage. usage: extract_kernel.py BZIMAGE OUTPUT

Offsets are those of the x86 boot protocol (Linux Documentation/arch/x86/boot.rst): setup_sects at 0x1f1,
payload_offset at 0x248, payload_length at 0x24c, the payload counted from the end of the setup sectors.
"""

import gzip
import io
import lzma
import struct
import subprocess
import sys
from pathlib import Path


def main():
    image = Path(sys.argv[1]).read_bytes()
    sectors = image[0x1f1] or 4
    offset, length = struct.unpack_from('<II', image, 0x248)
    start = (sectors + 1) * 512 + offset
    payload = image[start:start + length]
    if payload.startswith(b'\xfd7zXZ\0'):
        # The size of the kernel follows the compressed stream.
        kernel = lzma.LZMADecompressor().decompress(payload)
    elif payload.startswith(b'\x1f\x8b'):
        kernel = gzip.GzipFile(fileobj=io.BytesIO(payload[:-4])).read()
    else:
        kernel = subprocess.run(['zstd', '-dc'], input=payload[:-4], stdout=subprocess.PIPE, check=True).stdout
    if not kernel.startswith(b'\x7fELF'):
        sys.exit(f'{sys.argv[1]}: no kernel in it that is understood')
    Path(sys.argv[2]).write_bytes(kernel)


if __name__ == '__main__':
    main()
