# SPDX-License-Identifier: Apache-2.0
"""Makes a disk that GRUB boots from. usage: make_disk.py GRUB_FOLDER CORE_IMAGE ARCHIVE OUTPUT

The first sector is GRUB's boot.img, then comes its core image, in one partition an archive (cpio, newc), which GRUB
reads as a file system. The places are those that boot.img and the core image have by default (GRUB's
grub-core/boot/i386/pc/boot.S and diskboot.S: sectors 1 and 2).
"""

import struct
import sys
from pathlib import Path

SECTOR_BYTES = 512
PARTITION_SECTOR = 2048
PARTITION_TABLE = slice(446, 510)
TYPE_LINUX = 0x83


def main():
    grub, core, archive, output = (Path(argument) for argument in sys.argv[1:])
    files = archive.read_bytes()
    sectors = -(-len(files) // SECTOR_BYTES)
    boot = bytearray((grub / 'boot.img').read_bytes())
    boot[PARTITION_TABLE] = struct.pack('<B3xB3xII48x', 0x80, TYPE_LINUX, PARTITION_SECTOR, sectors)
    boot[510:512] = b'\x55\xaa'
    loader = core.read_bytes()
    room = (PARTITION_SECTOR - 1) * SECTOR_BYTES
    if len(loader) > room:
        sys.exit(f'{core}: larger than the {room} bytes before the partition')
    output.write_bytes(bytes(boot) + loader.ljust(room, b'\0') + files.ljust(sectors * SECTOR_BYTES, b'\0'))


if __name__ == '__main__':
    main()
