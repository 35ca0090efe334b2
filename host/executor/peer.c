/* SPDX-License-Identifier: Apache-2.0 */
/* Access and copies between devices. */
#include "executor.h"
#include "executor_calls.h"

CUresult execute_cuCtxEnablePeerAccess(struct executor *executor, const struct request *request,
				       const struct wire_cuCtxEnablePeerAccess *arguments)
{
	const struct context *peer = context_find(executor, arguments->peerContext);

	(void)request;
	if (!peer)
		return CUDA_ERROR_INVALID_CONTEXT;
	if (!executor->driver.cuCtxEnablePeerAccess)
		return CUDA_ERROR_NOT_SUPPORTED;
	return executor->driver.cuCtxEnablePeerAccess(peer->object, arguments->Flags);
}

CUresult execute_cuCtxDisablePeerAccess(struct executor *executor, const struct request *request,
					const struct wire_cuCtxDisablePeerAccess *arguments)
{
	const struct context *peer = context_find(executor, arguments->peerContext);

	(void)request;
	if (!peer)
		return CUDA_ERROR_INVALID_CONTEXT;
	if (!executor->driver.cuCtxDisablePeerAccess)
		return CUDA_ERROR_NOT_SUPPORTED;
	return executor->driver.cuCtxDisablePeerAccess(peer->object);
}

CUresult execute_cuMemcpyPeerAsync(struct executor *executor, const struct request *request,
				   const struct wire_cuMemcpyPeerAsync *arguments)
{
	const struct context *destination = context_find(executor, arguments->dstContext);
	const struct context *source = context_find(executor, arguments->srcContext);
	CUstream stream;
	CUresult result = execute_find_stream(executor, arguments->hStream, &stream);

	(void)request;
	if (result)
		return result;
	if (!destination || !source)
		return CUDA_ERROR_INVALID_CONTEXT;
	if (!executor->driver.cuMemcpyPeerAsync)
		return CUDA_ERROR_NOT_SUPPORTED;
	return executor->driver.cuMemcpyPeerAsync(arguments->dstDevice, destination->object, arguments->srcDevice,
						  source->object, arguments->ByteCount, stream);
}

CUresult execute_cuMemcpyPeer(struct executor *executor, const struct request *request,
			      const struct wire_cuMemcpyPeer *arguments)
{
	const struct context *destination = context_find(executor, arguments->dstContext);
	const struct context *source = context_find(executor, arguments->srcContext);
	CUstream stream;
	CUresult result = execute_find_stream(executor, 0, &stream);

	(void)request;
	if (result)
		return result;
	if (!destination || !source)
		return CUDA_ERROR_INVALID_CONTEXT;
	if (!executor->driver.cuMemcpyPeer)
		return CUDA_ERROR_NOT_SUPPORTED;
	return executor->driver.cuMemcpyPeer(arguments->dstDevice, destination->object, arguments->srcDevice,
					     source->object, arguments->ByteCount);
}

/* A negative peer is the host. */
CUresult execute_cuDeviceGetP2PAtomicCapabilities(struct executor *executor, const struct request *request,
						  const struct wire_cuDeviceGetP2PAtomicCapabilities *arguments,
						  struct wire_cuDeviceGetP2PAtomicCapabilities_reply *reply)
{
	const struct driver *driver = &executor->driver;
	CUatomicOperation operation = (CUatomicOperation)arguments->operation;
	unsigned int capabilities = 0;
	CUresult result;

	(void)request;
	if (arguments->operation >= CU_ATOMIC_OPERATION_MAX)
		return CUDA_ERROR_INVALID_VALUE;
	if (!driver->cuDeviceGetHostAtomicCapabilities || !driver->cuDeviceGetP2PAtomicCapabilities)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (arguments->dstDevice < 0)
		result = driver->cuDeviceGetHostAtomicCapabilities(&capabilities, &operation, 1, arguments->srcDevice);
	else
		result = driver->cuDeviceGetP2PAtomicCapabilities(&capabilities, &operation, 1, arguments->srcDevice,
								  arguments->dstDevice);
	reply->capabilities = capabilities;
	return result;
}
