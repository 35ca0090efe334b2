/* SPDX-License-Identifier: Apache-2.0 */
#include "print.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "executor.h"

#define PIECE_BYTES (32u << 10)
/* Sent text is given back in steps, not with a system call each time. */
#define PUNCH_BYTES (1u << 20)
/* A kernel that prints without end: its text is sent before anybody waits for it, and is not kept for ever. */
#define WAITING_BYTES_EARLY (8u << 20)
#define WAITING_BYTES_MAX   (32u << 20)

int print_open(struct print *print)
{
	int file = memfd_create("device-printf", MFD_CLOEXEC);
	int flags;

	if (file < 0)
		return -errno;
	flags = fcntl(file, F_GETFL);
	/* Appending: a driver thread may write while we look. */
	if (flags < 0 || fcntl(file, F_SETFL, flags | O_APPEND) < 0 || dup2(file, STDOUT_FILENO) < 0) {
		int error = errno;

		close(file);
		return -error;
	}
	*print = (struct print){.file = file};
	return 0;
}

/* False: it cannot be known. */
static bool end_find(const struct print *print, uint64_t *ret_end)
{
	struct stat status;

	if (fstat(print->file, &status) < 0 || status.st_size < 0)
		return false;
	*ret_end = (uint64_t)status.st_size;
	return true;
}

static void taken_advance(struct print *print, uint64_t bytes)
{
	uint64_t taken = print->taken + bytes;

	if (print->taken / PUNCH_BYTES != taken / PUNCH_BYTES)
		(void)fallocate(print->file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)taken);
	print->taken = taken;
}

/* The oldest text is lost first, as in the real driver's buffer. */
static void waiting_bound(struct print *print, uint64_t end)
{
	if (end - print->taken > WAITING_BYTES_MAX)
		taken_advance(print, end - print->taken - WAITING_BYTES_MAX);
}

/* Sends up to 'end'; with 'until_slow' only while the guest keeps up. */
static void text_send(struct executor *executor, uint64_t end, bool until_slow)
{
	struct print *print = &executor->print;

	while (print->taken < end && !executor->fault && !(until_slow && executor->replies.first)) {
		uint8_t piece[PIECE_BYTES];
		size_t wanted = end - print->taken < sizeof(piece) ? end - print->taken : sizeof(piece);
		ssize_t got = pread(print->file, piece, wanted, (off_t)print->taken);

		if (got <= 0)
			return;
		reply_event_send(executor, VGPU_OPCODE_PRINT, piece, (size_t)got);
		taken_advance(print, (uint64_t)got);
	}
}

void print_forward(struct executor *executor)
{
	struct print *print = &executor->print;
	uint64_t end;

	if (!print_is_possible(print))
		return;
	fflush(stdout);
	if (!end_find(print, &end))
		return;
	waiting_bound(print, end);
	text_send(executor, end, false);
}

void print_poll(struct executor *executor)
{
	struct print *print = &executor->print;
	uint64_t end;

	if (!print_is_possible(print) || !end_find(print, &end) || end - print->taken <= WAITING_BYTES_EARLY)
		return;
	text_send(executor, end, true);
	waiting_bound(print, end);
}
