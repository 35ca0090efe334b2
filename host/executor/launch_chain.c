/* SPDX-License-Identifier: Apache-2.0 */
#include "launch_chain.h"

#include <stdlib.h>
#include <string.h>

#include "executor.h"
#include "launch.h"
#include "overhead.h"
#include "vgpu_api_wire.h"

/* The graphs of a chain take half a millisecond to make: as long as 150 launches. */
#define TIMES_BEFORE_MADE 16
/* A chain that was not used for so many issues may make room for another. */
#define ISSUES_UNUSED 4096
/* Before so many launches in a row nobody asks how many more wait. */
#define ROW_MIN 2

_Static_assert(offsetof(struct chain_launch, parameters) == sizeof(struct vgpu_launch),
	       "its parameters lie behind a launch");

static bool driver_can(const struct driver *driver)
{
	return driver->cuGraphCreate && driver->cuGraphAddNode_v2 && driver->cuGraphInstantiateWithFlags &&
	       driver->cuGraphExecNodeSetParams && driver->cuGraphLaunch && driver->cuGraphExecDestroy &&
	       driver->cuGraphDestroy && driver->cuStreamGetPriority;
}

/* Do as many launches wait as make a chain with this one? A guess: others are taken to be as long as it is. */
static bool backlog_is_enough(const struct executor *executor, const struct request *request)
{
	const struct ring *commands = &executor->channel.commands;
	uint64_t bytes = (LAUNCH_CHAIN_LAUNCHES - 1) * (request->payload_bytes + sizeof(struct vgpu_record));

	return commands->other - commands->own >= bytes ||
	       __atomic_load_n(&commands->shared->tail, __ATOMIC_RELAXED) - commands->own >= bytes;
}

/* Graphs take neither the priority nor the attributes of the stream that they are launched in. */
static bool stream_is_plain(const struct executor *executor, CUstream stream)
{
	int priority;

	return !executor->chains.is_off && !executor->driver.cuStreamGetPriority(stream, &priority) && priority == 0;
}

static bool launch_fits_chain(const struct executor *executor, const struct request *request)
{
	const struct vgpu_launch *launch = request->payload;

	return !(request->flags & VGPU_FLAG_REPLY) && !launch->attribute_count && !launch->cooperative &&
	       launch->parameter_bytes <= LAUNCH_CHAIN_PARAMETERS_MAX && !executor->captures.count &&
	       gate_is_free(&executor->gate);
}

static bool chain_begins(const struct executor *executor, const struct request *request, CUstream stream)
{
	const struct context *context = executor->contexts.current;

	return executor->chains.row >= ROW_MIN && context && !context->green && driver_can(&executor->driver) &&
	       backlog_is_enough(executor, request) && stream_is_plain(executor, stream);
}

bool launch_chain_take(struct executor *executor, const struct request *request, CUfunction function, CUstream stream)
{
	struct launch_chains *chains = &executor->chains;
	const struct vgpu_launch *launch = request->payload;
	struct chain_launch *taken;

	if (chains->row && (stream != chains->stream || request->context != chains->context)) {
		launch_chain_issue(executor);
		chains->row = 0;
	}
	chains->stream = stream;
	chains->context = request->context;
	chains->row++;
	if (!launch_fits_chain(executor, request) || (!chains->count && !chain_begins(executor, request, stream)))
		return false;
	taken = &chains->launches[chains->count++];
	taken->launch = *launch;
	memcpy(taken->parameters, launch + 1, launch->parameter_bytes);
	taken->function = function;
	taken->request = *request;
	taken->request.payload = NULL;
	if (chains->count == LAUNCH_CHAIN_LAUNCHES)
		launch_chain_issue(executor);
	return true;
}

static void graph_end(struct executor *executor, struct context *context, struct chain_graph *graph)
{
	if (graph->mark)
		context_mark_give(executor, context, graph->mark);
	if (graph->exec)
		executor->driver.cuGraphExecDestroy(graph->exec);
	if (graph->graph)
		executor->driver.cuGraphDestroy(graph->graph);
	*graph = (struct chain_graph){.mark = NULL};
}

static void chain_free(struct executor *executor, struct chain *chain)
{
	for (size_t i = 0; i < LAUNCH_CHAIN_GRAPHS; i++)
		graph_end(executor, chain->context, &chain->graphs[i]);
	free(chain);
}

/* As a graph's node has it. */
struct chain_node {
	CUgraphNodeParams parameters;
	struct launch_extra extra;
};

static void node_fill(struct chain_node *node, const struct chain_launch *taken)
{
	node->parameters = (CUgraphNodeParams){.type = CU_GRAPH_NODE_TYPE_KERNEL};
	launch_node_fill(&taken->launch, taken->function, &node->extra, &node->parameters.kernel);
}

