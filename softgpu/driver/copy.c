/* SPDX-License-Identifier: Apache-2.0 */
#include "copy.h"
#include "capture.h"

#include <stdlib.h>
#include <string.h>

#include "driver.h"
#include "memory.h"
#include "print.h"
#include "stream.h"

/* Pageable sources up to this are staged, so that the call need not wait for the stream. */
#define STAGE_BYTES_MAXIMUM ((uint64_t)1 << 20)

struct copy_work {
	struct work work;
	struct copy copy;
	unsigned char staged[];
};

/* First to last byte of one end.  False: it wraps around. */
static bool end_extent(const struct copy *copy, const struct copy_end *end, uint64_t *ret_bytes)
{
	uint64_t rows = copy->rows - 1, slices = copy->slices - 1, bytes = copy->width_bytes, part;

	if (rows &&
	    (__builtin_mul_overflow(rows, end->row_bytes, &part) || __builtin_add_overflow(bytes, part, &bytes)))
		return false;
	if (slices &&
	    (__builtin_mul_overflow(slices, end->slice_bytes, &part) || __builtin_add_overflow(bytes, part, &bytes)))
		return false;
	if (end->address + bytes < end->address)
		return false;
	*ret_bytes = bytes;
	return true;
}

/* Under memory_lock(). */
static bool end_valid(const struct copy *copy, const struct copy_end *end, enum memory_class *ret_class)
{
	uint64_t bytes;

	if (!end->address || !end_extent(copy, end, &bytes))
		return false;
	*ret_class = memory_classify(end->address, bytes);
	switch (end->space) {
	case COPY_HOST:
		/* Device memory under a host pointer is tolerated, as unified addressing does. */
		return *ret_class != MEMORY_CLASS_INVALID;
	case COPY_DEVICE:
		return *ret_class == MEMORY_CLASS_DEVICE || *ret_class == MEMORY_CLASS_HOST;
	default:
		return *ret_class != MEMORY_CLASS_INVALID;
	}
}

static void copy_perform(const struct copy *copy)
{
	for (uint64_t slice = 0; slice < copy->slices; slice++) {
		uint64_t source = copy->source.address + slice * copy->source.slice_bytes;
		uint64_t destination = copy->destination.address + slice * copy->destination.slice_bytes;

		for (uint64_t row = 0; row < copy->rows; row++)
			memmove((void *)(destination + row * copy->destination.row_bytes),
				(const void *)(source + row * copy->source.row_bytes), copy->width_bytes);
	}
}

static CUresult copy_run(struct work *work, struct stream *stream)
{
	struct copy *copy = &((struct copy_work *)work)->copy;
	enum memory_class class;
	CUresult result = CUDA_SUCCESS;

	(void)stream;
	memory_lock();
	if (end_valid(copy, &copy->source, &class) && end_valid(copy, &copy->destination, &class))
		copy_perform(copy);
	else
		result = CUDA_ERROR_ILLEGAL_ADDRESS;
	memory_unlock();
	return result;
}

static void copy_free(struct work *work)
{
	free(work);
}

/* Reads the pageable source now; the copy then starts from the staged, dense bytes. */
static void copy_stage(struct copy_work *work)
{
	struct copy stage = work->copy;

	stage.destination.address = (uint64_t)(uintptr_t)work->staged;
	stage.destination.row_bytes = stage.width_bytes;
	stage.destination.slice_bytes = stage.width_bytes * stage.rows;
	copy_perform(&stage);
	work->copy.source = stage.destination;
	work->copy.source.space = COPY_HOST;
}

