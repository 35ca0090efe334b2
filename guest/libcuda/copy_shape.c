/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies of boxes: between device memory, arrays and memory that the executor
 * has mapped they are one call on the host; the program's other memory goes
 * through the windows.
 */
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "array_transfer.h"
#include "capture.h"
#include "copy.h"
#include "copy_side.h"
#include "doubt.h"
#include "host_calls.h"
#include "host_function.h"
#include "memory.h"
#include "mirror.h"
#include "transfer.h"

static CUresult shape_on_host(const struct copy_order *order, const struct side *to, const struct side *from,
			      const CUDA_MEMCPY3D *copy)
{
	CUDA_MEMCPY3D wire = copy_sides_wire(to, from, copy);
	CUresult result;

	if (!order->peers)
		result = host_cuMemcpy3DAsync_v2(order->context, &wire, from->array_id, to->array_id, order->stream);
	else if (order->waits)
		result = host_cuMemcpy3DPeer(order->context, &wire, from->array_id, to->array_id, order->peers->source,
					     order->peers->destination);
	else
		result = host_cuMemcpy3DPeerAsync(order->context, &wire, from->array_id, to->array_id,
						  order->peers->source, order->peers->destination, order->stream);

	/* A synchronous copy waits if it touches the host's memory (API synchronization behavior). */
	if (!result && order->waits &&
	    (from->kind == SIDE_SHARED || to->kind == SIDE_SHARED || copy_is_synchronous(from->address) ||
	     copy_is_synchronous(to->address)))
		result = host_cuStreamSynchronize(order->context, order->stream);
	return result;
}

/* All in the program's memory: when the stream has come there. */
static CUresult shape_in_program(const struct copy_order *order, const struct side *to, const struct side *from,
				 const CUDA_MEMCPY3D *copy)
{
	CUresult result = order->waits ? CUDA_SUCCESS : capture_refuse(order->context, order->stream);

	if (result)
		return copy_capture(order, result, copy);
	result = host_cuStreamSynchronize(order->context, order->stream);
	for (size_t slice = 0; slice < copy->Depth && !result; slice++) {
		uint64_t to_slice = to->address + slice * to->slice_rows * to->row_bytes;
		uint64_t from_slice = from->address + slice * from->slice_rows * from->row_bytes;

		for (size_t row = 0; row < copy->Height; row++)
			memmove((void *)(uintptr_t)(to_slice + row * to->row_bytes),
				(const void *)(uintptr_t)(from_slice + row * from->row_bytes), copy->WidthInBytes);
	}
	return result;
}

static bool shape_is_made_at_return(const struct side *host, const CUDA_MEMCPY3D *copy)
{
	return copy_is_made_at_return((const void *)(uintptr_t)host->address,
				      copy->WidthInBytes * copy->Height * copy->Depth);
}

static CUresult shape_with_device(const struct copy_order *order, const struct side *device, const struct side *host,
				  bool up, const CUDA_MEMCPY3D *copy)
{
	CUresult known = copy_device_span_check(device->address, device->bytes);
	/* Slices that follow each other closely are one. */
	bool closely = device->slice_rows == copy->Height && host->slice_rows == copy->Height;
	size_t slices = closely ? 1 : copy->Depth;
	struct transfer transfer = {
		.device_pitch = device->row_bytes,
		.host = (uint8_t *)(uintptr_t)host->address,
		.host_pitch = host->row_bytes,
		.width = copy->WidthInBytes,
		.height = closely ? copy->Height * copy->Depth : copy->Height,
		.context = order->context,
		.stream = order->stream,
	};
	CUresult result;

	if (known == CUDA_ERROR_INVALID_VALUE)
		return known;
	result = capture_refuse(order->context, order->stream);
	if (result)
		return copy_capture(order, result, copy);
	if (up) {
		result = copy_source_await(order, transfer.host);
		transfer.is_prompt = copy_source_is_prompt(order, transfer.host);
	}
	/* For all slices together: each may be small. */
	if (!result && slices > 1)
		result = transfer_await(&transfer, host->bytes);
	for (size_t slice = 0; slice < slices && !result; slice++) {
		transfer.device = device->address + slice * device->slice_rows * device->row_bytes;
		transfer.host = (uint8_t *)(uintptr_t)(host->address + slice * host->slice_rows * host->row_bytes);
		result = up ? mirror_transfer_up(&transfer) : mirror_transfer_down(&transfer);
	}
	/* As in copy_up(). */
	if (!result && up && !order->waits && known == CUDA_ERROR_NOT_FOUND &&
	    doubt_span(device->address, device->bytes, 1))
		return capture_settle_open(order->context, order->stream);
	if (!result && up && order->waits &&
	    (known == CUDA_ERROR_NOT_FOUND || shape_is_made_at_return(host, copy) ||
	     copy_is_synchronous(device->address)))
		result = host_cuStreamSynchronize(order->context, order->stream);
	return result;
}