static CUresult graph_make(struct executor *executor, struct chain_graph *graph)
{
	const struct driver *driver = &executor->driver;
	CUresult result = driver->cuGraphCreate(&graph->graph, 0);

	for (size_t i = 0; !result && i < LAUNCH_CHAIN_LAUNCHES; i++) {
		struct chain_node node;

		node_fill(&node, &executor->chains.launches[i]);
		result = driver->cuGraphAddNode_v2(&graph->nodes[i], graph->graph, i ? &graph->nodes[i - 1] : NULL,
						   NULL, i ? 1 : 0, &node.parameters);
	}
	return result ? result : driver->cuGraphInstantiateWithFlags(&graph->exec, graph->graph, 0);
}

/* A kernel of clusters needs attributes that the nodes of a graph have not. */
static bool function_has_clusters(const struct executor *executor, const struct chain_launch *taken)
{
	const struct driver *driver = &executor->driver;
	int value = 0;
	CUresult result;

	if (VGPU_ID_KIND(taken->launch.function) == VGPU_KIND_KERNEL) {
		result = driver->cuKernelGetAttribute
				 ? driver->cuKernelGetAttribute(&value, CU_FUNC_ATTRIBUTE_CLUSTER_SIZE_MUST_BE_SET,
								(CUkernel)taken->function,
								executor->contexts.current->device)
				 : CUDA_ERROR_NOT_SUPPORTED;
	} else {
		result = driver->cuFuncGetAttribute
				 ? driver->cuFuncGetAttribute(&value, CU_FUNC_ATTRIBUTE_CLUSTER_SIZE_MUST_BE_SET,
							      taken->function)
				 : CUDA_ERROR_NOT_SUPPORTED;
	}
	return result || value;
}

static CUresult graphs_make(struct executor *executor, struct chain *chain)
{
	struct overhead_mark mark;
	CUresult result;

	for (size_t i = 0; i < LAUNCH_CHAIN_LAUNCHES; i++) {
		if (function_has_clusters(executor, &executor->chains.launches[i]))
			return CUDA_ERROR_NOT_SUPPORTED;
	}
	result = overhead_use_begin(executor, &mark);
	if (result)
		return result;
	for (size_t i = 0; !result && i < LAUNCH_CHAIN_GRAPHS; i++)
		result = graph_make(executor, &chain->graphs[i]);
	overhead_use_end(executor, &mark);
	return result;
}

/* Where a new chain may be kept; NULL: all places are in use. */
static struct chain **place_find(struct executor *executor)
{
	struct launch_chains *chains = &executor->chains;

	if (chains->list_count < LAUNCH_CHAINS_MAX)
		return &chains->list[chains->list_count++];
	for (size_t i = 0; i < LAUNCH_CHAINS_MAX; i++) {
		if (chains->issues - chains->list[i]->used < ISSUES_UNUSED)
			continue;
		chain_free(executor, chains->list[i]);
		return &chains->list[i];
	}
	return NULL;
}

static uint64_t kernels_hash(const struct chain_kernel *kernels, const struct context *context)
{
	const uint64_t prime = 0x100000001b3; /* FNV-1a, a word at a time */
	uint64_t hash = 0xcbf29ce484222325 ^ context->id;

	for (size_t i = 0; i < LAUNCH_CHAIN_LAUNCHES; i++) {
		hash = (hash ^ kernels[i].id) * prime;
		hash = (hash ^ kernels[i].shared_bytes) * prime;
		hash = (hash ^ kernels[i].parameter_bytes) * prime;
	}
	return hash ^ hash >> 32;
}

static bool kernels_are_same(const struct chain_kernel *some, const struct chain_kernel *others)
{
	for (size_t i = 0; i < LAUNCH_CHAIN_LAUNCHES; i++) {
		if (some[i].function != others[i].function || some[i].id != others[i].id ||
		    some[i].shared_bytes != others[i].shared_bytes ||
		    some[i].parameter_bytes != others[i].parameter_bytes)
			return false;
	}
	return true;
}

/* Has the sequence come often enough? */
static bool sequence_is_known(struct launch_chains *chains, const struct chain_kernel *kernels,
			      const struct context *context)
{
	uint64_t hash = kernels_hash(kernels, context);
	uint32_t place = (uint32_t)hash & (LAUNCH_CHAIN_SEEN - 1);

	if (chains->seen[place].hash != hash) {
		chains->seen[place].hash = hash;
		chains->seen[place].times = 0;
	}
	return ++chains->seen[place].times >= TIMES_BEFORE_MADE;
}

static struct chain *chain_make(struct executor *executor, struct context *context, const struct chain_kernel *kernels)
{
	struct launch_chains *chains = &executor->chains;
	struct chain **place;
	struct chain *chain;

	if (!sequence_is_known(chains, kernels, context))
		return NULL;
	chain = calloc(1, sizeof(*chain));
	place = chain ? place_find(executor) : NULL;
	if (!place) {
		free(chain);
		return NULL;
	}
	chain->context = context;
	memcpy(chain->kernels, kernels, sizeof(chain->kernels));
	chain->is_refused = graphs_make(executor, chain) != CUDA_SUCCESS;
	*place = chain;
	return chain;
}

