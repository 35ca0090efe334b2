/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cuGraphDebugDotPrint: a graph as graphviz reads it, written by the program itself, with its rights, from what the
 * guest knows of the graph and can ask of it.  The names of graphs and nodes, and the heads of the labels, are those
 * that tools look for in the driver's own files.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "function.h"
#include "graph_node.h"
#include "host_calls.h"

#define FLAGS_KNOWN 0xffffu

struct dot {
	FILE *file;
	unsigned int flags;
	uint32_t context;
	/* What is written, one after the other: the graph, and those that are embedded; each has its place as number.
	 */
	struct object **graphs;
	size_t count;
	size_t capacity;
};

/* The number of a graph that is to be written; 0: out of memory. */
static size_t graph_number(struct dot *dot, struct object *graph)
{
	if (dot->count == dot->capacity) {
		size_t capacity = dot->capacity ? 2 * dot->capacity : 16;
		struct object **grown = realloc(dot->graphs, capacity * sizeof(struct object *));

		if (!grown)
			return 0;
		dot->graphs = grown;
		dot->capacity = capacity;
	}
	dot->graphs[dot->count++] = graph;
	return dot->count;
}

static const char *type_name(CUgraphNodeType type)
{
	static const char *const names[] = {
		[CU_GRAPH_NODE_TYPE_KERNEL] = "KERNEL",
		[CU_GRAPH_NODE_TYPE_MEMCPY] = "MEMCPY",
		[CU_GRAPH_NODE_TYPE_MEMSET] = "MEMSET",
		[CU_GRAPH_NODE_TYPE_HOST] = "HOST",
		[CU_GRAPH_NODE_TYPE_GRAPH] = "GRAPH",
		[CU_GRAPH_NODE_TYPE_EMPTY] = "EMPTY",
		[CU_GRAPH_NODE_TYPE_WAIT_EVENT] = "EVENT_WAIT",
		[CU_GRAPH_NODE_TYPE_EVENT_RECORD] = "EVENT_RECORD",
		[CU_GRAPH_NODE_TYPE_MEM_ALLOC] = "MEM_ALLOC",
		[CU_GRAPH_NODE_TYPE_MEM_FREE] = "MEM_FREE",
		[CU_GRAPH_NODE_TYPE_BATCH_MEM_OP] = "BATCH_MEM_OP",
		[CU_GRAPH_NODE_TYPE_CONDITIONAL] = "CONDITIONAL",
	};

	return (size_t)type < sizeof(names) / sizeof(names[0]) && names[type] ? names[type] : "UNKNOWN";
}

/* The flag that asks for the parameters of a type; 0: there is none. */
static unsigned int type_flag(CUgraphNodeType type)
{
	switch (type) {
	case CU_GRAPH_NODE_TYPE_KERNEL:
		return CU_GRAPH_DEBUG_DOT_FLAGS_KERNEL_NODE_PARAMS | CU_GRAPH_DEBUG_DOT_FLAGS_KERNEL_NODE_ATTRIBUTES;
	case CU_GRAPH_NODE_TYPE_MEMCPY:
		return CU_GRAPH_DEBUG_DOT_FLAGS_MEMCPY_NODE_PARAMS;
	case CU_GRAPH_NODE_TYPE_MEMSET:
		return CU_GRAPH_DEBUG_DOT_FLAGS_MEMSET_NODE_PARAMS;
	case CU_GRAPH_NODE_TYPE_HOST:
		return CU_GRAPH_DEBUG_DOT_FLAGS_HOST_NODE_PARAMS;
	case CU_GRAPH_NODE_TYPE_WAIT_EVENT:
	case CU_GRAPH_NODE_TYPE_EVENT_RECORD:
		return CU_GRAPH_DEBUG_DOT_FLAGS_EVENT_NODE_PARAMS;
	case CU_GRAPH_NODE_TYPE_MEM_ALLOC:
		return CU_GRAPH_DEBUG_DOT_FLAGS_MEM_ALLOC_NODE_PARAMS;
	case CU_GRAPH_NODE_TYPE_MEM_FREE:
		return CU_GRAPH_DEBUG_DOT_FLAGS_MEM_FREE_NODE_PARAMS;
	case CU_GRAPH_NODE_TYPE_BATCH_MEM_OP:
		return CU_GRAPH_DEBUG_DOT_FLAGS_BATCH_MEM_OP_NODE_PARAMS;
	case CU_GRAPH_NODE_TYPE_CONDITIONAL:
		return CU_GRAPH_DEBUG_DOT_FLAGS_CONDITIONAL_NODE_PARAMS;
	default:
		return 0;
	}
}