static CUresult shape_with_own_array(const struct copy_order *order, const struct side *array, const struct side *host,
				     bool up, const CUDA_MEMCPY3D *copy)
{
	struct array_transfer transfer = {
		.array = array->array_id,
		.element_bytes = array->element_bytes,
		.x_bytes = array->x_bytes,
		.y = array->y,
		.z = array->z,
		.host = (uint8_t *)(uintptr_t)host->address,
		.host_row_bytes = host->row_bytes,
		.host_slice_bytes = host->slice_rows * host->row_bytes,
		.width_bytes = copy->WidthInBytes,
		.rows = copy->Height,
		.slices = copy->Depth,
		.context = order->context,
		.stream = order->stream,
	};
	CUresult result = capture_refuse(order->context, order->stream);

	if (result)
		return copy_capture(order, result, copy);
	if (up)
		result = copy_source_await(order, transfer.host);
	if (result)
		return result;
	if (!up)
		return array_transfer_down(&transfer);
	result = array_transfer_up(&transfer);
	/* As in copy_up(). */
	if (!result && order->waits && shape_is_made_at_return(host, copy))
		result = host_cuStreamSynchronize(order->context, order->stream);
	return result;
}

/* An array of another device is moved in its own context, when the stream has come there. */
static CUresult shape_with_array(const struct copy_order *order, const struct side *array, const struct side *host,
				 bool up, const CUDA_MEMCPY3D *copy)
{
	const struct object *object = object_by_id(array->array_id);
	struct copy_order own = {.waits = order->waits};
	CUresult result;

	if (!order->peers || !object)
		return shape_with_own_array(order, array, host, up, copy);
	result = capture_refuse(order->context, order->stream);
	if (!result)
		result = host_cuStreamSynchronize(order->context, order->stream);
	if (result)
		return result;
	own.context = object->context;
	result = shape_with_own_array(&own, array, host, up, copy);
	return !result && up ? host_cuStreamSynchronize(own.context, own.stream) : result;
}

static CUresult shape_copy(const struct copy_order *order, const struct side *to, const struct side *from,
			   const CUDA_MEMCPY3D *copy)
{
	bool to_program = to->kind == SIDE_HOST || to->kind == SIDE_SHARED;
	bool from_program = from->kind == SIDE_HOST || from->kind == SIDE_SHARED;
	const struct side *other = to_program ? from : to;

	if (to->kind != SIDE_HOST && from->kind != SIDE_HOST)
		return shape_on_host(order, to, from, copy);
	if (to_program && from_program)
		return shape_in_program(order, to, from, copy);
	if (other->kind == SIDE_ARRAY)
		return shape_with_array(order, other, to_program ? to : from, !to_program, copy);
	return shape_with_device(order, other, to_program ? to : from, !to_program, copy);
}

CUresult copy_shape(const CUDA_MEMCPY3D *copy, CUstream stream, bool per_thread_default, bool waits)
{
	return copy_shape_between(copy, NULL, stream, per_thread_default, waits);
}

CUresult copy_shape_between(const CUDA_MEMCPY3D *copy, const struct copy_peers *peers, CUstream stream,
			    bool per_thread_default, bool waits)
{
	struct copy_order order;
	struct side to, from;
	CUresult result = copy_begin(stream, per_thread_default, waits, &order);

	if (result)
		return result;
	if (!copy)
		return CUDA_ERROR_INVALID_VALUE;
	if (copy->WidthInBytes == 0 || copy->Height == 0 || copy->Depth == 0)
		return CUDA_SUCCESS;
	order.peers = peers;
	result = copy_sides_read(copy, &to, &from);
	return result ? result : shape_copy(&order, &to, &from, copy);
}

