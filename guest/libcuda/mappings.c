/* SPDX-License-Identifier: Apache-2.0 */
#include "mappings.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* More than the longest line: a path has at most 4096 characters, which the kernel may write as four each. */
#define TEXT_BYTES (20u << 10)

static bool line_parse(const char *line, struct mapping *ret_mapping)
{
	unsigned long long start, end, offset, inode;

	*ret_mapping = (struct mapping){0};
	if (sscanf(line, "%llx-%llx %4s %llx %x:%x %llu %63s", &start, &end, ret_mapping->permissions, &offset,
		   &ret_mapping->major, &ret_mapping->minor, &inode, ret_mapping->name) < 7)
		return false;
	ret_mapping->start = start;
	ret_mapping->end = end;
	ret_mapping->offset = offset;
	ret_mapping->inode = inode;
	return true;
}

/* Visits the whole lines of the text; gives where the rest begins, or NULL: it is enough. */
static char *lines_visit(char *text, bool (*visit)(const struct mapping *, void *), void *argument, bool *ret_readable)
{
	struct mapping mapping;
	char *end;

	while ((end = strchr(text, '\n'))) {
		*end = '\0';
		*ret_readable = line_parse(text, &mapping);
		if (!*ret_readable || !visit(&mapping, argument))
			return NULL;
		text = end + 1;
	}
	return text;
}

bool mappings_each(bool (*visit)(const struct mapping *mapping, void *argument), void *argument)
{
	char text[TEXT_BYTES];
	size_t kept = 0;
	bool readable = true;
	int file = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);

	if (file < 0)
		return false;
	for (;;) {
		ssize_t got = read(file, text + kept, sizeof(text) - 1 - kept);
		char *rest;

		if (got <= 0) {
			readable = got == 0 && kept == 0;
			break;
		}
		text[kept + (size_t)got] = '\0';
		rest = lines_visit(text, visit, argument, &readable);
		if (!rest)
			break;
		kept = strlen(rest);
		memmove(text, rest, kept + 1);
	}
	close(file);
	return readable;
}