CUresult copy_submit(CUstream handle, const struct copy *copy, bool asynchronous)
{
	enum memory_class source = MEMORY_CLASS_INVALID, destination = MEMORY_CLASS_INVALID;
	bool valid, wait, demanded, stage = false;
	uint64_t bytes = 0;
	struct copy_work *work;
	struct context *context;
	struct stream *stream;
	CUresult result = context_current(&context);

	if (result)
		return result;
	result = stream_acquire(context, handle, &stream);
	if (result)
		return result;
	if (!copy->width_bytes || !copy->rows || !copy->slices)
		goto release; /* nothing to copy; whatever the addresses are */
	result = CUDA_ERROR_INVALID_VALUE;
	memory_lock();
	valid = end_valid(copy, &copy->source, &source) && end_valid(copy, &copy->destination, &destination);
	demanded = memory_is_synchronous(copy->source.address) || memory_is_synchronous(copy->destination.address);
	memory_unlock();
	if (!valid)
		goto release;
	if (asynchronous) {
		stage = source == MEMORY_CLASS_UNKNOWN && destination != MEMORY_CLASS_UNKNOWN &&
			!__builtin_mul_overflow(copy->width_bytes, copy->rows, &bytes) &&
			!__builtin_mul_overflow(bytes, copy->slices, &bytes) && bytes <= STAGE_BYTES_MAXIMUM;
		wait = !stage && (source == MEMORY_CLASS_UNKNOWN || destination == MEMORY_CLASS_UNKNOWN);
	} else {
		wait = source != MEMORY_CLASS_DEVICE || destination != MEMORY_CLASS_DEVICE;
	}
	/* A captured copy names its memory, which is read and written when the graph runs. */
	if (asynchronous && capture_is_open(stream))
		stage = wait = demanded = false;
	result = CUDA_ERROR_OUT_OF_MEMORY;
	work = calloc(1, sizeof(*work) + (stage ? bytes : 0));
	if (!work)
		goto release;
	work->work = (struct work){.run = copy_run, .free = copy_free, .node_type = CU_GRAPH_NODE_TYPE_MEMCPY};
	work->copy = *copy;
	if (stage)
		copy_stage(work);
	if (wait || demanded) {
		result = stream_perform(stream, &work->work);
		if (!asynchronous)
			print_flush();
	} else {
		result = stream_submit(stream, &work->work, NULL);
	}
release:
	stream_release(stream);
	return result;
}

CUresult copy_work_make(const struct copy *copy, struct work **ret_work)
{
	enum memory_class class;
	struct copy_work *work;
	bool valid;

	if (!copy->width_bytes || !copy->rows || !copy->slices)
		return CUDA_ERROR_INVALID_VALUE;
	memory_lock();
	valid = end_valid(copy, &copy->source, &class) && end_valid(copy, &copy->destination, &class);
	memory_unlock();
	if (!valid)
		return CUDA_ERROR_INVALID_VALUE;
	work = calloc(1, sizeof(*work));
	if (!work)
		return CUDA_ERROR_OUT_OF_MEMORY;
	work->work = (struct work){.run = copy_run, .free = copy_free, .node_type = CU_GRAPH_NODE_TYPE_MEMCPY};
	work->copy = *copy;
	*ret_work = &work->work;
	return CUDA_SUCCESS;
}

/* Fills. */

struct fill_work {
	struct work work;
	struct fill fill;
};

static bool fill_valid(const struct fill *fill, enum memory_class *ret_class)
{
	uint64_t bytes, part = 0;

	if (__builtin_mul_overflow(fill->width, fill->element_bytes, &bytes))
		return false;
	if (fill->rows > 1 && (__builtin_mul_overflow(fill->rows - 1, fill->row_bytes, &part) ||
			       __builtin_add_overflow(bytes, part, &bytes)))
		return false;
	*ret_class = memory_classify(fill->address, bytes);
	return *ret_class == MEMORY_CLASS_DEVICE || *ret_class == MEMORY_CLASS_HOST;
}

static void row_fill(const struct fill *fill, uint64_t address)
{
	switch (fill->element_bytes) {
	case 1:
		memset((void *)address, (int)fill->value, fill->width);
		break;
	case 2:
		for (uint64_t index = 0; index < fill->width; index++)
			((uint16_t *)address)[index] = (uint16_t)fill->value;
		break;
	default:
		for (uint64_t index = 0; index < fill->width; index++)
			((uint32_t *)address)[index] = fill->value;
	}
}

static CUresult fill_run(struct work *work, struct stream *stream)
{
	const struct fill *fill = &((struct fill_work *)work)->fill;
	CUresult result = CUDA_ERROR_ILLEGAL_ADDRESS;
	enum memory_class class;

	(void)stream;
	memory_lock();
	if (fill_valid(fill, &class)) {
		for (uint64_t row = 0; row < fill->rows; row++)
			row_fill(fill, fill->address + row * fill->row_bytes);
		result = CUDA_SUCCESS;
	}
	memory_unlock();
	return result;
}

