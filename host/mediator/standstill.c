/* SPDX-License-Identifier: Apache-2.0 */
#include "standstill.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STATUS_BYTES	8192
#define INTERVAL_MS_MAX 1000
#define INTERVAL_MS_MIN 50
#define INTERVAL_PART	5 /* of a limit */

/* Of the value behind a line's name; NULL: there is no such line. */
static const char *line_find(const char *text, const char *name)
{
	const char *found = strstr(text, name);

	return found ? found + strlen(name) : NULL;
}

/* Of the main thread: what it does, and how often it was taken off a processor. */
static bool main_thread_look(pid_t process, enum standstill_kind *ret_kind, uint64_t *ret_switches)
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
	/* proc_pid_status(5): stopped, stopped by a tracer, ended; a sleep that signals do not end. */
	if (*state == 'T' || *state == 't' || *state == 'Z')
		*ret_kind = STANDSTILL_STOPPED;
	else
		*ret_kind = *state == 'D' ? STANDSTILL_STUCK : STANDSTILL_NONE;
	*ret_switches = strtoull(gave_up, NULL, 10) + strtoull(lost, NULL, 10);
	return true;
}

static unsigned limit_of(const struct standstill_limits *limits, enum standstill_kind kind)
{
	if (kind == STANDSTILL_NONE)
		return 0;
	return kind == STANDSTILL_STOPPED ? limits->stopped_ms : limits->stuck_ms;
}

unsigned standstill_interval(const struct standstill_limits *limits)
{
	unsigned least = limits->stopped_ms;
	unsigned interval;

	if (!least || (limits->stuck_ms && limits->stuck_ms < least))
		least = limits->stuck_ms;
	if (!least)
		return 0;
	interval = least / INTERVAL_PART;
	if (interval > INTERVAL_MS_MAX)
		return INTERVAL_MS_MAX;
	return interval < INTERVAL_MS_MIN ? INTERVAL_MS_MIN : interval;
}

bool standstill_look(struct standstill *standstill, pid_t process, const struct standstill_limits *limits,
		     uint64_t now_ms, char *ret_text)
{
	struct standstill now = {.since_ms = now_ms};
	unsigned limit_ms;

	if (!main_thread_look(process, &now.kind, &now.switches))
		now.kind = STANDSTILL_NONE;
	/* Who has run in between has been taken off a processor once more, when it was stopped or slept again. */
	if (now.kind == STANDSTILL_NONE || standstill->kind != now.kind || standstill->switches != now.switches)
		*standstill = now;
	limit_ms = limit_of(limits, standstill->kind);
	if (!limit_ms || now_ms - standstill->since_ms < limit_ms)
		return false;
	snprintf(ret_text, STANDSTILL_TEXT_BYTES, "%s for longer than %u ms",
		 standstill->kind == STANDSTILL_STOPPED ? "stopped" : "stuck in the kernel", limit_ms);
	return true;
}