/* Within the quotes of a label, whatever the program has called its kernel. */
static void text_write(const struct dot *dot, const char *text)
{
	for (; *text; text++) {
		if (strchr("\"\\{}|<> ", *text))
			fputc('\\', dot->file);
		fputc(*text, dot->file);
	}
}

static const char *kernel_name(const CUDA_KERNEL_NODE_PARAMS *kernel)
{
	const struct function *function =
		function_find(kernel->func ? (const void *)kernel->func : (const void *)kernel->kern);

	return function ? function->name : "?";
}

/* As the driver does it: what has one dimension is one number. */
static void extent_write(const struct dot *dot, unsigned int x, unsigned int y, unsigned int z)
{
	if (y == 1 && z == 1)
		fprintf(dot->file, "%u,", x);
	else
		fprintf(dot->file, "\\{%u,%u,%u\\},", x, y, z);
}

/* The name, and how it is launched. */
static void launch_write(const struct dot *dot, const CUDA_KERNEL_NODE_PARAMS *kernel)
{
	text_write(dot, kernel_name(kernel));
	fputs("\\<\\<\\<", dot->file);
	extent_write(dot, kernel->gridDimX, kernel->gridDimY, kernel->gridDimZ);
	extent_write(dot, kernel->blockDimX, kernel->blockDimY, kernel->blockDimZ);
	fprintf(dot->file, "%u\\>\\>\\>", kernel->sharedMemBytes);
}

static void kernel_write(const struct dot *dot, const CUDA_KERNEL_NODE_PARAMS *kernel)
{
	fprintf(dot->file, "| {{gridDim | blockDim | sharedMemBytes} | {%u,%u,%u | %u,%u,%u | %u}}\n", kernel->gridDimX,
		kernel->gridDimY, kernel->gridDimZ, kernel->blockDimX, kernel->blockDimY, kernel->blockDimZ,
		kernel->sharedMemBytes);
}

/* Those that the host tells; the others are passed over. */
static void attributes_write(const struct dot *dot, const struct graph_node *node)
{
	CUkernelNodeAttrValue value;
	uint32_t id = node->object->id, bytes;

	if (!host_cuGraphKernelNodeGetAttribute(dot->context, id, CU_LAUNCH_ATTRIBUTE_ACCESS_POLICY_WINDOW, &value,
						sizeof(value), &bytes) &&
	    bytes == sizeof(value))
		fprintf(dot->file,
			"| {accessPolicyWindow | {base_ptr | num_bytes | hitRatio | hitProp | missProp} | "
			"{0x%016" PRIXPTR " | %zu | %f | %u | %u}}\n",
			(uintptr_t)value.accessPolicyWindow.base_ptr, value.accessPolicyWindow.num_bytes,
			(double)value.accessPolicyWindow.hitRatio, (unsigned)value.accessPolicyWindow.hitProp,
			(unsigned)value.accessPolicyWindow.missProp);
	if (!host_cuGraphKernelNodeGetAttribute(dot->context, id, CU_LAUNCH_ATTRIBUTE_COOPERATIVE, &value,
						sizeof(value), &bytes) &&
	    bytes == sizeof(value))
		fprintf(dot->file, "| {cooperative | %d}\n", value.cooperative);
	if (!host_cuGraphKernelNodeGetAttribute(dot->context, id, CU_LAUNCH_ATTRIBUTE_PRIORITY, &value, sizeof(value),
						&bytes) &&
	    bytes == sizeof(value))
		fprintf(dot->file, "| {priority | %d}\n", value.priority);
}

