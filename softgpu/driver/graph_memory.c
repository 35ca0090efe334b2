/* SPDX-License-Identifier: Apache-2.0 */
#include "graph_memory.h"

#include <stdlib.h>

#include "arena.h"
#include "device_table.h"
#include "driver.h"
#include "entry.h"
#include "memory.h"

struct memory_work {
	struct work work;
	uint64_t address;
	uint64_t bytes;	 /* of an allocation */
	CUdevice device; /* the same */
};

static CUresult allocation_run(struct work *work, struct stream *stream)
{
	(void)stream;
	(void)memory_set_live(((struct memory_work *)work)->address, true);
	return CUDA_SUCCESS;
}

static void allocation_free(struct work *work)
{
	(void)memory_free(((struct memory_work *)work)->address, MEMORY_MASK(MEMORY_GRAPH), NULL);
	free(work);
}

CUresult graph_allocation_work(CUdevice device, uint64_t bytes, CUdeviceptr *ret_address, struct work **ret_work)
{
	struct memory_range range = {.bytes = bytes, .kind = MEMORY_GRAPH, .device = device};
	struct memory_work *work;
	CUresult result;

	if (!bytes)
		return CUDA_ERROR_INVALID_VALUE;
	work = calloc(1, sizeof(*work));
	if (!work)
		return CUDA_ERROR_OUT_OF_MEMORY;
	result = memory_allocate(&range, ARENA_PAGE_BYTES);
	if (result) {
		free(work);
		return result;
	}
	work->work = (struct work){
		.run = allocation_run,
		.free = allocation_free,
		.node_type = CU_GRAPH_NODE_TYPE_MEM_ALLOC,
	};
	work->address = range.base;
	work->bytes = bytes;
	work->device = device;
	*ret_address = range.base;
	*ret_work = &work->work;
	return CUDA_SUCCESS;
}

void graph_allocation_describe(const struct work *work, CUDA_MEM_ALLOC_NODE_PARAMS *ret_parameters)
{
	*ret_parameters = (CUDA_MEM_ALLOC_NODE_PARAMS){
		.poolProps = {.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
			      .handleTypes = CU_MEM_HANDLE_TYPE_NONE,
			      .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE,
					   .id = ((const struct memory_work *)work)->device}},
		.bytesize = ((const struct memory_work *)work)->bytes,
		.dptr = ((const struct memory_work *)work)->address,
	};
}

CUdeviceptr graph_free_address(const struct work *work)
{
	return ((const struct memory_work *)work)->address;
}

static CUresult free_run(struct work *work, struct stream *stream)
{
	(void)stream;
	(void)memory_set_live(((struct memory_work *)work)->address, false);
	return CUDA_SUCCESS;
}

static void free_free(struct work *work)
{
	(void)memory_set_free_node(((struct memory_work *)work)->address, false);
	free(work);
}

CUresult graph_free_work(CUdeviceptr address, struct work **ret_work)
{
	struct memory_work *work = calloc(1, sizeof(*work));

	if (!work)
		return CUDA_ERROR_OUT_OF_MEMORY;
	if (!memory_set_free_node(address, true)) {
		free(work);
		return CUDA_ERROR_INVALID_VALUE;
	}
	work->work = (struct work){
		.run = free_run,
		.free = free_free,
		.node_type = CU_GRAPH_NODE_TYPE_MEM_FREE,
	};
	work->address = address;
	*ret_work = &work->work;
	return CUDA_SUCCESS;
}

bool graph_body_has_memory(const struct graph_body *body)
{
	for (size_t index = 0; index < body->count; index++) {
		const struct work *work = body->nodes[index].work;

		if (work->node_type == CU_GRAPH_NODE_TYPE_MEM_ALLOC || work->node_type == CU_GRAPH_NODE_TYPE_MEM_FREE)
			return true;
		for (size_t place = 0; place < graph_work_count(work); place++)
			if (graph_body_has_memory(graph_work_body(work, place)))
				return true;
	}
	return false;
}

static CUresult attribute_check(CUdevice device, const void *value)
{
	CUresult result = device_check(device);

	if (result)
		return result;
	return value ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

ENTRY(cuDeviceGetGraphMemAttribute, (CUdevice device, CUgraphMem_attribute attribute, void *ret_value))
{
	CUresult result = attribute_check(device, ret_value);
	struct memory_graph_usage usage;

	if (result)
		return result;
	usage = memory_graph_usage(device);
	switch (attribute) {
	case CU_GRAPH_MEM_ATTR_USED_MEM_CURRENT:
		*(cuuint64_t *)ret_value = usage.used;
		return CUDA_SUCCESS;
	case CU_GRAPH_MEM_ATTR_USED_MEM_HIGH:
		*(cuuint64_t *)ret_value = usage.used_high;
		return CUDA_SUCCESS;
	case CU_GRAPH_MEM_ATTR_RESERVED_MEM_CURRENT:
		*(cuuint64_t *)ret_value = usage.reserved;
		return CUDA_SUCCESS;
	case CU_GRAPH_MEM_ATTR_RESERVED_MEM_HIGH:
		*(cuuint64_t *)ret_value = usage.reserved_high;
		return CUDA_SUCCESS;
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
}

/* The most can only be forgotten. */
ENTRY(cuDeviceSetGraphMemAttribute, (CUdevice device, CUgraphMem_attribute attribute, void *value))
{
	CUresult result = attribute_check(device, value);

	if (result)
		return result;
	if (*(cuuint64_t *)value ||
	    (attribute != CU_GRAPH_MEM_ATTR_USED_MEM_HIGH && attribute != CU_GRAPH_MEM_ATTR_RESERVED_MEM_HIGH))
		return CUDA_ERROR_INVALID_VALUE;
	memory_graph_forget(device, attribute == CU_GRAPH_MEM_ATTR_USED_MEM_HIGH,
			    attribute == CU_GRAPH_MEM_ATTR_RESERVED_MEM_HIGH);
	return CUDA_SUCCESS;
}
