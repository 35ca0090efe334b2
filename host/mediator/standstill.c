/* SPDX-License-Identifier: Apache-2.0 */
#include "standstill.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STATUS_BYTES 8192

/* Of the value behind a line's name; NULL: there is no such line. */
static const char *line_find(const char *text, const char *name)
{
	const char *found = strstr(text, name);

	return found ? found + strlen(name) : NULL;
}

/* Of the main thread: whether it is stopped or has ended, and how often it was taken off a processor. */
static bool main_thread_look(pid_t process, bool *ret_stands, uint64_t *ret_switches)
{
	char path[32];
	char text[STATUS_BYTES];
	const char *state, *gave_up, *lost;
	ssize_t length;
	int file;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)process);
	file = open(path, O_RDONLY | O_CLOEXEC);
	if (file < 0)
		return false;
	length = read(file, text, sizeof(text) - 1);
	close(file);
	if (length <= 0)
		return false;
	text[length] = '\0';
	/* The name of a program stands before the first of them, with its line feeds escaped. */
	state = line_find(text, "\nState:\t");
	gave_up = line_find(text, "\nvoluntary_ctxt_switches:\t");
	lost = line_find(text, "\nnonvoluntary_ctxt_switches:\t");
	if (!state || !gave_up || !lost)
		return false;
	/* proc_pid_status(5): stopped, stopped by a tracer, ended. */
	*ret_stands = *state == 'T' || *state == 't' || *state == 'Z';
	*ret_switches = strtoull(gave_up, NULL, 10) + strtoull(lost, NULL, 10);
	return true;
}

uint64_t standstill_look(struct standstill *standstill, pid_t process, uint64_t now_ms)
{
	uint64_t switches;
	bool stands;

	if (!main_thread_look(process, &stands, &switches) || !stands) {
		*standstill = (struct standstill){0};
		return 0;
	}
	/* Who has run in between has been taken off a processor once more, when it was stopped again. */
	if (!standstill->since_ms || standstill->switches != switches)
		*standstill = (struct standstill){.since_ms = now_ms, .switches = switches};
	return now_ms - standstill->since_ms;
}
