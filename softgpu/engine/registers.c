/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Linear scan over live intervals.  Liveness is per lane, and lanes follow the
 * control flow of the text, so the textbook's analysis holds however a warp
 * diverges: an instruction writes only the lanes that execute it.
 */
#include "registers.h"
#include "exec.h"
#include "liveness.h"

#include <stdlib.h>
#include <string.h>

struct free_places {
	uint32_t *offsets;
	uint32_t count;
	uint32_t made; /* places ever made */
};

static uint32_t predicates_place(struct ptx_function *function)
{
	/* The carry flag comes first; no register has offset 0. */
	uint64_t bytes = 64;

	for (uint32_t i = 0; i < function->register_count; i++) {
		struct ptx_register *reg = function->registers[i];

		if (reg->type != PTX_PRED)
			continue;
		reg->offset = (uint32_t)bytes;
		bytes += sizeof(uint32_t);
	}
	return (uint32_t)((bytes + 63) & ~(uint64_t)63);
}

static int interval_compare(const void *a, const void *b)
{
	const struct live_interval *x = a, *y = b;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	return x->reg->index < y->reg->index ? -1 : 1;
}

static bool is_wide(const struct ptx_register *reg)
{
	return ptx_type_bytes(reg->type) == 8;
}

/* Where intervals end: a list for each statement, linked through the intervals. */
static bool places_assign(struct ptx_function *function, struct live_interval *intervals, uint64_t *bytes,
			  uint32_t *ret_count)
{
	uint32_t count = function->register_count, statements = function->statement_count;
	uint32_t *ends = malloc(((size_t)statements + 2) * sizeof(*ends));
	uint32_t *next = malloc(((size_t)count + 1) * sizeof(*next));
	struct free_places places[2] = {
		{.offsets = malloc(((size_t)count + 1) * sizeof(uint32_t))},
		{.offsets = malloc(((size_t)count + 1) * sizeof(uint32_t))},
	};
	uint32_t released = 0;
	bool placed = false;

	if (!ends || !next || !places[0].offsets || !places[1].offsets)
		goto done;
	memset(ends, 0xff, ((size_t)statements + 2) * sizeof(*ends));
	for (uint32_t i = 0; i < count; i++) {
		struct ptx_register *reg = intervals[i].reg;

		if (reg->type == PTX_PRED)
			continue;
		/* What ended before this one starts is free; a source and the result of one statement may share. */
		for (; released < intervals[i].start && released <= statements; released++) {
			for (uint32_t e = ends[released]; e != UINT32_MAX; e = next[e]) {
				struct free_places *pool = &places[is_wide(intervals[e].reg)];

				pool->offsets[pool->count++] = intervals[e].reg->offset;
			}
		}
		struct free_places *pool = &places[is_wide(reg)];

		if (pool->count) {
			reg->offset = pool->offsets[--pool->count];
		} else {
			reg->offset = (uint32_t)*bytes;
			*bytes += is_wide(reg) ? LANES64_BYTES : LANES32_BYTES;
			pool->made++;
			if (*bytes > UINT32_MAX / 4)
				goto done;
		}
		next[i] = ends[intervals[i].end];
		ends[intervals[i].end] = i;
	}
	*ret_count = places[0].made + 2 * places[1].made;
	placed = true;
done:
	free(ends);
	free(next);
	free(places[0].offsets);
	free(places[1].offsets);
	return placed;
}

uint32_t registers_allocate(struct ptx_function *function, uint32_t *ret_count)
{
	uint64_t bytes = predicates_place(function);
	struct live_interval *intervals = calloc((size_t)function->register_count + 1, sizeof(*intervals));
	bool placed = intervals && liveness_compute(function, intervals);

	if (placed) {
		qsort(intervals, function->register_count, sizeof(*intervals), interval_compare);
		placed = places_assign(function, intervals, &bytes, ret_count);
	}
	free(intervals);
	return placed ? (uint32_t)bytes : 0;
}
