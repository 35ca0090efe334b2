/* SPDX-License-Identifier: Apache-2.0 */
/* The text of a device printf.  The format comes from the kernel: it is never given to the C library whole. */
#ifndef SOFTGPU_FORMAT_H
#define SOFTGPU_FORMAT_H

#include <stddef.h>
#include <stdint.h>

struct format_source {
	uint64_t (*argument)(void *user, unsigned bytes); /* the next argument, of 4 or 8 bytes */
	void (*text)(void *user, uint64_t address, char *text, size_t bytes_max);
	void *user;
};

/* Writes at most bytes_max bytes, not terminated; returns how many. */
size_t format_write(char *out, size_t bytes_max, const char *format, const struct format_source *source,
		    unsigned *ret_conversions);

#endif
