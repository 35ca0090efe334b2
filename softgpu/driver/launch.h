/* SPDX-License-Identifier: Apache-2.0 */
/* Launches as nodes of graphs. */
#ifndef SOFTGPU_DRIVER_LAUNCH_H
#define SOFTGPU_DRIVER_LAUNCH_H

#include "stream.h"

/* The launch that a kernel node describes, in the current context.  The work is the caller's. */
CUresult launch_work_make(const CUDA_KERNEL_NODE_PARAMS *parameters, struct work **ret_work);

/* The same of a cooperative launch in the stream, and its context. */
CUresult launch_work_cooperative(const CUDA_LAUNCH_PARAMS *parameters, const struct stream *stream,
				 struct work **ret_work);

/* What would make such a node; it points into the work. */
void launch_work_describe(struct work *work, CUDA_KERNEL_NODE_PARAMS *ret_parameters);

/* Attributes of the node, which a change of its parameters leaves as they are. */
CUresult launch_work_inherit(struct work *work, const struct work *from);

/* A copy with one attribute more, or changed.  The work is the caller's. */
CUresult launch_work_with(const struct work *from, const CUlaunchAttribute *attribute, struct work **ret_work);
void launch_work_attribute(const struct work *work, CUlaunchAttributeID id, CUlaunchAttributeValue *ret_value);

#endif
