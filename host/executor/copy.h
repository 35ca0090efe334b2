/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies between guest and device, through the channel's windows and, for
 * short ones, through the records themselves.
 *
 * The windows and the bounce buffers are registered with the driver once, so
 * that copies run at the bus's speed and asynchronously. Where that fails
 * (softgpu may not need it) copies still work: the driver then reads and writes
 * pageable memory.
 *
 * Upload positions must be used in order: what the guest was told to be free is
 * never read again.
 */
#ifndef EXECUTOR_COPY_H
#define EXECUTOR_COPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "context.h"
#include "execute.h"
#include "vgpu_graph.h"

#define UPLOADS_MAX   4096 /* in flight; a power of two */
#define BOUNCES_COUNT 64

struct upload {
	uint64_t end;		 /* FIFO position behind it */
	struct context *context; /* of the mark */
	CUevent mark;		 /* NULL: nothing to wait for */
};

struct bounce {
	struct bounce *next;
	uint8_t *bytes; /* VGPU_RECORD_BYTES_MAX of them */
};

struct copies {
	struct upload uploads[UPLOADS_MAX];
	uint32_t upload_head; /* free running */
	uint32_t upload_tail;
	uint64_t upload_used;	       /* position behind the last upload */
	uint64_t upload_released;      /* as the guest was told */
	struct context *registered_in; /* NULL: the windows are not registered */
	struct context *refused_in;    /* where that failed, and is not tried with each copy */
	uint8_t *bounce_memory;
	struct bounce bounces[BOUNCES_COUNT];
	struct bounce *free_bounces;
};

/* Makes the bounce buffers. 0, or -errno. */
int copy_open(struct copies *copies);

/* A graph's copy names its host memory as long as there are graphs. */
void copy_shape_name(struct executor *executor, const CUDA_MEMCPY3D *copy);

/* A box that the guest describes, if it names what the guest may name; the arrays by their ids. */
CUresult copy_shape_take(struct executor *executor, const CUDA_MEMCPY3D *wire, uint32_t source_array,
			 uint32_t destination_array, CUDA_MEMCPY3D *ret_copy);

/*
 * A box of which one side is memory of the program, for which 'memory' stands, *ret_bytes without a gap (once they are
 * known: asked with NULL first).
 */
CUresult copy_shape_take_program(struct executor *executor, const struct vgpu_graph_memcpy *wire, void *memory,
				 CUDA_MEMCPY3D *ret_copy, uint64_t *ret_bytes);

/* Registers the windows in the current context, if they are not registered yet. */
void copy_windows_register(struct executor *executor);

CUresult copy_upload_execute(struct executor *executor, const struct request *request);
CUresult copy_upload_inline_execute(struct executor *executor, const struct request *request);
CUresult copy_download_execute(struct executor *executor, const struct request *request);
CUresult copy_download_inline_execute(struct executor *executor, const struct request *request, struct reply *reply);
CUresult copy_window_release_execute(struct executor *executor, const struct request *request);

/* array_copy.c */
CUresult copy_array_upload_execute(struct executor *executor, const struct request *request);
CUresult copy_array_download_execute(struct executor *executor, const struct request *request);

/* The place in the upload window of 'bytes' at 'position'; EXECUTE_PROTOCOL if that is no free place. */
CUresult copy_window_place(struct executor *executor, uint64_t position, uint64_t bytes, uint64_t *ret_place);
/* What lies before 'position' has been read, or is read by uploads that are in flight. */
CUresult copy_window_pass(struct executor *executor, uint64_t position);

/* After a copy from the window issued in the stream (not, if 'result' is an error): its end, and when it may go. */
CUresult copy_window_used(struct executor *executor, uint64_t end, uint32_t stream_id, CUresult result);

/* Tells the guest what has been read; true: uploads are still in flight. */
bool copy_poll(struct executor *executor);

uint8_t *copy_bounce_bytes(struct bounce *bounce);
void copy_bounce_give(struct executor *executor, struct bounce *bounce);

/* The marks of a context that is about to be destroyed. */
void copy_forget_context(struct executor *executor, struct context *context);

#endif
