/* SPDX-License-Identifier: Apache-2.0 */
/* Kernel launches, and what a guest has to know of a kernel to launch it. */
#ifndef EXECUTOR_LAUNCH_H
#define EXECUTOR_LAUNCH_H

#include "execute.h"

CUresult launch_execute(struct executor *executor, const struct request *request);
CUresult function_info_execute(struct executor *executor, const struct request *request, struct reply *reply);

#endif
