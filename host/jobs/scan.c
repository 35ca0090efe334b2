/* SPDX-License-Identifier: Apache-2.0 */
#include "scan.h"

#include <stdlib.h>

#include "job.h"

#define CAPACITY_FIRST 4096u

static bool byte_keep(struct scan *scan, char byte)
{
	/* One for the end of the line. */
	if (scan->bytes + 2 > scan->capacity) {
		size_t capacity = scan->capacity ? 2 * scan->capacity : CAPACITY_FIRST;
		char *request = realloc(scan->request, capacity);

		if (!request)
			return false;
		scan->request = request;
		scan->capacity = capacity;
	}
	scan->request[scan->bytes++] = byte;
	return true;
}

/* Brackets count outside of texts only. */
static void structure_follow(struct scan *scan, char byte)
{
	if (scan->in_text) {
		if (scan->is_escaped)
			scan->is_escaped = false;
		else if (byte == '\\')
			scan->is_escaped = true;
		else if (byte == '"')
			scan->in_text = false;
	} else if (byte == '"') {
		scan->in_text = true;
	} else if (byte == '{' || byte == '[') {
		scan->depth++;
	} else if (byte == '}' || byte == ']') {
		scan->depth--;
	}
}

enum scan_result scan_bytes(struct scan *scan, const char *bytes, size_t count, size_t *ret_taken)
{
	for (size_t i = 0; i < count; i++) {
		char byte = bytes[i];

		*ret_taken = i + 1;
		if (scan->is_garbage) {
			if (byte != '\n')
				continue;
			scan->is_garbage = false;
			return SCAN_NONE;
		}
		if (scan->depth == 0 && byte != '{') {
			scan->is_garbage = byte != ' ' && byte != '\t' && byte != '\r' && byte != '\n' && byte != '\0';
			continue;
		}
		structure_follow(scan, byte);
		/* As invalid inside of a text as a line's end is, and as good outside. */
		if (byte == '\n' || byte == '\r' || byte == '\0')
			byte = '\t';
		if (scan->depth > SCAN_DEPTH_MAX || scan->bytes >= JOB_BYTES_MAX || !byte_keep(scan, byte))
			return SCAN_TOO_BIG;
		if (scan->depth == 0)
			return SCAN_WHOLE;
	}
	*ret_taken = count;
	return SCAN_MORE;
}

void scan_reset(struct scan *scan)
{
	free(scan->request);
	*scan = (struct scan){0};
}