static void side_write(const struct dot *dot, const char *name, CUmemorytype type, const void *host,
		       CUdeviceptr address, CUarray array)
{
	const char *kind = type == CU_MEMORYTYPE_HOST	  ? "HOST"
			   : type == CU_MEMORYTYPE_DEVICE ? "DEVICE"
			   : type == CU_MEMORYTYPE_ARRAY  ? "ARRAY"
							  : "UNIFIED";
	uintptr_t value = type == CU_MEMORYTYPE_HOST	? (uintptr_t)host
			  : type == CU_MEMORYTYPE_ARRAY ? (uintptr_t)array
							: (uintptr_t)address;

	fprintf(dot->file, "| {%s | %s | 0x%016" PRIXPTR "}\n", name, kind, value);
}

static void copy_write(const struct dot *dot, const CUDA_MEMCPY3D *copy)
{
	side_write(dot, "src", copy->srcMemoryType, copy->srcHost, copy->srcDevice, copy->srcArray);
	side_write(dot, "dst", copy->dstMemoryType, copy->dstHost, copy->dstDevice, copy->dstArray);
	fprintf(dot->file, "| {{srcPitch | srcHeight | dstPitch | dstHeight} | {%zu | %zu | %zu | %zu}}\n",
		copy->srcPitch, copy->srcHeight, copy->dstPitch, copy->dstHeight);
	fprintf(dot->file, "| {{WidthInBytes | Height | Depth} | {%zu | %zu | %zu}}\n", copy->WidthInBytes,
		copy->Height, copy->Depth);
}

static void conditional_write(const struct dot *dot, const CUDA_CONDITIONAL_NODE_PARAMS *conditional)
{
	static const char *const names[] = {
		[CU_GRAPH_COND_TYPE_IF] = "IF",
		[CU_GRAPH_COND_TYPE_WHILE] = "WHILE",
		[CU_GRAPH_COND_TYPE_SWITCH] = "SWITCH",
	};

	fprintf(dot->file, "| {{handle | type | size} | {0x%016" PRIX64 " | %s | %u}}\n", conditional->handle,
		names[conditional->type], conditional->size);
}

static void parameters_write(const struct dot *dot, const struct graph_node *node)
{
	const CUgraphNodeParams *parameters = &node->content->parameters;
	FILE *file = dot->file;

	switch (node->type) {
	case CU_GRAPH_NODE_TYPE_KERNEL:
		if (dot->flags & CU_GRAPH_DEBUG_DOT_FLAGS_KERNEL_NODE_PARAMS)
			kernel_write(dot, &parameters->kernel);
		break;
	case CU_GRAPH_NODE_TYPE_MEMCPY:
		copy_write(dot, &parameters->memcpy.copyParams);
		break;
	case CU_GRAPH_NODE_TYPE_MEMSET:
		fprintf(file,
			"| {{dptr | pitch | value | elementSize | width | height} | "
			"{0x%016" PRIX64 " | %zu | %u | %u | %zu | %zu}}\n",
			(uint64_t)parameters->memset.dst, parameters->memset.pitch, parameters->memset.value,
			parameters->memset.elementSize, parameters->memset.width, parameters->memset.height);
		break;
	case CU_GRAPH_NODE_TYPE_HOST:
		fprintf(file, "| {{fn | userData} | {0x%016" PRIXPTR " | 0x%016" PRIXPTR "}}\n",
			(uintptr_t)parameters->host.fn, (uintptr_t)parameters->host.userData);
		break;
	case CU_GRAPH_NODE_TYPE_EVENT_RECORD:
	case CU_GRAPH_NODE_TYPE_WAIT_EVENT:
		/* Both have the event first. */
		fprintf(file, "| {event | 0x%016" PRIXPTR "}\n", (uintptr_t)parameters->eventRecord.event);
		break;
	case CU_GRAPH_NODE_TYPE_MEM_ALLOC:
		fprintf(file, "| {{dptr | bytesize} | {0x%016" PRIX64 " | %zu}}\n", (uint64_t)parameters->alloc.dptr,
			parameters->alloc.bytesize);
		break;
	case CU_GRAPH_NODE_TYPE_MEM_FREE:
		fprintf(file, "| {dptr | 0x%016" PRIX64 "}\n", (uint64_t)parameters->free.dptr);
		break;
	case CU_GRAPH_NODE_TYPE_BATCH_MEM_OP:
		fprintf(file, "| {{count | flags} | {%u | %u}}\n", parameters->memOp.count, parameters->memOp.flags);
		break;
	case CU_GRAPH_NODE_TYPE_CONDITIONAL:
		conditional_write(dot, &parameters->conditional);
		break;
	default:
		break;
	}
}

