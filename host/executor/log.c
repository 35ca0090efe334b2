/* SPDX-License-Identifier: Apache-2.0 */
#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PREFIX	   "[cuda-executor] "
#define LINE_BYTES 512

void log_write(const char *format, ...)
{
	char line[LINE_BYTES] = PREFIX;
	size_t start = sizeof(PREFIX) - 1;
	size_t end;
	va_list arguments;
	int length;
	ssize_t written;

	va_start(arguments, format);
	length = vsnprintf(line + start, sizeof(line) - start - 1, format, arguments);
	va_end(arguments);
	if (length < 0)
		return;
	end = start + strnlen(line + start, sizeof(line) - start - 1);
	for (size_t i = start; i < end; i++) {
		if (line[i] < ' ' || line[i] > '~')
			line[i] = '?';
	}
	line[end++] = '\n';
	do
		written = write(STDERR_FILENO, line, end);
	while (written < 0 && errno == EINTR);
	/* A log that nobody reads must not stop a guest. */
}

bool log_limit_passes(struct log_limit *limit)
{
	struct timespec now;

	if (limit->free_count > 0) {
		limit->free_count--;
		return true;
	}
	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	if ((uint64_t)now.tv_sec != limit->second) {
		limit->second = (uint64_t)now.tv_sec;
		limit->used = 0;
	}
	if (limit->used >= limit->per_second)
		return false;
	limit->used++;
	return true;
}
