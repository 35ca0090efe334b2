/* SPDX-License-Identifier: Apache-2.0 */
#include "mirror_log.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "control_socket.h"

#define READS_MAX 16
#define SLOW_MARK ": slow call: " /* as host/executor/latency.c writes it */

int mirror_log_open(struct mirror_log *log, int *ret_write_end)
{
	log->output = -1;
	return control_output_create(&log->output, ret_write_end);
}

/* With its end. */
static void line_take(struct mirror_log *log, struct link *link)
{
	ssize_t written = write(STDERR_FILENO, log->line, log->used);

	/* A log that nobody reads must not stop a guest. */
	(void)written;
	/* No window limits it, and what is about the channel itself is to find room. */
	if (memmem(log->line, log->used, SLOW_MARK, strlen(SLOW_MARK)) && link_room(link) >= LINK_OUT_BYTES / 2)
		memcpy(link_put(link, LINK_TEXT, (uint32_t)log->used, false), log->line, log->used);
	log->used = 0;
}

/* A line that is too long is several. */
static void text_take(struct mirror_log *log, struct link *link, const char *text, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++) {
		log->line[log->used++] = text[i];
		if (text[i] != '\n' && log->used == sizeof(log->line) - 1)
			log->line[log->used++] = '\n';
		if (log->line[log->used - 1] == '\n')
			line_take(log, link);
	}
}

void mirror_log_take(struct mirror_log *log, struct link *link)
{
	char text[4096];

	for (int i = 0; i < READS_MAX && log->output >= 0; i++) {
		ssize_t got = control_read_bare(log->output, text, sizeof(text));

		if (got < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (got <= 0) {
			close(log->output);
			log->output = -1;
			return;
		}
		text_take(log, link, text, (size_t)got);
	}
}