static void handles_write(const struct dot *dot, const struct graph_node *node)
{
	fprintf(dot->file, "| {node handle | 0x%016" PRIXPTR "}\n", (uintptr_t)node->object);
	if (node->type == CU_GRAPH_NODE_TYPE_KERNEL && node->content)
		fprintf(dot->file, "| {func handle | 0x%016" PRIXPTR "}\n",
			(uintptr_t)(node->content->parameters.kernel.func
					    ? (const void *)node->content->parameters.kernel.func
					    : (const void *)node->content->parameters.kernel.kern));
}

/* The numbers of the graphs that are embedded in the node, in its label. */
static CUresult embedded_write(struct dot *dot, const struct graph_node *node, const char *before, const char *after)
{
	size_t count = node->type == CU_GRAPH_NODE_TYPE_GRAPH ? 1 : node->body_count;

	for (size_t i = 0; i < count; i++) {
		size_t number = graph_number(dot, node->body_count ? node->bodies[i] : node->child);

		if (!number)
			return CUDA_ERROR_OUT_OF_MEMORY;
		fprintf(dot->file, "%sgraph_%zu%s", before, number, after);
	}
	return CUDA_SUCCESS;
}

/* A label of several fields, or of a few lines where nobody wants more. */
static CUresult node_write(struct dot *dot, const struct graph_node *node, size_t graph)
{
	size_t place = node->place;
	const char *name = node->type == CU_GRAPH_NODE_TYPE_KERNEL && node->content
				   ? kernel_name(&node->content->parameters.kernel)
				   : NULL;
	bool is_kernel = node->type == CU_GRAPH_NODE_TYPE_KERNEL;
	CUresult result;

	fprintf(dot->file, "\"graph_%zu_node_%zu\"[style=\"%s\" ", graph, place, is_kernel ? "bold" : "solid");
	if (!(dot->flags & (type_flag(node->type) | CU_GRAPH_DEBUG_DOT_FLAGS_HANDLES))) {
		fprintf(dot->file, "shape=\"%s\" label=\"%zu\n", is_kernel ? "octagon" : "rectangle", place);
		if (name)
			text_write(dot, name);
		else if (node->type != CU_GRAPH_NODE_TYPE_GRAPH)
			fputs(type_name(node->type), dot->file);
		if (node->type != CU_GRAPH_NODE_TYPE_GRAPH)
			fputc('\n', dot->file);
		result = embedded_write(dot, node, "", "\n");
		fputs("\"];\n", dot->file);
		return result;
	}
	fprintf(dot->file, "shape=\"record\" label=\"{%s\n| {ID | %zu", type_name(node->type), place);
	if (name) {
		fputs(" | ", dot->file);
		launch_write(dot, &node->content->parameters.kernel);
	}
	fputs("}\n", dot->file);
	if (dot->flags & CU_GRAPH_DEBUG_DOT_FLAGS_HANDLES)
		handles_write(dot, node);
	if (node->content && dot->flags & type_flag(node->type))
		parameters_write(dot, node);
	if (is_kernel && dot->flags & CU_GRAPH_DEBUG_DOT_FLAGS_KERNEL_NODE_ATTRIBUTES)
		attributes_write(dot, node);
	result = embedded_write(dot, node, "| {", "}\n");
	fputs("}\"];\n", dot->file);
	return result;
}

