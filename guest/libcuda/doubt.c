/* SPDX-License-Identifier: Apache-2.0 */
#include "doubt.h"

#include "event.h"
#include "memory.h"

bool doubt_span(uint64_t address, uint64_t bytes, uint64_t alignment)
{
	return address % alignment || !memory_is_spanned(address, bytes);
}

bool doubt_rows(uint64_t address, uint64_t pitch, uint64_t width, uint64_t height, uint64_t element_bytes)
{
	uint64_t row, bytes = 0;

	if (width == 0 || height == 0)
		return true;
	if (__builtin_mul_overflow(width, element_bytes, &row))
		return true;
	if (height > 1 && (pitch < row || pitch > DOUBT_PITCH_MAX || pitch % element_bytes ||
			   __builtin_mul_overflow(pitch, height - 1, &bytes)))
		return true;
	return __builtin_add_overflow(bytes, row, &bytes) || doubt_span(address, bytes, element_bytes);
}

/* The guest has made sure that nothing of a box overflows (copy_shape.c). */
bool doubt_box(const CUDA_MEMCPY3D *copy)
{
	const uint64_t source_rows = (copy->Depth - 1) * copy->srcHeight + copy->Height;
	const uint64_t destination_rows = (copy->Depth - 1) * copy->dstHeight + copy->Height;

	return (copy->srcMemoryType == CU_MEMORYTYPE_DEVICE &&
		doubt_rows(copy->srcDevice, copy->srcPitch, copy->WidthInBytes, source_rows, 1)) ||
	       (copy->dstMemoryType == CU_MEMORYTYPE_DEVICE &&
		doubt_rows(copy->dstDevice, copy->dstPitch, copy->WidthInBytes, destination_rows, 1));
}

bool doubt_event(uint32_t event)
{
	return event_is_shared(event);
}
