/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which bytes of the channel's windows a record names: all that a transport which
 * does not share memory has to know of records.  A new opcode that reads the upload
 * window or fills the download window needs its lines in window_use.c.
 */
#ifndef WORKER_WINDOW_USE_H
#define WORKER_WINDOW_USE_H

#include <stdbool.h>
#include <stdint.h>

struct window_use {
	bool uploads;	/* reads the upload window */
	bool passes;	/* moves the FIFO on without reading */
	bool downloads; /* its reply says that the download window is filled */
	uint64_t place; /* position in the upload window or offset in the download window */
	uint64_t bytes;
};

/* 'record' is a whole record, aligned, whose length has been checked. What it says is not checked here. */
struct window_use window_use_of(const void *record, uint32_t length);

#endif
