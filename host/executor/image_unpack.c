/* SPDX-License-Identifier: Apache-2.0 */
#include "image_unpack.h"

#include <limits.h>
#include <lz4.h>
#include <zstd.h>

bool image_entry_is_packed(const struct fatbin_entry *entry)
{
	return entry->flags & (FATBIN_FLAG_LZ4 | FATBIN_FLAG_ZSTD);
}

size_t image_entry_unpack(const struct fatbin_entry *entry, const uint8_t *packed, uint8_t *unpacked)
{
	size_t bytes;

	if (entry->flags & FATBIN_FLAG_LZ4) {
		int got;

		if (entry->compressed_bytes > INT_MAX || entry->unpacked_bytes > INT_MAX)
			return 0;
		got = LZ4_decompress_safe((const char *)packed, (char *)unpacked, (int)entry->compressed_bytes,
					  (int)entry->unpacked_bytes);
		return got < 0 ? 0 : (size_t)got;
	}
	bytes = ZSTD_decompress(unpacked, entry->unpacked_bytes, packed, entry->compressed_bytes);
	return ZSTD_isError(bytes) ? 0 : bytes;
}