static bool is_program(const struct side *side, bool as_program)
{
	return side->kind == SIDE_HOST || (as_program && side->kind == SIDE_SHARED);
}

static struct program_rows rows_of(const struct side *side)
{
	return (struct program_rows){
		.address = (uint8_t *)(uintptr_t)side->address,
		.row_bytes = side->row_bytes,
		.slice_bytes = side->slice_rows * side->row_bytes,
	};
}

/* Of a copy to, from or (with 'source') within the program's memory. */
static CUresult program_describe(const struct side *side, const struct side *source, const CUDA_MEMCPY3D *copy,
				 struct program_copy **ret_program_copy)
{
	struct program_copy *program_copy = malloc(sizeof(*program_copy));

	if (!program_copy)
		return CUDA_ERROR_OUT_OF_MEMORY;
	*program_copy = (struct program_copy){
		.described = *copy,
		.rows = rows_of(side),
		.width_bytes = copy->WidthInBytes,
		.height = copy->Height,
		.depth = copy->Depth,
	};
	if (source)
		program_copy->source = rows_of(source);
	*ret_program_copy = program_copy;
	return CUDA_SUCCESS;
}

static CUresult sides_describe(const struct side *to, const struct side *from, const CUDA_MEMCPY3D *copy,
			       bool as_program, struct copy_description *ret_description)
{
	bool to_program = is_program(to, as_program), from_program = is_program(from, as_program);
	const struct side *other = to_program ? from : to;

	if ((to_program || from_program) && (other->kind == SIDE_HOST || other->kind == SIDE_SHARED)) {
		ret_description->type = CU_GRAPH_NODE_TYPE_HOST;
		return program_describe(to, from, copy, &ret_description->program_copy);
	}
	ret_description->type = CU_GRAPH_NODE_TYPE_MEMCPY;
	ret_description->wire = (struct vgpu_graph_memcpy){
		.copy = copy_sides_wire(to, from, copy),
		.source_array = from->array_id,
		.destination_array = to->array_id,
	};
	/* A single row has no pitch, which could be larger than a pitch may be (CU_DEVICE_ATTRIBUTE_MAX_PITCH). */
	if (copy->Height == 1 && copy->Depth == 1) {
		ret_description->wire.copy.srcPitch = 0;
		ret_description->wire.copy.srcHeight = 0;
		ret_description->wire.copy.dstPitch = 0;
		ret_description->wire.copy.dstHeight = 0;
	}
	if (!to_program && !from_program)
		return CUDA_SUCCESS;
	if (other->kind == SIDE_DEVICE &&
	    copy_device_span_check(other->address, other->bytes) == CUDA_ERROR_INVALID_VALUE)
		return CUDA_ERROR_INVALID_VALUE;
	ret_description->type = VGPU_GRAPH_PROGRAM_COPY;
	return program_describe(to_program ? to : from, NULL, copy, &ret_description->program_copy);
}

CUresult copy_shape_describe(const CUDA_MEMCPY3D *copy, bool as_program, struct copy_description *ret_description)
{
	struct side to, from;
	CUresult result;

	*ret_description = (struct copy_description){0};
	if (copy->WidthInBytes == 0 || copy->Height == 0 || copy->Depth == 0)
		return CUDA_ERROR_INVALID_VALUE;
	result = copy_sides_read(copy, &to, &from);
	return result ? result : sides_describe(&to, &from, copy, as_program, ret_description);
}

CUresult copy_capture(const struct copy_order *order, CUresult refusal, const CUDA_MEMCPY3D *copy)
{
	struct copy_description description;
	struct vgpu_graph_program_copy wire;
	CUresult result;

	if (refusal != CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED || order->waits)
		return refusal;
	result = copy_shape_describe(copy, false, &description);
	if (!result && !description.program_copy)
		result = CUDA_ERROR_UNKNOWN;
	if (result)
		return result;
	wire.memcpy = description.wire;
	result = host_function_keep_copy(description.program_copy, &wire.function);
	if (result) {
		free(description.program_copy);
		return result;
	}
	if (description.type == CU_GRAPH_NODE_TYPE_HOST)
		result = host_cuLaunchHostFunc(order->context, order->stream, wire.function);
	else
		result = host_vgpuCaptureProgramCopy(order->context, order->stream, &wire, sizeof(wire));
	if (result)
		host_function_drop(wire.function);
	return result;
}
