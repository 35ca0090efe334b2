/* SPDX-License-Identifier: Apache-2.0 */
/* Packed entries of fatbins. */
#ifndef EXECUTOR_IMAGE_UNPACK_H
#define EXECUTOR_IMAGE_UNPACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fatbin.h"

bool image_entry_is_packed(const struct fatbin_entry *entry);

/*
 * Unpacks an entry of a fatbin that is sound into 'unpacked', which has room for entry->unpacked_bytes. The bytes that
 * came out, 0: it cannot be unpacked.
 */
size_t image_entry_unpack(const struct fatbin_entry *entry, const uint8_t *packed, uint8_t *unpacked);

#endif