static struct chain *chain_find(struct executor *executor, struct context *context)
{
	struct launch_chains *chains = &executor->chains;
	struct chain_kernel kernels[LAUNCH_CHAIN_LAUNCHES];

	for (size_t i = 0; i < LAUNCH_CHAIN_LAUNCHES; i++) {
		const struct chain_launch *taken = &chains->launches[i];

		kernels[i] = (struct chain_kernel){
			.function = taken->function,
			.id = taken->launch.function,
			.shared_bytes = taken->launch.shared_bytes,
			.parameter_bytes = taken->launch.parameter_bytes,
		};
	}
	for (uint32_t i = 0; i < chains->list_count; i++) {
		struct chain *chain = chains->list[i];

		if (chain->context == context && kernels_are_same(chain->kernels, kernels))
			return chain;
	}
	return chain_make(executor, context, kernels);
}

static bool graph_is_free(struct executor *executor, struct context *context, struct chain_graph *graph)
{
	if (!graph->mark)
		return true;
	if (executor->driver.cuEventQuery(graph->mark))
		return false;
	context_mark_give(executor, context, graph->mark);
	graph->mark = NULL;
	return true;
}

/* False: nothing was launched. */
static bool chain_launch(struct executor *executor, struct context *context)
{
	const struct driver *driver = &executor->driver;
	struct launch_chains *chains = &executor->chains;
	struct chain *chain = chain_find(executor, context);
	struct chain_graph *graph;

	if (!chain || chain->is_refused)
		return false;
	chain->used = chains->issues;
	graph = &chain->graphs[chain->next % LAUNCH_CHAIN_GRAPHS];
	if (!graph_is_free(executor, context, graph))
		return false;
	for (size_t i = 0; i < LAUNCH_CHAIN_LAUNCHES; i++) {
		struct chain_node node;

		node_fill(&node, &chains->launches[i]);
		/* What is wrong with it is told where it is launched alone. */
		if (driver->cuGraphExecNodeSetParams(graph->exec, graph->nodes[i], &node.parameters))
			return false;
	}
	if (driver->cuGraphLaunch(graph->exec, chains->stream))
		return false;
	chain->next++;
	counter_add(&executor->counters->launches_chained, LAUNCH_CHAIN_LAUNCHES);
	if (context_mark_take(executor, context, chains->stream, &graph->mark)) {
		/* Nobody can know when its parameters may be replaced. */
		graph->mark = NULL;
		chain->is_refused = true;
	}
	return true;
}

void launch_chain_issue(struct executor *executor)
{
	struct launch_chains *chains = &executor->chains;
	uint32_t current = executor->contexts.current ? executor->contexts.current->id : 0;
	struct context *context;

	if (!chains->count)
		return;
	context = context_enter(executor, chains->context);
	chains->issues++;
	if (!context || chains->count < LAUNCH_CHAIN_LAUNCHES || !chain_launch(executor, context)) {
		for (uint32_t i = 0; i < chains->count; i++) {
			struct chain_launch *taken = &chains->launches[i];
			CUresult result = launch_issue(executor, &taken->launch, taken->function, chains->stream);

			if (result)
				reply_failure_note(executor, &taken->request, result);
		}
	}
	chains->count = 0;
	context_enter(executor, current);
}

static bool opcode_ends_chains(uint16_t opcode)
{
	switch (opcode) {
	case VGPU_CALL_cuModuleUnload:
	case VGPU_CALL_cuLibraryUnload:
	case VGPU_CALL_cuFuncSetAttribute:
	case VGPU_CALL_cuFuncSetCacheConfig:
	case VGPU_CALL_cuKernelSetAttribute:
	case VGPU_CALL_cuKernelSetCacheConfig:
	case VGPU_CALL_cuCtxSetCacheConfig:
	case VGPU_CALL_cuCtxDestroy_v2:
	case VGPU_CALL_cuDevicePrimaryCtxRelease_v2:
	case VGPU_CALL_cuDevicePrimaryCtxReset_v2:
		return true;
	default:
		return false;
	}
}

void launch_chain_end(struct executor *executor, uint16_t opcode)
{
	struct launch_chains *chains = &executor->chains;

	launch_chain_issue(executor);
	chains->row = 0;
	if (opcode == VGPU_CALL_cuStreamSetAttribute || opcode == VGPU_CALL_cuModuleGetTexRef ||
	    opcode == VGPU_CALL_cuModuleGetSurfRef)
		chains->is_off = true;
	if (!chains->list_count || !opcode_ends_chains(opcode))
		return;
	for (uint32_t i = 0; i < chains->list_count; i++)
		chain_free(executor, chains->list[i]);
	chains->list_count = 0;
	memset(chains->seen, 0, sizeof(chains->seen));
}
