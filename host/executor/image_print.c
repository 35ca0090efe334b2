/* SPDX-License-Identifier: Apache-2.0 */
#include "image_print.h"

#include <stdlib.h>
#include <string.h>

#include "image_unpack.h"

/* Of one fatbin; the time to unpack it is spent at each load. */
#define UNPACKED_BYTES_MAX (4u << 20)

/* What compilers make printf of (PTX interoperability guide, system calls). */
#define PRINT_SYMBOL "vprintf"

bool image_code_may_print(const uint8_t *code, size_t bytes)
{
	return memmem(code, bytes, PRINT_SYMBOL, strlen(PRINT_SYMBOL));
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
	bytes = image_entry_unpack(entry, packed, unpacked);
	may_print = bytes == 0 || image_code_may_print(unpacked, bytes);
	free(unpacked);
	return may_print;
}

bool image_fatbin_may_print(const uint8_t *fatbin)
{
	struct fatbin_entries entries = fatbin_entries_of(fatbin);
	uint64_t budget = UNPACKED_BYTES_MAX;
	struct fatbin_entry entry;
	const uint8_t *payload;

	while (fatbin_entries_next(&entries, &entry, &payload) > 0) {
		if (image_entry_is_packed(&entry)) {
			if (packed_may_print(&entry, payload, &budget))
				return true;
		} else if (image_code_may_print(payload, entry.payload_bytes)) {
			return true;
		}
	}
	return false;
}
