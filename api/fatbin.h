/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layout of the files that nvcc puts into programs, as it writes them (observed with CUDA 12 and 13), and the walk over
 * their entries.
 */
#ifndef VGPU_FATBIN_H
#define VGPU_FATBIN_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

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

/* Those that are still to come. */
struct fatbin_entries {
	const uint8_t *next;
	uint64_t bytes;
};

/* Of a fatbin that has at most so many bytes. False: it is none, or claims more. */
static inline bool fatbin_entries_begin(struct fatbin_entries *ret_entries, const void *fatbin, uint64_t bytes)
{
	struct fatbin_header header;

	if (bytes < sizeof(header))
		return false;
	memcpy(&header, fatbin, sizeof(header));
	if (header.magic != FATBIN_MAGIC || header.header_bytes < sizeof(header) || header.header_bytes > bytes ||
	    header.entries_bytes > bytes - header.header_bytes)
		return false;
	*ret_entries = (struct fatbin_entries){.next = (const uint8_t *)fatbin + header.header_bytes,
					       .bytes = header.entries_bytes};
	return true;
}

/* Of one that was found sound. */
static inline struct fatbin_entries fatbin_entries_of(const void *fatbin)
{
	struct fatbin_header header;

	memcpy(&header, fatbin, sizeof(header));
	return (struct fatbin_entries){.next = (const uint8_t *)fatbin + header.header_bytes,
				       .bytes = header.entries_bytes};
}

/* The next one; 1: there is one, 0: none, -1: it claims more than there is. */
static inline int fatbin_entries_next(struct fatbin_entries *entries, struct fatbin_entry *ret_entry,
				      const uint8_t **ret_payload)
{
	if (!entries->bytes)
		return 0;
	if (entries->bytes < sizeof(*ret_entry))
		return -1;
	memcpy(ret_entry, entries->next, sizeof(*ret_entry));
	if (ret_entry->header_bytes < sizeof(*ret_entry) || ret_entry->header_bytes > entries->bytes ||
	    ret_entry->payload_bytes > entries->bytes - ret_entry->header_bytes)
		return -1;
	*ret_payload = entries->next + ret_entry->header_bytes;
	entries->next = *ret_payload + ret_entry->payload_bytes;
	entries->bytes -= ret_entry->header_bytes + ret_entry->payload_bytes;
	return 1;
}

#endif
