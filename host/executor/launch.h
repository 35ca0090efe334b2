/* SPDX-License-Identifier: Apache-2.0 */
/* Kernel launches, and what a guest has to know of a kernel to launch it. */
#ifndef EXECUTOR_LAUNCH_H
#define EXECUTOR_LAUNCH_H

#include <stdbool.h>

#include "execute.h"

/* In the cache of a function's or kernel's handle: the driver has loaded it. */
#define LAUNCHED 1u

/* Are the parameters and attributes that the launch claims within the 'bytes' that came? */
bool launch_fits(const struct vgpu_launch *launch, size_t bytes);

/* Replaces the wire id in an attribute by the event; refuses attributes that hold other pointers. */
CUresult launch_attribute_translate(struct executor *executor, const struct vgpu_launch_attribute *wire,
				    CUlaunchAttribute *ret_attribute);

/* The parameters that lie behind a launch, as the driver takes them. Not moved once it is filled. */
struct launch_extra {
	void *values[5];
	size_t bytes;
};

/* What a launch is as a graph's node, of a function or, as its id says, of a kernel. It names 'extra'. */
void launch_node_fill(const struct vgpu_launch *launch, CUfunction function, struct launch_extra *extra,
		      CUDA_KERNEL_NODE_PARAMS *ret_kernel);

/* The driver's own launch, of one that fits; its parameters lie behind it. */
CUresult launch_issue(struct executor *executor, const struct vgpu_launch *launch, CUfunction function,
		      CUstream stream);

CUresult launch_execute(struct executor *executor, const struct request *request);
CUresult function_info_execute(struct executor *executor, const struct request *request, struct reply *reply);

#endif
