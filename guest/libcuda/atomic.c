/* SPDX-License-Identifier: Apache-2.0 */
/* Which atomic operations a link carries. */
#include "context.h"
#include "host_calls.h"
#include "session.h"

/* In place of a device: the host. */
#define PEER_HOST (-1)

/* The host's memory is reached where the executor has it mapped; no operation goes where nothing goes. */
static bool is_reachable(CUdevice peer)
{
	return peer != PEER_HOST || session_shares_memory();
}

static CUresult capabilities_ask(unsigned int *capabilities, const CUatomicOperation *operations, unsigned int count,
				 CUdevice device, CUdevice peer)
{
	uint32_t context;
	CUresult result = call_begin(CALL_NEEDS_INIT, &context);

	if (result)
		return result;
	if (!context_primary(device) || (peer != PEER_HOST && (!context_primary(peer) || peer == device)))
		return CUDA_ERROR_INVALID_DEVICE;
	if (!capabilities || !operations || !count)
		return CUDA_ERROR_INVALID_VALUE;
	for (unsigned int i = 0; i < count; i++) {
		if ((int)operations[i] < CU_ATOMIC_OPERATION_INTEGER_ADD || operations[i] >= CU_ATOMIC_OPERATION_MAX)
			return CUDA_ERROR_INVALID_VALUE;
	}
	for (unsigned int i = 0; i < count; i++) {
		uint32_t capability = 0;

		if (is_reachable(peer))
			result = host_cuDeviceGetP2PAtomicCapabilities(context, &capability, (uint32_t)operations[i],
								       device, peer);
		if (result)
			return result;
		capabilities[i] = capability;
	}
	return CUDA_SUCCESS;
}

API(cuDeviceGetHostAtomicCapabilities, unsigned int *capabilities, const CUatomicOperation *operations,
    unsigned int count, CUdevice device)
{
	return capabilities_ask(capabilities, operations, count, device, PEER_HOST);
}

API(cuDeviceGetP2PAtomicCapabilities, unsigned int *capabilities, const CUatomicOperation *operations,
    unsigned int count, CUdevice source, CUdevice destination)
{
	/* A device of that number would be the host. */
	if (session_ready() && destination < 0)
		return CUDA_ERROR_INVALID_DEVICE;
	return capabilities_ask(capabilities, operations, count, source, destination);
}
