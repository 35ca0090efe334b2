/* SPDX-License-Identifier: Apache-2.0 */
/* What calls have the device do with memory, as far as mirrors are concerned. */
#include "call.h"
#include "memory.h"
#include "mirror.h"
#include "rest.h"
#include "transfer.h"
#include "vgpu_api_wire.h"

static void span_add(struct mirror_use *use, uint64_t address, uint64_t bytes, bool is_written)
{
	use->spans[use->span_count++] =
		(struct mirror_span){.address = address, .bytes = bytes, .is_written = is_written};
}

/* To the end of what lies there: rows with gaps, of which the host knows the shape. */
static void rows_add(struct mirror_use *use, uint64_t address, bool is_written)
{
	span_add(use, address, UINT64_MAX, is_written);
}

static void box_add(struct mirror_use *use, const CUDA_MEMCPY3D *copy)
{
	if (copy->srcMemoryType == CU_MEMORYTYPE_DEVICE)
		rows_add(use, copy->srcDevice, false);
	if (copy->dstMemoryType == CU_MEMORYTYPE_DEVICE)
		rows_add(use, copy->dstDevice, true);
}

#define FILL(name, unit_bytes)                                                                             \
	case VGPU_CALL_##name: {                                                                           \
		const struct wire_##name *fill = wire;                                                     \
                                                                                                           \
		use.stream = fill->hStream;                                                                \
		span_add(&use, fill->dstDevice,                                                            \
			 fill->N > UINT64_MAX / (unit_bytes) ? UINT64_MAX : fill->N * (unit_bytes), true); \
		break;                                                                                     \
	}
#define FILL_ROWS(name)                                \
	case VGPU_CALL_##name: {                       \
		const struct wire_##name *fill = wire; \
                                                       \
		use.stream = fill->hStream;            \
		rows_add(&use, fill->dstDevice, true); \
		break;                                 \
	}
#define COPY(name)                                                       \
	case VGPU_CALL_##name: {                                         \
		const struct wire_##name *copy = wire;                   \
                                                                         \
		use.stream = copy->hStream;                              \
		span_add(&use, copy->srcDevice, copy->ByteCount, false); \
		span_add(&use, copy->dstDevice, copy->ByteCount, true);  \
		break;                                                   \
	}
#define BOX(name)                                     \
	case VGPU_CALL_##name: {                      \
		const struct wire_##name *box = wire; \
                                                      \
		use.stream = box->hStream;            \
		box_add(&use, &box->copy);            \
		break;                                \
	}
#define WRITE(name, bytes)                                \
	case VGPU_CALL_##name: {                          \
		const struct wire_##name *write = wire;   \
                                                          \
		use.stream = write->hStream;              \
		span_add(&use, write->addr, bytes, true); \
		break;                                    \
	}
#define WAIT(name, bytes)                                 \
	case VGPU_CALL_##name: {                          \
		const struct wire_##name *wait = wire;    \
                                                          \
		use.stream = wait->hStream;               \
		span_add(&use, wait->addr, bytes, false); \
		break;                                    \
	}
#define EVERYTHING(name)                               \
	case VGPU_CALL_##name: {                       \
		const struct wire_##name *work = wire; \
                                                       \
		use.stream = work->hStream;            \
		use.is_everything = true;              \
		break;                                 \
	}

bool mirror_use_of_call(uint16_t opcode, uint32_t context, const struct call_piece *pieces, struct mirror_use *ret_use)
{
	const void *wire;
	struct mirror_use use = {.context = context};

	if (!pieces)
		return false;
	wire = pieces[0].data;
	switch (opcode) {
		FILL(cuMemsetD8Async, 1)
		FILL(cuMemsetD16Async, 2)
		FILL(cuMemsetD32Async, 4)
		FILL_ROWS(cuMemsetD2D8Async)
		FILL_ROWS(cuMemsetD2D16Async)
		FILL_ROWS(cuMemsetD2D32Async)
		COPY(cuMemcpyDtoDAsync_v2)
		COPY(cuMemcpyPeerAsync)
		BOX(cuMemcpy3DAsync_v2)
		BOX(cuMemcpy3DPeerAsync)
		WRITE(cuStreamWriteValue32, 4)
		WRITE(cuStreamWriteValue64, 8)
		WRITE(cuStreamWriteValue32_v2, 4)
		WRITE(cuStreamWriteValue64_v2, 8)
		WAIT(cuStreamWaitValue32, 4)
		WAIT(cuStreamWaitValue64, 8)
		WAIT(cuStreamWaitValue32_v2, 4)
		WAIT(cuStreamWaitValue64_v2, 8)
		EVERYTHING(cuStreamBatchMemOp)
		EVERYTHING(cuStreamBatchMemOp_v2)
		EVERYTHING(cuGraphLaunch)
	case VGPU_CALL_cuMemcpyPeer: {
		const struct wire_cuMemcpyPeer *copy = wire;

		span_add(&use, copy->srcDevice, copy->ByteCount, false);
		span_add(&use, copy->dstDevice, copy->ByteCount, true);
		break;
	}
	case VGPU_CALL_cuMemcpy3DPeer: {
		const struct wire_cuMemcpy3DPeer *box = wire;

		box_add(&use, &box->copy);
		break;
	}
	case VGPU_CALL_cuLaunchCooperativeKernelMultiDevice:
		use.is_everything = true;
		use.is_any_stream = true;
		break;
	default:
		return false;
	}
	*ret_use = use;
	return true;
}

static struct mirror_use use_of(const struct transfer *transfer, bool is_up)
{
	size_t bytes;

	/* Rows with gaps: what is too much ends where the memory does. */
	if (__builtin_mul_overflow(transfer->device_pitch, transfer->height, &bytes) || transfer->width > bytes)
		bytes = SIZE_MAX;
	return (struct mirror_use){
		.span_count = 1,
		.spans = {{.address = transfer->device, .bytes = bytes, .is_written = is_up}},
		.context = transfer->context,
		.stream = transfer->stream,
	};
}

/*
 * Waits before no touch is served: a function of the program before the copy may touch the memory. Not again then: one
 * that has come into the stream since ends only when touches are served.
 */
static CUresult transfer_up_mirrored(const struct transfer *transfer)
{
	const struct mirror_use use = use_of(transfer, true);
	struct transfer awaited = *transfer;
	CUresult result = rest_stream_await(transfer->context, transfer->stream);

	if (!result)
		result = mirror_use_begin(&use);
	if (result)
		return result;
	awaited.is_alone = true;
	result = transfer_up(&awaited);
	mirror_use_end();
	return result;
}

CUresult mirror_transfer_up(const struct transfer *transfer)
{
	struct memory_range range;

	if (mirrors_exist() && memory_lookup(transfer->device, &range) && range.kind == MEMORY_MIRRORED)
		return transfer_up_mirrored(transfer);
	return transfer_up(transfer);
}

CUresult mirror_transfer_down(const struct transfer *transfer)
{
	if (mirrors_exist()) {
		const struct mirror_use use = use_of(transfer, false);
		CUresult result = mirror_use_begin(&use);

		if (result)
			return result;
		mirror_use_end();
	}
	return transfer_down(transfer);
}
