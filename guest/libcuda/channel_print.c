/* SPDX-License-Identifier: Apache-2.0 */
#include "channel_print.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Others hold stdout for one line; who holds it for good may wait for a lock of our caller's. */
#define TRIES_MAX 100
#define PAUSE_NS  1000000L

static __thread bool leaves_it;

static void backlog_add(struct print_backlog *backlog, const char *text, size_t bytes)
{
	char *grown;

	lock_take(&backlog->lock);
	grown = realloc(backlog->text, backlog->bytes + bytes);
	if (grown) {
		memcpy(grown + backlog->bytes, text, bytes);
		backlog->text = grown;
		__atomic_store_n(&backlog->bytes, backlog->bytes + bytes, __ATOMIC_RELEASE);
	}
	lock_release(&backlog->lock);
}

/* With the lock of stdout, so that none overtakes it. */
static void backlog_write(struct print_backlog *backlog)
{
	char *text;
	size_t bytes;

	lock_take(&backlog->lock);
	text = backlog->text;
	bytes = backlog->bytes;
	backlog->text = NULL;
	__atomic_store_n(&backlog->bytes, 0, __ATOMIC_RELEASE);
	lock_release(&backlog->lock);
	fwrite(text, 1, bytes, stdout);
	free(text);
}

static bool is_empty(const struct print_backlog *backlog)
{
	return __builtin_expect(__atomic_load_n(&backlog->bytes, __ATOMIC_ACQUIRE) == 0, 1);
}

void channel_print(struct print_backlog *backlog, const char *text, size_t bytes)
{
	/* The payload is padded with zeros to a multiple of 8. */
	while (bytes > 0 && text[bytes - 1] == '\0')
		bytes--;
	if (bytes == 0)
		return;
	if (ftrylockfile(stdout)) {
		backlog_add(backlog, text, bytes);
		return;
	}
	if (!is_empty(backlog))
		backlog_write(backlog);
	fwrite(text, 1, bytes, stdout);
	fflush(stdout);
	funlockfile(stdout);
}

void channel_print_rest(struct print_backlog *backlog)
{
	const struct timespec pause = {.tv_nsec = PAUSE_NS};

	for (int i = 0; i < TRIES_MAX && !leaves_it && !is_empty(backlog); i++) {
		if (ftrylockfile(stdout) == 0) {
			backlog_write(backlog);
			fflush(stdout);
			funlockfile(stdout);
			return;
		}
		nanosleep(&pause, NULL);
	}
}

void channel_print_leave(void)
{
	leaves_it = true;
}
