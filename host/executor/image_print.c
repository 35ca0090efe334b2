/* SPDX-License-Identifier: Apache-2.0 */
#include "image_print.h"

#include <lz4.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "fatbin.h"

/* Of one fatbin; the time to unpack it is spent at each load. */
#define UNPACKED_BYTES_MAX (4u << 20)

/* What compilers make printf of (PTX interoperability guide, system calls). */
#define PRINT_SYMBOL "vprintf"

bool image_code_may_print(const uint8_t *code, size_t bytes)
{
	return memmem(code, bytes, PRINT_SYMBOL, strlen(PRINT_SYMBOL));
}

/* The bytes that came out, 0: not unpackable. */
static size_t unpack(const struct fatbin_entry *entry, const uint8_t *packed, uint8_t *unpacked)
{
	size_t bytes;

	if (entry->flags & FATBIN_FLAG_LZ4) {
		int got = LZ4_decompress_safe((const char *)packed, (char *)unpacked, (int)entry->compressed_bytes,
					      (int)entry->unpacked_bytes);

		return got < 0 ? 0 : (size_t)got;
	}
	bytes = ZSTD_decompress(unpacked, entry->unpacked_bytes, packed, entry->compressed_bytes);
	return ZSTD_isError(bytes) ? 0 : bytes;
}

static bool packed_may_print(const struct fatbin_entry *entry, const uint8_t *packed, uint64_t *budget)
{
	uint8_t *unpacked;
	size_t bytes;
	bool may_print;

	if (entry->unpacked_bytes > *budget || entry->compressed_bytes > UNPACKED_BYTES_MAX)
		return true;
	*budget -= entry->unpacked_bytes;
	unpacked = malloc(entry->unpacked_bytes ? entry->unpacked_bytes : 1);
	if (!unpacked)
		return true;
	bytes = unpack(entry, packed, unpacked);
	may_print = bytes == 0 || image_code_may_print(unpacked, bytes);
	free(unpacked);
	return may_print;
}

bool image_fatbin_may_print(const uint8_t *fatbin)
{
	uint64_t budget = UNPACKED_BYTES_MAX;
	struct fatbin_header header;
	uint64_t offset;

	memcpy(&header, fatbin, sizeof(header));
	for (offset = 0; offset < header.entries_bytes;) {
		const uint8_t *place = fatbin + header.header_bytes + offset;
		struct fatbin_entry entry;

		memcpy(&entry, place, sizeof(entry));
		if (entry.flags & (FATBIN_FLAG_LZ4 | FATBIN_FLAG_ZSTD)) {
			if (packed_may_print(&entry, place + entry.header_bytes, &budget))
				return true;
		} else if (image_code_may_print(place + entry.header_bytes, entry.payload_bytes)) {
			return true;
		}
		offset += entry.header_bytes + entry.payload_bytes;
	}
	return false;
}
