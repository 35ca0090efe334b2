/* SPDX-License-Identifier: Apache-2.0 */
/* Stream capture: keeps the executor's own marks out of it. */
#ifndef EXECUTOR_CAPTURE_H
#define EXECUTOR_CAPTURE_H

#include "execute.h"

/* The driver's number of the capture that the stream is in; 0: it is in none. */
CUresult capture_find(struct executor *executor, CUstream stream, uint64_t *ret_capture);

/* CUDA_SUCCESS if an event may be recorded in the stream without becoming part of a graph. */
CUresult capture_check(struct executor *executor, CUstream stream);

#endif
