/* SPDX-License-Identifier: Apache-2.0 */
/* What programs share that run graphs in one stream, which is theirs. */
#ifndef TEST_GRAPH_RUN_H
#define TEST_GRAPH_RUN_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cuda_abi.h"
#include "graph_calls.h"

#define WORKS(call) assert_int_equal(call, CUDA_SUCCESS)

extern CUstream stream;

CUgraphExec instantiate(CUgraph graph);
/* Until it is done. */
void run(CUgraphExec exec);

#endif
