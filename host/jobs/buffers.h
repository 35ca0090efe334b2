/* SPDX-License-Identifier: Apache-2.0 */
/* The data of one job: lists of numbers that become device memory and come back. */
#ifndef JOBS_BUFFERS_H
#define JOBS_BUFFERS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "gpu.h"

#define BUFFERS_MAX 32

enum number_type { NUMBER_F32, NUMBER_F64, NUMBER_I32, NUMBER_U32, NUMBER_I64, NUMBER_U64, NUMBER_TYPE_COUNT };

/* What went wrong, for the answer; the first that is set stays. */
struct failure {
	char text[200];
};

__attribute__((format(printf, 2, 3))) bool failure_set(struct failure *failure, const char *format, ...);

struct buffers {
	struct gpu *gpu;
	CUdeviceptr addresses[BUFFERS_MAX];
	size_t count;
};

bool number_type_find(const char *name, enum number_type *ret_type);

/* Writes one JSON number as the type; false with the failure set: not a number, or outside of the type. */
bool number_write(const json_t *number, enum number_type type, void *place, const char *name, struct failure *failure);

/* Device memory with the list's numbers, or zeroes. False with the failure set. */
bool buffer_fill(struct buffers *buffers, const json_t *list, enum number_type type, const char *name,
		 CUdeviceptr *ret_address, struct failure *failure);
bool buffer_make(struct buffers *buffers, size_t count, enum number_type type, CUdeviceptr *ret_address,
		 struct failure *failure);

/*
 * The numbers of device memory as a list; 'whole': those without a fraction are written as whole numbers.
 * NULL with the failure set, also for a NaN or an infinity, which JSON cannot say.
 */
json_t *buffer_read(struct buffers *buffers, CUdeviceptr address, size_t count, enum number_type type, bool whole,
		    struct failure *failure);

/* Gives all memory back. */
void buffers_release(struct buffers *buffers);

#endif
