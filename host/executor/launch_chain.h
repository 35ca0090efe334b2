/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Launch chains: kernels that wait in the ring, one behind the other in one stream, given to the driver as one graph.
 *
 * cuLaunchKernel takes 3.1 us whoever calls it; a graph of kernels whose parameters are replaced before each of its
 * launches takes 0.7 us a kernel (H200, driver 580). A program that issues faster than the driver launches leaves
 * kernels waiting in the ring, and where the same sequence of functions comes again and again a graph of it is made.
 * To the program nothing changes: order, results and errors are those of single launches, which remain the way for
 * all else: what waits for nothing, a sequence that is new, a GPU that has not yet done with the graphs that there
 * are, kernels with attributes, streams with a priority or attributes of their own, captures, and time that the
 * scheduler or a limit counts, which wants to see single kernels.
 *
 * A launch that is taken is issued with the last of its chain, or by launch_chain_issue(), before anything else
 * happens: other records, marks, sleep.
 */
#ifndef EXECUTOR_LAUNCH_CHAIN_H
#define EXECUTOR_LAUNCH_CHAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "execute.h"
#include "vgpu_wire.h"

#define LAUNCH_CHAIN_LAUNCHES	    8
#define LAUNCH_CHAIN_GRAPHS	    8	 /* of one sequence, launched in turns */
#define LAUNCH_CHAINS_MAX	    16	 /* sequences */
#define LAUNCH_CHAIN_SEEN	    64	 /* a power of two */
#define LAUNCH_CHAIN_PARAMETERS_MAX 1024 /* bytes of one launch */

struct context;
struct executor;

/* A launch that was taken, with its parameters. */
struct chain_launch {
	struct vgpu_launch launch;
	_Alignas(8) uint8_t parameters[LAUNCH_CHAIN_PARAMETERS_MAX];
	CUfunction function; /* or a CUkernel, by the launch's id */
	struct request request;
};

/* What a graph cannot change at little cost. */
struct chain_kernel {
	CUfunction function;
	uint32_t id; /* as the guest names it */
	uint32_t shared_bytes;
	uint32_t parameter_bytes;
};

struct chain_graph {
	CUgraph graph;
	CUgraphExec exec;
	CUgraphNode nodes[LAUNCH_CHAIN_LAUNCHES];
	CUevent mark; /* behind its last launch; NULL: it has none */
};

struct chain {
	struct context *context;
	struct chain_kernel kernels[LAUNCH_CHAIN_LAUNCHES];
	struct chain_graph graphs[LAUNCH_CHAIN_GRAPHS];
	uint32_t next;
	uint64_t used; /* the number of issues when it was used last */
	bool is_refused;
};

struct launch_chains {
	struct chain_launch launches[LAUNCH_CHAIN_LAUNCHES];
	uint32_t count; /* of launches that are taken and not issued */
	uint32_t row;	/* launches in the same stream of the same context, no other record between */
	uint32_t context;
	CUstream stream;

	struct chain *list[LAUNCH_CHAINS_MAX];
	uint32_t list_count;
	uint64_t issues;
	struct {
		uint64_t hash;
		uint32_t times;
	} seen[LAUNCH_CHAIN_SEEN];
	bool is_off; /* a stream has attributes that a graph's kernels would not get, or kernels read references */
};

/*
 * Takes a launch that is checked, whose function has been launched before. False: it is to be launched by the caller,
 * after launch_chain_issue().
 */
bool launch_chain_take(struct executor *executor, const struct request *request, CUfunction function, CUstream stream);

/* Issues what was taken; failures are noted with their records. */
void launch_chain_issue(struct executor *executor);

/*
 * Before a request is executed that is no launch: issues what was taken, and forgets the graphs of functions and
 * contexts that may end with it.
 */
void launch_chain_end(struct executor *executor, uint16_t opcode);

#endif
