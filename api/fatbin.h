/* SPDX-License-Identifier: Apache-2.0 */
/* Layout of the files that nvcc puts into programs, as it writes them (observed with CUDA 12 and 13). */
#ifndef VGPU_FATBIN_H
#define VGPU_FATBIN_H

#include <stdint.h>

#define FATBIN_MAGIC 0xba55ed50u

#define FATBIN_KIND_PTX 1
#define FATBIN_KIND_ELF 2

#define FATBIN_FLAG_LZ4	 0x2000u
#define FATBIN_FLAG_ZSTD 0x8000u

struct fatbin_header {
	uint32_t magic;
	uint16_t version;
	uint16_t header_bytes;
	uint64_t entries_bytes;
};

struct fatbin_entry {
	uint16_t kind;
	uint16_t version;
	uint32_t header_bytes;
	uint64_t payload_bytes; /* padded */
	uint32_t compressed_bytes;
	uint32_t unknown;
	uint16_t minor;
	uint16_t major;
	uint32_t architecture;
	uint32_t name_offset; /* from the entry's start; 0 bytes: no name */
	uint32_t name_bytes;
	uint64_t flags;
	uint64_t zero;
	uint64_t unpacked_bytes;
};
_Static_assert(sizeof(struct fatbin_entry) == 64, "layout of a fatbin's entry");

#endif
