/* SPDX-License-Identifier: Apache-2.0 */
/* cuMemcpy3D, and between contexts. */
#include "context.h"
#include "copy.h"
#include "copy_peer.h"
#include "host_calls.h"

API(cuMemcpy3D_v2, const CUDA_MEMCPY3D *copy)
{
	return copy_shape(copy, NULL, false, true);
}

API(cuMemcpy3D_v2_ptds, const CUDA_MEMCPY3D *copy)
{
	return copy_shape(copy, NULL, true, true);
}

API(cuMemcpy3DAsync_v2, const CUDA_MEMCPY3D *copy, CUstream stream)
{
	return copy_shape(copy, stream, false, false);
}

API(cuMemcpy3DAsync_v2_ptsz, const CUDA_MEMCPY3D *copy, CUstream stream)
{
	return copy_shape(copy, stream, true, false);
}

/* What either context does later comes after the copy (API reference, cuMemcpy3DPeer). */
static CUresult copy_end_await(bool per_thread_default)
{
	uint32_t context, stream;
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, &context);

	if (!result)
		result = stream_id(NULL, per_thread_default, &stream);
	return result ? result : host_cuStreamSynchronize(context, stream);
}

/* Contexts of one device share its memory, so that the copy is an ordinary one. */
static CUresult copy_3d_peer(const CUDA_MEMCPY3D_PEER *peer, CUstream stream, bool per_thread_default, bool waits)
{
	struct object *from, *to;
	struct copy_peers peers;
	CUDA_MEMCPY3D copy;
	CUresult result;

	if (!peer)
		return copy_shape(NULL, stream, per_thread_default, waits);
	result = context_of(peer->srcContext, &from);
	if (!result)
		result = context_of(peer->dstContext, &to);
	if (result)
		return result;
	peers = (struct copy_peers){.source = from->id, .destination = to->id};
	copy = copy_of_peer(peer);
	result = copy_shape_between(&copy, from->words[CONTEXT_DEVICE] == to->words[CONTEXT_DEVICE] ? NULL : &peers,
				    stream, per_thread_default, waits);
	return result || !waits ? result : copy_end_await(per_thread_default);
}

API(cuMemcpy3DPeer, const CUDA_MEMCPY3D_PEER *copy)
{
	return copy_3d_peer(copy, NULL, false, true);
}

API(cuMemcpy3DPeer_ptds, const CUDA_MEMCPY3D_PEER *copy)
{
	return copy_3d_peer(copy, NULL, true, true);
}

API(cuMemcpy3DPeerAsync, const CUDA_MEMCPY3D_PEER *copy, CUstream stream)
{
	return copy_3d_peer(copy, stream, false, false);
}

API(cuMemcpy3DPeerAsync_ptsz, const CUDA_MEMCPY3D_PEER *copy, CUstream stream)
{
	return copy_3d_peer(copy, stream, true, false);
}
