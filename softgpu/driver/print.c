/* SPDX-License-Identifier: Apache-2.0 */
/* Device printf: buffered while kernels run, written when the program synchronises. */
#include "print.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Default of CU_LIMIT_PRINTF_FIFO_SIZE.  The real driver overwrites the oldest text; we write early instead. */
#define BUFFER_BYTES 1048576

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char *buffer;
static size_t used;

static void write_all(const char *text, size_t bytes)
{
	while (bytes) {
		ssize_t written = write(STDOUT_FILENO, text, bytes);

		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			return; /* nobody reads: printf of a kernel has no way to fail */
		text += written;
		bytes -= (size_t)written;
	}
}

void print_append(void *user, const char *text, size_t bytes)
{
	(void)user;
	pthread_mutex_lock(&lock);
	if (!buffer)
		buffer = malloc(BUFFER_BYTES);
	if (!buffer || bytes > BUFFER_BYTES - used) {
		write_all(buffer, used);
		used = 0;
	}
	if (!buffer || bytes > BUFFER_BYTES) {
		write_all(text, bytes);
	} else {
		memcpy(buffer + used, text, bytes);
		used += bytes;
	}
	pthread_mutex_unlock(&lock);
}

void print_flush(void)
{
	pthread_mutex_lock(&lock);
	write_all(buffer, used);
	used = 0;
	pthread_mutex_unlock(&lock);
}