static CUresult fill_check(const struct fill *fill, enum memory_class *ret_class, bool *ret_demanded)
{
	bool valid;

	if (fill->address % fill->element_bytes)
		return CUDA_ERROR_INVALID_VALUE;
	if (fill->rows > 1 &&
	    (fill->row_bytes % fill->element_bytes || fill->row_bytes / fill->element_bytes < fill->width))
		return CUDA_ERROR_INVALID_VALUE;
	memory_lock();
	valid = fill_valid(fill, ret_class);
	*ret_demanded = memory_is_synchronous(fill->address);
	memory_unlock();
	return valid ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static struct work *fill_work(const struct fill *fill)
{
	struct fill_work *work = calloc(1, sizeof(*work));

	if (!work)
		return NULL;
	work->work = (struct work){.run = fill_run, .free = copy_free, .node_type = CU_GRAPH_NODE_TYPE_MEMSET};
	work->fill = *fill;
	return &work->work;
}

CUresult fill_submit(CUstream handle, const struct fill *fill, bool asynchronous)
{
	enum memory_class class = MEMORY_CLASS_INVALID;
	struct context *context;
	struct stream *stream;
	struct work *work;
	bool demanded;
	CUresult result = context_current(&context);

	if (result)
		return result;
	result = stream_acquire(context, handle, &stream);
	if (result)
		return result;
	if (!fill->width || !fill->rows)
		goto release;
	result = fill_check(fill, &class, &demanded);
	if (result)
		goto release;
	if (asynchronous && capture_is_open(stream))
		demanded = false;
	result = CUDA_ERROR_OUT_OF_MEMORY;
	work = fill_work(fill);
	if (!work)
		goto release;
	if (demanded || (!asynchronous && class == MEMORY_CLASS_HOST))
		result = stream_perform(stream, work);
	else
		result = stream_submit(stream, work, NULL);
release:
	stream_release(stream);
	return result;
}

CUresult fill_work_make(const struct fill *fill, struct work **ret_work)
{
	enum memory_class class;
	bool demanded;
	CUresult result;

	if (!fill->width || !fill->rows ||
	    (fill->element_bytes != 1 && fill->element_bytes != 2 && fill->element_bytes != 4))
		return CUDA_ERROR_INVALID_VALUE;
	result = fill_check(fill, &class, &demanded);
	if (result)
		return result;
	*ret_work = fill_work(fill);
	return *ret_work ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

static CUmemorytype space_type(enum copy_space space)
{
	switch (space) {
	case COPY_HOST:
		return CU_MEMORYTYPE_HOST;
	case COPY_DEVICE:
		return CU_MEMORYTYPE_DEVICE;
	default:
		return CU_MEMORYTYPE_UNIFIED;
	}
}

void copy_work_describe(const struct work *work, CUDA_MEMCPY3D *ret_copy)
{
	const struct copy *copy = &((const struct copy_work *)work)->copy;
	const struct copy_end *from = &copy->source, *to = &copy->destination;

	*ret_copy = (CUDA_MEMCPY3D){
		.srcMemoryType = space_type(from->space),
		.srcPitch = from->row_bytes,
		.srcHeight = from->row_bytes ? from->slice_bytes / from->row_bytes : 0,
		.dstMemoryType = space_type(to->space),
		.dstPitch = to->row_bytes,
		.dstHeight = to->row_bytes ? to->slice_bytes / to->row_bytes : 0,
		.WidthInBytes = copy->width_bytes,
		.Height = copy->rows,
		.Depth = copy->slices,
	};
	if (from->space == COPY_HOST)
		ret_copy->srcHost = (const void *)from->address;
	else
		ret_copy->srcDevice = from->address;
	if (to->space == COPY_HOST)
		ret_copy->dstHost = (void *)to->address;
	else
		ret_copy->dstDevice = to->address;
}

void fill_work_describe(const struct work *work, CUDA_MEMSET_NODE_PARAMS *ret_fill)
{
	const struct fill *fill = &((const struct fill_work *)work)->fill;

	*ret_fill = (CUDA_MEMSET_NODE_PARAMS){
		.dst = fill->address,
		.pitch = fill->row_bytes,
		.value = fill->value,
		.elementSize = fill->element_bytes,
		.width = fill->width,
		.height = fill->rows,
	};
}
