/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The executor's log: one line a call on standard error, with the prefix that
 * operators look for.  Text that comes from the guest is made printable.
 */
#ifndef EXECUTOR_LOG_H
#define EXECUTOR_LOG_H

#include <stdbool.h>
#include <stdint.h>

__attribute__((format(printf, 1, 2))) void log_write(const char *format, ...);

/* Lets the first 'free_count' events pass, then 'per_second' of them. */
struct log_limit {
	uint32_t free_count;
	uint32_t per_second;
	uint64_t second; /* the one that 'used' counts in */
	uint32_t used;
};

bool log_limit_passes(struct log_limit *limit);

#endif
