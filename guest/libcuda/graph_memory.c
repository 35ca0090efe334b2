/* SPDX-License-Identifier: Apache-2.0 */
/* How much memory graphs have. */
#include "context.h"
#include "host_calls.h"
#include "session.h"

/* All attributes have 64 bits (API reference, CUgraphMem_attribute). */
static CUresult attribute_check(CUdevice device, CUgraphMem_attribute attribute, const void *value,
				uint32_t *ret_context)
{
	CUresult result = call_begin(CALL_NEEDS_INIT, ret_context);

	if (result)
		return result;
	if (!context_primary(device))
		return CUDA_ERROR_INVALID_DEVICE;
	return !value || attribute > CU_GRAPH_MEM_ATTR_RESERVED_MEM_HIGH ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

API(cuDeviceGetGraphMemAttribute, CUdevice device, CUgraphMem_attribute attribute, void *ret_value)
{
	uint32_t context;
	uint64_t value;
	CUresult result = attribute_check(device, attribute, ret_value, &context);

	if (!result)
		result = host_cuDeviceGetGraphMemAttribute(context, device, (uint32_t)attribute, &value);
	if (!result)
		*(cuuint64_t *)ret_value = value;
	return result;
}

API(cuDeviceSetGraphMemAttribute, CUdevice device, CUgraphMem_attribute attribute, void *value)
{
	uint32_t context;
	CUresult result = attribute_check(device, attribute, value, &context);

	return result ? result
		      : host_cuDeviceSetGraphMemAttribute(context, device, (uint32_t)attribute, *(cuuint64_t *)value);
}
