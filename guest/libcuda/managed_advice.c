/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Advice on managed memory.  It is checked and remembered, for a whole allocation
 * at a time, and only a prefetch of mirrored memory has an effect: other pages never move.
 */
#include "context.h"
#include "copy_batch.h"
#include "memory.h"
#include "mirror.h"
#include "session.h"

/* The allocation that holds all of it. */
static CUresult range_find(CUdeviceptr dptr, size_t bytes, struct memory_range *ret_range)
{
	uint32_t context;
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, &context);

	if (result)
		return result;
	if (!bytes || !memory_lookup(dptr, ret_range) || !memory_kind_is_managed(ret_range->kind) ||
	    bytes > ret_range->bytes - (dptr - ret_range->address))
		return CUDA_ERROR_INVALID_VALUE;
	return CUDA_SUCCESS;
}

static CUresult location_check(CUmemLocation location)
{
	switch (location.type) {
	case CU_MEM_LOCATION_TYPE_DEVICE:
		return context_primary(location.id) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
	case CU_MEM_LOCATION_TYPE_HOST:
	case CU_MEM_LOCATION_TYPE_HOST_NUMA:
	case CU_MEM_LOCATION_TYPE_HOST_NUMA_CURRENT:
		return CUDA_SUCCESS;
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
}

/* The first versions of the calls name the host by a number of a device. */
static CUmemLocation location_of(CUdevice device)
{
	return (CUmemLocation){
		.type = device == CU_DEVICE_CPU ? CU_MEM_LOCATION_TYPE_HOST : CU_MEM_LOCATION_TYPE_DEVICE,
		.id = device == CU_DEVICE_CPU ? 0 : device,
	};
}

static CUresult prefetch(CUdeviceptr dptr, size_t bytes, CUmemLocation location, unsigned int flags, CUstream stream,
			 bool per_thread_default)
{
	struct memory_range range;
	uint32_t stream_number;
	CUresult result = range_find(dptr, bytes, &range);

	if (!result)
		result = flags ? CUDA_ERROR_INVALID_VALUE : location_check(location);
	if (!result)
		result = stream_id(stream, per_thread_default, &stream_number);
	if (result)
		return result;
	range.advice.prefetched = location;
	if (!memory_advise(dptr, &range.advice))
		return CUDA_ERROR_INVALID_VALUE;
	if (range.kind != MEMORY_MIRRORED)
		return CUDA_SUCCESS;
	return mirror_prefetch(dptr, bytes, location.type != CU_MEM_LOCATION_TYPE_DEVICE, thread_state.current->id,
			       stream_number);
}

API(cuMemPrefetchAsync, CUdeviceptr dptr, size_t bytes, CUdevice device, CUstream stream)
{
	return prefetch(dptr, bytes, location_of(device), 0, stream, false);
}

API(cuMemPrefetchAsync_ptsz, CUdeviceptr dptr, size_t bytes, CUdevice device, CUstream stream)
{
	return prefetch(dptr, bytes, location_of(device), 0, stream, true);
}

API(cuMemPrefetchAsync_v2, CUdeviceptr dptr, size_t bytes, CUmemLocation location, unsigned int flags, CUstream stream)
{
	return prefetch(dptr, bytes, location, flags, stream, false);
}

API(cuMemPrefetchAsync_v2_ptsz, CUdeviceptr dptr, size_t bytes, CUmemLocation location, unsigned int flags,
    CUstream stream)
{
	return prefetch(dptr, bytes, location, flags, stream, true);
}

/* Ranges, and where they are to go: each place is for those from its index on. */
struct batch {
	const CUdeviceptr *addresses;
	const size_t *sizes;
	size_t count;
	const CUmemLocation *locations; /* NULL: to no place */
	const size_t *indices;
	size_t location_count;
};

static bool batch_indices_valid(const struct batch *batch)
{
	if (!batch->locations || !batch->indices || !batch->location_count || batch->location_count > batch->count ||
	    batch->indices[0] != 0)
		return false;
	for (size_t i = 1; i < batch->location_count; i++) {
		if (batch->indices[i] <= batch->indices[i - 1] || batch->indices[i] >= batch->count)
			return false;
	}
	return true;
}

/* All that can fail, before anything is done. */
static CUresult batch_check(const struct batch *batch, bool has_locations, unsigned long long flags, CUstream stream,
			    bool per_thread_default)
{
	uint32_t context;
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, &context);

	if (result)
		return result;
	if (!batch->addresses || !batch->sizes || !batch->count || flags ||
	    !copy_batch_stream_valid(stream, per_thread_default) || (has_locations && !batch_indices_valid(batch)))
		return CUDA_ERROR_INVALID_VALUE;
	for (size_t i = 0; !result && i < batch->count; i++) {
		struct memory_range range;

		result = range_find(batch->addresses[i], batch->sizes[i], &range);
	}
	for (size_t i = 0; !result && i < batch->location_count; i++)
		result = location_check(batch->locations[i]);
	return result;
}

