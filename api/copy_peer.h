/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VGPU_COPY_PEER_H
#define VGPU_COPY_PEER_H

#include "cuda_abi.h"

/* The copy of one between contexts, without them. */
static inline CUDA_MEMCPY3D copy_of_peer(const CUDA_MEMCPY3D_PEER *peer)
{
	return (CUDA_MEMCPY3D){
		.srcXInBytes = peer->srcXInBytes,
		.srcY = peer->srcY,
		.srcZ = peer->srcZ,
		.srcLOD = peer->srcLOD,
		.srcMemoryType = peer->srcMemoryType,
		.srcHost = peer->srcHost,
		.srcDevice = peer->srcDevice,
		.srcArray = peer->srcArray,
		.srcPitch = peer->srcPitch,
		.srcHeight = peer->srcHeight,
		.dstXInBytes = peer->dstXInBytes,
		.dstY = peer->dstY,
		.dstZ = peer->dstZ,
		.dstLOD = peer->dstLOD,
		.dstMemoryType = peer->dstMemoryType,
		.dstHost = peer->dstHost,
		.dstDevice = peer->dstDevice,
		.dstArray = peer->dstArray,
		.dstPitch = peer->dstPitch,
		.dstHeight = peer->dstHeight,
		.WidthInBytes = peer->WidthInBytes,
		.Height = peer->Height,
		.Depth = peer->Depth,
	};
}

#endif
