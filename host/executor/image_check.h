/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checks of module images that come from a guest.
 *
 * The driver takes an image as a bare pointer and believes its headers, so that
 * nothing a header claims may lie outside of the bytes that were sent.
 */
#ifndef EXECUTOR_IMAGE_CHECK_H
#define EXECUTOR_IMAGE_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* On the wire (api/driver/module.api). */
enum image_kind {
	IMAGE_PTX = 1,
	IMAGE_FATBIN = 2,
	IMAGE_ELF = 3,
	IMAGE_WRAPPER = 4, /* a fatbin, then the prelinked ones */
};

/* Text without NUL, which the caller has put behind it. */
bool image_ptx_is_sound(const uint8_t *text, size_t bytes);
bool image_fatbin_is_sound(const uint8_t *fatbin, size_t bytes);
bool image_elf_is_sound(const uint8_t *elf, size_t bytes);
/* An archive of object files, as ar makes them. */
bool image_archive_is_sound(const uint8_t *archive, size_t bytes);

#endif
