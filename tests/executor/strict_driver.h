/* SPDX-License-Identifier: Apache-2.0 */
/* What the sources of the strict driver share: its objects, and its checks, which end the process. */
#ifndef TEST_STRICT_DRIVER_H
#define TEST_STRICT_DRIVER_H

#include <stdbool.h>
#include <stdint.h>

#include "strict_export.h"
#include "strict_misuse.h"

enum kind { FREE, CONTEXT, STREAM, EVENT, MODULE, FUNCTION, LIBRARY, KERNEL, POOL, TEXTURE_REFERENCE };

struct object {
	enum kind kind;
	struct object *context;
	struct object *owner;
	uint64_t busy_until_ns; /* stream: idle then; event: reached then */
	uint64_t capture;	/* number of the one that it is a part of, or was */
	char name[16];
	CUresult error; /* context: what it has come to */
};

extern struct object *strict_current; /* context; NULL: none */
extern unsigned strict_prints_waiting;

/* strict_start.c: what cuInit does, and whether kernels reach the process's memory then. */
CUresult strict_start(void);
extern bool strict_reaches_host;

/* The object, which must be alive and of the kind. */
struct object *strict_live(const void *handle, enum kind kind);
/* The default one of NULL. */
struct object *strict_stream_of(CUstream stream);
/* *ret_handle, which may be of any type of handle; CUDA_ERROR_OUT_OF_MEMORY: there are too many. */
CUresult strict_make(enum kind kind, struct object *owner, void *ret_handle);
void strict_owned_end(struct object *owner);

/* CUDA_ERROR_INVALID_CONTEXT, or what the current context has come to. */
CUresult strict_context_check(void);

/* Is it all within one allocation? */
bool strict_device_span(uint64_t address, uint64_t bytes);

uint64_t strict_now_ns(void);
/* Prints then what waits to be printed. */
void strict_wait_until(uint64_t end_ns);

/* The number of the capture that the stream is a part of; 0: it is in none. */
uint64_t strict_capture_of(CUstream stream);

/* strict_graphs.c */
/* The same, of a stream that has joined the capture with that number. */
uint64_t strict_graphs_capture(CUstream stream, uint64_t joined);
bool strict_graphs_launch(CUfunction function, CUstream stream);

#endif
