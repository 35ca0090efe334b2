/* SPDX-License-Identifier: Apache-2.0 */
/* cuStreamGetAttribute, cuStreamSetAttribute, cuStreamCopyAttributes: hints, kept and given back. */
#include <string.h>

#include "driver.h"
#include "entry.h"
#include "stream.h"

static CUresult stream_get(CUstream handle, struct stream **ret_stream)
{
	struct context *context;
	CUresult result = context_current(&context);

	return result ? result : stream_acquire(context, handle, ret_stream);
}

ENTRY_STREAM(cuStreamGetAttribute, (CUstream stream, CUstreamAttrID name, CUstreamAttrValue *ret_value),
	     (stream, name, ret_value))
{
	struct stream_attributes attributes;
	CUstreamAttrValue value;
	struct stream *target;
	CUresult result = stream_get(stream, &target);

	if (result)
		return result;
	memset(&value, 0, sizeof(value));
	attributes = stream_attributes_read(target);
	switch (name) {
	case CU_LAUNCH_ATTRIBUTE_ACCESS_POLICY_WINDOW:
		value.accessPolicyWindow = attributes.window;
		break;
	case CU_LAUNCH_ATTRIBUTE_SYNCHRONIZATION_POLICY:
		value.syncPolicy = attributes.synchronization;
		break;
	case CU_LAUNCH_ATTRIBUTE_PRIORITY:
		value.priority = target->priority;
		break;
	case CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN_MAP:
		value.memSyncDomainMap = attributes.domain_map;
		break;
	case CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN:
		value.memSyncDomain = attributes.domain;
		break;
	default:
		result = CUDA_ERROR_INVALID_VALUE;
	}
	if (!ret_value)
		result = CUDA_ERROR_INVALID_VALUE;
	if (!result)
		*ret_value = value;
	stream_release(target);
	return result;
}

static CUresult attribute_store(struct stream_attributes *attributes, CUstreamAttrID name,
				const CUstreamAttrValue *value)
{
	switch (name) {
	case CU_LAUNCH_ATTRIBUTE_ACCESS_POLICY_WINDOW:
		attributes->window = value->accessPolicyWindow;
		return CUDA_SUCCESS;
	case CU_LAUNCH_ATTRIBUTE_SYNCHRONIZATION_POLICY:
		if (value->syncPolicy < CU_SYNC_POLICY_AUTO || value->syncPolicy > CU_SYNC_POLICY_BLOCKING_SYNC)
			return CUDA_ERROR_INVALID_VALUE;
		attributes->synchronization = value->syncPolicy;
		return CUDA_SUCCESS;
	case CU_LAUNCH_ATTRIBUTE_PRIORITY:
		return CUDA_SUCCESS; /* clamped to the range, which is a single value */
	case CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN_MAP:
		/* There is one domain. */
		return value->memSyncDomainMap.default_ || value->memSyncDomainMap.remote ? CUDA_ERROR_INVALID_VALUE
											  : CUDA_SUCCESS;
	case CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN:
		if ((unsigned)value->memSyncDomain > CU_LAUNCH_MEM_SYNC_DOMAIN_REMOTE)
			return CUDA_ERROR_INVALID_VALUE;
		attributes->domain = value->memSyncDomain;
		return CUDA_SUCCESS;
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
}

ENTRY_STREAM(cuStreamSetAttribute, (CUstream stream, CUstreamAttrID name, const CUstreamAttrValue *value),
	     (stream, name, value))
{
	struct stream_attributes attributes;
	struct stream *target;
	CUresult result = stream_get(stream, &target);

	if (result)
		return result;
	attributes = stream_attributes_read(target);
	result = value ? attribute_store(&attributes, name, value) : CUDA_ERROR_INVALID_VALUE;
	if (!result)
		stream_attributes_write(target, &attributes);
	stream_release(target);
	return result;
}

static CUresult attributes_copy(CUstream destination, CUstream source)
{
	struct stream_attributes attributes;
	struct stream *from, *to;
	CUresult result = stream_get(source, &from);

	if (result)
		return result;
	result = stream_get(destination, &to);
	if (!result) {
		attributes = stream_attributes_read(from);
		stream_attributes_write(to, &attributes);
		stream_release(to);
	}
	stream_release(from);
	return result;
}

ENTRY(cuStreamCopyAttributes, (CUstream destination, CUstream source))
{
	return attributes_copy(destination, source);
}

ENTRY(cuStreamCopyAttributes_ptsz, (CUstream destination, CUstream source))
{
	return attributes_copy(destination ? destination : CU_STREAM_PER_THREAD,
			       source ? source : CU_STREAM_PER_THREAD);
}