/* What can be known of the node is known then. */
static CUresult node_learn(const struct dot *dot, struct graph_node *node)
{
	CUresult result = CUDA_SUCCESS;

	if (node->type == CU_GRAPH_NODE_TYPE_GRAPH)
		return node->child ? CUDA_SUCCESS : graph_node_learn_child(node, dot->context);
	/* A kernel's name is always told. */
	if (!node->content && (node->type == CU_GRAPH_NODE_TYPE_KERNEL || (dot->flags & type_flag(node->type)) != 0))
		result = node_content_learn(node, dot->context, &node->content);
	/* It is written without its parameters. */
	return result == CUDA_ERROR_NOT_SUPPORTED ? CUDA_SUCCESS : result;
}

static void edges_write(const struct dot *dot, const struct graph *graph, size_t number)
{
	for (size_t place = 0; place < graph->count; place++) {
		const struct graph_node *node = graph->nodes[place];

		for (size_t i = 0; i < node->dependency_count; i++) {
			const struct graph_edge *edge = &node->dependencies[i];

			fprintf(dot->file, "\"graph_%zu_node_%zu\" -> \"graph_%zu_node_%zu\"", number,
				edge->from->place, number, place);
			if (dot->flags & CU_GRAPH_DEBUG_DOT_FLAGS_EXTRA_TOPO_INFO)
				fprintf(dot->file, " [headlabel=%zu]", i);
			if (edge->data.type == CU_GRAPH_DEPENDENCY_TYPE_PROGRAMMATIC)
				fprintf(dot->file, " [style=\"dashed\" label=\"port %u\"]", edge->data.from_port);
			fputs(";\n", dot->file);
		}
	}
}

static CUresult graph_write(struct dot *dot, struct object *object, size_t number)
{
	CUresult result = graph_learn(object, dot->context);
	const struct graph *graph = object->detail;

	if (result)
		return result;
	fprintf(dot->file, "subgraph cluster_%zu {\nlabel=\"graph_%zu\" graph[style=\"dashed\"];\n", number, number);
	for (size_t place = 0; !result && place < graph->count; place++) {
		graph->nodes[place]->place = place;
		result = node_learn(dot, graph->nodes[place]);
		if (!result)
			result = node_write(dot, graph->nodes[place], number);
	}
	if (!result)
		edges_write(dot, graph, number);
	fputs("}\n", dot->file);
	return result;
}

/* Under the lock. */
static CUresult dot_write(struct dot *dot, struct object *graph)
{
	CUresult result = graph_number(dot, graph) ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;

	fputs("digraph dot {\n", dot->file);
	/* Those that are embedded are found on the way. */
	for (size_t i = 0; !result && i < dot->count; i++)
		result = graph_write(dot, dot->graphs[i], i + 1);
	fputs("}\n", dot->file);
	free(dot->graphs);
	return result;
}

API(cuGraphDebugDotPrint, CUgraph handle, const char *path, unsigned int flags)
{
	struct dot dot = {.flags = flags};
	struct object *object;
	bool is_written;
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, &dot.context);

	if (result)
		return result;
	if (!path || flags & ~FLAGS_KNOWN)
		return CUDA_ERROR_INVALID_VALUE;
	object = object_find(handle, VGPU_KIND_GRAPH);
	if (!object)
		return CUDA_ERROR_INVALID_VALUE;
	if (flags & CU_GRAPH_DEBUG_DOT_FLAGS_VERBOSE)
		dot.flags = FLAGS_KNOWN;
	dot.file = fopen(path, "we");
	if (!dot.file)
		return CUDA_ERROR_OPERATING_SYSTEM;
	graphs_lock();
	result = dot_write(&dot, object);
	graphs_unlock();
	is_written = !ferror(dot.file);
	if (fclose(dot.file))
		is_written = false;
	return result || is_written ? result : CUDA_ERROR_OPERATING_SYSTEM;
}