static CUresult batch_prefetch(const struct batch *batch, CUstream stream, bool per_thread_default)
{
	size_t place = 0;
	CUresult result = CUDA_SUCCESS;

	for (size_t i = 0; !result && i < batch->count; i++) {
		if (place + 1 < batch->location_count && batch->indices[place + 1] == i)
			place++;
		result = prefetch(batch->addresses[i], batch->sizes[i], batch->locations[place], 0, stream,
				  per_thread_default);
	}
	return result;
}

/*
 * What is discarded may be read as anything until it is written, so its pages
 * need not go: nothing could be gained where they do not move.
 */
static CUresult discard(const struct batch *batch, unsigned long long flags, CUstream stream, bool per_thread_default)
{
	uint32_t stream_number;
	CUresult result = batch_check(batch, false, flags, stream, per_thread_default);

	return result ? result : stream_id(stream, per_thread_default, &stream_number);
}

static CUresult prefetch_batch(const struct batch *batch, unsigned long long flags, CUstream stream,
			       bool per_thread_default)
{
	CUresult result = batch_check(batch, true, flags, stream, per_thread_default);

	return result ? result : batch_prefetch(batch, stream, per_thread_default);
}

API(cuMemDiscardBatchAsync, CUdeviceptr *addresses, size_t *sizes, size_t count, unsigned long long flags,
    CUstream stream)
{
	return discard(&(const struct batch){addresses, sizes, count, NULL, NULL, 0}, flags, stream, false);
}

API(cuMemDiscardBatchAsync_ptsz, CUdeviceptr *addresses, size_t *sizes, size_t count, unsigned long long flags,
    CUstream stream)
{
	return discard(&(const struct batch){addresses, sizes, count, NULL, NULL, 0}, flags, stream, true);
}

#define BATCH_PARAMETERS                                                                                \
	CUdeviceptr *addresses, size_t *sizes, size_t count, CUmemLocation *locations, size_t *indices, \
		size_t location_count, unsigned long long flags, CUstream stream
#define BATCH                                                               \
	&(const struct batch)                                               \
	{                                                                   \
		addresses, sizes, count, locations, indices, location_count \
	}

API(cuMemPrefetchBatchAsync, BATCH_PARAMETERS)
{
	return prefetch_batch(BATCH, flags, stream, false);
}

API(cuMemPrefetchBatchAsync_ptsz, BATCH_PARAMETERS)
{
	return prefetch_batch(BATCH, flags, stream, true);
}

API(cuMemDiscardAndPrefetchBatchAsync, BATCH_PARAMETERS)
{
	return prefetch_batch(BATCH, flags, stream, false);
}

API(cuMemDiscardAndPrefetchBatchAsync_ptsz, BATCH_PARAMETERS)
{
	return prefetch_batch(BATCH, flags, stream, true);
}

static void accessing_set(struct memory_advice *advice, CUmemLocation location, bool is_accessing)
{
	uint64_t bit = location.type == CU_MEM_LOCATION_TYPE_DEVICE ? 1ull << location.id : 0;

	if (!bit)
		advice->is_host_accessing = is_accessing;
	else if (is_accessing)
		advice->accessing |= bit;
	else
		advice->accessing &= ~bit;
}

API(cuMemAdvise_v2, CUdeviceptr dptr, size_t bytes, CUmem_advise advice, CUmemLocation location)
{
	struct memory_range range;
	CUresult result = range_find(dptr, bytes, &range);

	/* The place does not matter for the others (API reference, cuMemAdvise). */
	if (!result && (advice == CU_MEM_ADVISE_SET_PREFERRED_LOCATION || advice == CU_MEM_ADVISE_SET_ACCESSED_BY ||
			advice == CU_MEM_ADVISE_UNSET_ACCESSED_BY))
		result = location_check(location);
	if (result)
		return result;
	switch (advice) {
	case CU_MEM_ADVISE_SET_READ_MOSTLY:
	case CU_MEM_ADVISE_UNSET_READ_MOSTLY:
		range.advice.is_read_mostly = advice == CU_MEM_ADVISE_SET_READ_MOSTLY;
		break;
	case CU_MEM_ADVISE_SET_PREFERRED_LOCATION:
		range.advice.preferred = location;
		break;
	case CU_MEM_ADVISE_UNSET_PREFERRED_LOCATION:
		range.advice.preferred = (CUmemLocation){.type = CU_MEM_LOCATION_TYPE_INVALID};
		break;
	case CU_MEM_ADVISE_SET_ACCESSED_BY:
	case CU_MEM_ADVISE_UNSET_ACCESSED_BY:
		accessing_set(&range.advice, location, advice == CU_MEM_ADVISE_SET_ACCESSED_BY);
		break;
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
	return memory_advise(dptr, &range.advice) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

API(cuMemAdvise, CUdeviceptr dptr, size_t bytes, CUmem_advise advice, CUdevice device)
{
	return cuMemAdvise_v2(dptr, bytes, advice, location_of(device));
}

/* As the first versions of the calls name it. */
static int32_t device_of(CUmemLocation location)
{
	switch (location.type) {
	case CU_MEM_LOCATION_TYPE_DEVICE:
		return location.id;
	case CU_MEM_LOCATION_TYPE_INVALID:
		return CU_DEVICE_INVALID;
	default:
		return CU_DEVICE_CPU;
	}
}

static void accessing_answer(const struct memory_advice *advice, int32_t *answer, size_t count)
{
	size_t given = 0;

	if (advice->is_host_accessing && given < count)
		answer[given++] = CU_DEVICE_CPU;
	for (int device = 0; device < SESSION_DEVICES_MAX && given < count; device++) {
		if (advice->accessing >> device & 1)
			answer[given++] = device;
	}
	while (given < count)
		answer[given++] = CU_DEVICE_INVALID;
}

static CUresult attribute_answer(const struct memory_advice *advice, void *data, size_t data_bytes,
				 CUmem_range_attribute attribute)
{
	int32_t *answer = data;

	if (!data || !data_bytes || data_bytes % sizeof(*answer) ||
	    (attribute != CU_MEM_RANGE_ATTRIBUTE_ACCESSED_BY && data_bytes != sizeof(*answer)))
		return CUDA_ERROR_INVALID_VALUE;
	switch (attribute) {
	case CU_MEM_RANGE_ATTRIBUTE_READ_MOSTLY:
		*answer = advice->is_read_mostly;
		return CUDA_SUCCESS;
	case CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION:
		*answer = device_of(advice->preferred);
		return CUDA_SUCCESS;
	case CU_MEM_RANGE_ATTRIBUTE_ACCESSED_BY:
		accessing_answer(advice, answer, data_bytes / sizeof(*answer));
		return CUDA_SUCCESS;
	case CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION:
		*answer = device_of(advice->prefetched);
		return CUDA_SUCCESS;
	case CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION_TYPE:
		*answer = (int32_t)advice->preferred.type;
		return CUDA_SUCCESS;
	case CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION_ID:
		*answer = advice->preferred.id;
		return CUDA_SUCCESS;
	case CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION_TYPE:
		*answer = (int32_t)advice->prefetched.type;
		return CUDA_SUCCESS;
	case CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION_ID:
		*answer = advice->prefetched.id;
		return CUDA_SUCCESS;
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
}

API(cuMemRangeGetAttribute, void *data, size_t data_bytes, CUmem_range_attribute attribute, CUdeviceptr dptr,
    size_t bytes)
{
	struct memory_range range;
	CUresult result = range_find(dptr, bytes, &range);

	return result ? result : attribute_answer(&range.advice, data, data_bytes, attribute);
}

API(cuMemRangeGetAttributes, void **data, size_t *data_bytes, CUmem_range_attribute *attributes, size_t count,
    CUdeviceptr dptr, size_t bytes)
{
	struct memory_range range;
	CUresult result = range_find(dptr, bytes, &range);

	if (!result && (!data || !data_bytes || !attributes || !count))
		result = CUDA_ERROR_INVALID_VALUE;
	for (size_t i = 0; !result && i < count; i++)
		result = attribute_answer(&range.advice, data[i], data_bytes[i], attributes[i]);
	return result;
}
