/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What calls answer that few programs make, or that want hardware which few machines have, with any libcuda.so.1. Run
 * by test_local.py.
 */
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#include "answers.h"
#include "graph_calls.h"

CUresult cuGraphConditionalHandleCreate(CUgraphConditionalHandle *handle, CUgraph graph, CUcontext context,
					unsigned int initial, unsigned int flags);
CUresult cuGraphNodeSetParams(CUgraphNode node, CUgraphNodeParams *parameters);
CUresult cuGraphExecNodeSetParams(CUgraphExec exec, CUgraphNode node, CUgraphNodeParams *parameters);
CUresult cuCoredumpGetAttribute(CUcoredumpSettings attribute, void *value, size_t *size);
CUresult cuCoredumpGetAttributeGlobal(CUcoredumpSettings attribute, void *value, size_t *size);
CUresult cuCoredumpSetAttribute(CUcoredumpSettings attribute, void *value, size_t *size);
CUresult cuCoredumpSetAttributeGlobal(CUcoredumpSettings attribute, void *value, size_t *size);
CUresult cuDeviceRegisterAsyncNotification(CUdevice device, CUasyncCallback callback, void *data,
					   CUasyncCallbackHandle *handle);
CUresult cuDeviceUnregisterAsyncNotification(CUdevice device, CUasyncCallbackHandle handle);
CUresult cuMemBatchDecompressAsync(CUmemDecompressParams *list, size_t count, unsigned int flags, size_t *wrong,
				   CUstream stream);
CUresult cuMulticastGetGranularity(size_t *granularity, const CUmulticastObjectProp *properties,
				   CUmulticastGranularity_flags option);
CUresult cuMulticastCreate(CUmemGenericAllocationHandle *handle, const CUmulticastObjectProp *properties);
CUresult cuFlushGPUDirectRDMAWrites(CUflushGPUDirectRDMAWritesTarget target, CUflushGPUDirectRDMAWritesScope scope);
CUresult cuMemGetHandleForAddressRange(void *handle, CUdeviceptr address, size_t bytes, int type,
				       unsigned long long flags);
CUresult cuImportExternalMemory(CUexternalMemory *memory, const CUDA_EXTERNAL_MEMORY_HANDLE_DESC *description);
CUresult cuImportExternalSemaphore(CUexternalSemaphore *semaphore,
				   const CUDA_EXTERNAL_SEMAPHORE_HANDLE_DESC *description);
CUresult cuDestroyExternalMemory(CUexternalMemory memory);
CUresult cuDestroyExternalSemaphore(CUexternalSemaphore semaphore);
CUresult cuExternalMemoryGetMappedBuffer(CUdeviceptr *address, CUexternalMemory memory,
					 const CUDA_EXTERNAL_MEMORY_BUFFER_DESC *description);
CUresult cuExternalMemoryGetMappedMipmappedArray(CUmipmappedArray *mipmap, CUexternalMemory memory,
						 const CUDA_EXTERNAL_MEMORY_MIPMAPPED_ARRAY_DESC *description);
CUresult cuSignalExternalSemaphoresAsync(const CUexternalSemaphore *semaphores,
					 const CUDA_EXTERNAL_SEMAPHORE_SIGNAL_PARAMS *parameters, unsigned int count,
					 CUstream stream);
CUresult cuWaitExternalSemaphoresAsync(const CUexternalSemaphore *semaphores,
				       const CUDA_EXTERNAL_SEMAPHORE_WAIT_PARAMS *parameters, unsigned int count,
				       CUstream stream);
CUresult cuGraphAddExternalSemaphoresSignalNode(CUgraphNode *node, CUgraph graph, const CUgraphNode *dependencies,
						size_t count, const CUDA_EXT_SEM_SIGNAL_NODE_PARAMS *parameters);
CUresult cuGraphAddExternalSemaphoresWaitNode(CUgraphNode *node, CUgraph graph, const CUgraphNode *dependencies,
					      size_t count, const CUDA_EXT_SEM_WAIT_NODE_PARAMS *parameters);
CUresult cuGraphExternalSemaphoresSignalNodeGetParams(CUgraphNode node, CUDA_EXT_SEM_SIGNAL_NODE_PARAMS *parameters);
CUresult cuGraphExternalSemaphoresSignalNodeSetParams(CUgraphNode node,
						      const CUDA_EXT_SEM_SIGNAL_NODE_PARAMS *parameters);
CUresult cuGraphExternalSemaphoresWaitNodeGetParams(CUgraphNode node, CUDA_EXT_SEM_WAIT_NODE_PARAMS *parameters);
CUresult cuGraphExternalSemaphoresWaitNodeSetParams(CUgraphNode node, const CUDA_EXT_SEM_WAIT_NODE_PARAMS *parameters);
CUresult cuGraphExecExternalSemaphoresSignalNodeSetParams(CUgraphExec exec, CUgraphNode node,
							  const CUDA_EXT_SEM_SIGNAL_NODE_PARAMS *parameters);
CUresult cuGraphExecExternalSemaphoresWaitNodeSetParams(CUgraphExec exec, CUgraphNode node,
							const CUDA_EXT_SEM_WAIT_NODE_PARAMS *parameters);
CUresult cuDeviceGetNvSciSyncAttributes(void *list, CUdevice device, int flags);
CUresult cuProfilerInitialize(const char *configuration, const char *output, int mode);
CUresult cuLaunchCooperativeKernelMultiDevice(void *launches, unsigned int count, unsigned int flags);

static CUstream stream;
static CUdeviceptr memory;

static void begin(void)
{
	answers_context();
	if (cuStreamCreate(&stream, 0) || cuMemAlloc_v2(&memory, 4 << 20))
		exit(2);
}

static void attribute_tell(const char *name, CUdevice_attribute attribute)
{
	int value = 77;

	if (said(name, cuDeviceGetAttribute(&value, attribute, 0)))
		told(name, value);
}

static CUgraph graph;
static CUgraphConditionalHandle condition;
static CUgraphNode conditional;

static CUgraphNodeParams conditional_parameters(CUgraphConditionalHandle handle, CUgraphConditionalNodeType type,
						unsigned int size)
{
	CUcontext context = NULL;

	cuCtxGetCurrent(&context);
	return (CUgraphNodeParams){.type = CU_GRAPH_NODE_TYPE_CONDITIONAL,
				   .conditional = {.handle = handle, .type = type, .size = size, .ctx = context}};
}

/* What the word is after the graph was run. */
static void run(const char *name, CUgraphExec exec)
{
	uint32_t word = 0;

	cuMemcpyHtoD_v2(memory, &word, sizeof(word));
	if (said(name, cuGraphLaunch(exec, stream)) && !cuStreamSynchronize(stream) &&
	    !cuMemcpyDtoH_v2(&word, memory, sizeof(word)))
		told(name, word);
}

/* An if node whose body writes 7, and whose condition is true at each launch. */
static bool conditional_begin(void)
{
	const CUDA_MEMSET_NODE_PARAMS fill = {.dst = memory, .value = 7, .elementSize = 4, .width = 1, .height = 1};
	CUgraphNodeParams node;
	CUcontext context = NULL;
	CUgraphNode body;

	cuCtxGetCurrent(&context);
	if (!said("graph", cuGraphCreate(&graph, 0)) ||
	    !said("handle", cuGraphConditionalHandleCreate(&condition, graph, context, 1, 1)))
		return false;
	node = conditional_parameters(condition, CU_GRAPH_COND_TYPE_IF, 1);
	return said("node", cuGraphAddNode_v2(&conditional, graph, NULL, NULL, 0, &node)) &&
	       said("body", cuGraphAddMemsetNode(&body, node.conditional.phGraph_out[0], NULL, 0, &fill, context));
}

static void conditional_set(const char *name, CUgraphExec exec, CUgraphConditionalHandle handle,
			    CUgraphConditionalNodeType type, unsigned int size)
{
	CUgraphNodeParams parameters = conditional_parameters(handle, type, size);

	said(name, exec ? cuGraphExecNodeSetParams(exec, conditional, &parameters)
			: cuGraphNodeSetParams(conditional, &parameters));
}

static void conditional_calls(void)
{
	CUgraphNodeParams empty = {.type = CU_GRAPH_NODE_TYPE_EMPTY};
	CUgraphExec exec = NULL;

	begin();
	if (!conditional_begin())
		return;
	conditional_set("set_same", NULL, condition, CU_GRAPH_COND_TYPE_IF, 1);
	conditional_set("set_size", NULL, condition, CU_GRAPH_COND_TYPE_IF, 2);
	conditional_set("set_while", NULL, condition, CU_GRAPH_COND_TYPE_WHILE, 1);
	conditional_set("set_unknown", NULL, 77, CU_GRAPH_COND_TYPE_IF, 1);
	said("set_empty", cuGraphNodeSetParams(conditional, &empty));
	said("set_null", cuGraphNodeSetParams(conditional, NULL));
	if (!said("instantiate", cuGraphInstantiateWithFlags(&exec, graph, 0)))
		return;
	run("run", exec);
	conditional_set("exec_set_same", exec, condition, CU_GRAPH_COND_TYPE_IF, 1);
	conditional_set("exec_set_size", exec, condition, CU_GRAPH_COND_TYPE_IF, 2);
	conditional_set("exec_set_while", exec, condition, CU_GRAPH_COND_TYPE_WHILE, 1);
	conditional_set("exec_set_unknown", exec, 77, CU_GRAPH_COND_TYPE_IF, 1);
	said("exec_set_empty", cuGraphExecNodeSetParams(exec, conditional, &empty));
	said("exec_set_null", cuGraphExecNodeSetParams(exec, conditional, NULL));
	run("run_again", exec);
}

/* What was asked for, a number or a text. */
static void dump_tell(const char *name, CUcoredumpSettings attribute,
		      CUresult (*get)(CUcoredumpSettings, void *, size_t *))
{
	static char value[4096];
	size_t size = sizeof(value);
	char line[64];
	unsigned int number;

	for (int i = 0; i < 3; i++) {
		size = i == 0 ? sizeof(value) : i == 1 ? 1 : sizeof(unsigned int);
		memset(value, 0x77, sizeof(value));
		snprintf(line, sizeof(line), "%s.%d.in_%zu", name, attribute, size);
		if (!said(line, get(attribute, value, &size)))
			continue;
		told(line, (long long)size);
		memcpy(&number, value, sizeof(number));
		if (attribute != CU_COREDUMP_FILE && attribute != CU_COREDUMP_PIPE)
			told(line, number);
		else
			printf("note %s '%.200s'\n", line, value);
	}
	snprintf(line, sizeof(line), "%s.%d.null", name, attribute);
	if (said(line, get(attribute, NULL, &size)))
		told(line, (long long)size);
}

static void dump_set(const char *name, CUcoredumpSettings attribute, unsigned int value, size_t size,
		     CUresult (*set)(CUcoredumpSettings, void *, size_t *))
{
	char line[64];

	snprintf(line, sizeof(line), "%s.%d.%u.in_%zu", name, attribute, value, size);
	said(line, set(attribute, &value, &size));
}

/* Ours refuses to turn dumps on. */
static void dump_word(int attribute)
{
	if (attribute == CU_COREDUMP_ENABLE_ON_EXCEPTION || attribute == CU_COREDUMP_ENABLE_USER_TRIGGER)
		answers_are("unlike");
}

static void dump_global_calls(void)
{
	char file[] = "/tmp/nowhere.%p";
	size_t size = sizeof(file);

	for (int i = 0; i <= 9; i++)
		dump_tell("global", (CUcoredumpSettings)i, cuCoredumpGetAttributeGlobal);
	for (int i = 0; i <= 9; i++) {
		if (i == CU_COREDUMP_FILE || i == CU_COREDUMP_PIPE)
			continue;
		dump_word(i);
		dump_set("global_set", (CUcoredumpSettings)i, 1, 1, cuCoredumpSetAttributeGlobal);
		dump_set("global_set", (CUcoredumpSettings)i, 1, 4, cuCoredumpSetAttributeGlobal);
		dump_tell("global_after", (CUcoredumpSettings)i, cuCoredumpGetAttributeGlobal);
		answers_are(NULL);
	}
	said("global_file", cuCoredumpSetAttributeGlobal(CU_COREDUMP_FILE, file, &size));
	dump_tell("global_after", CU_COREDUMP_FILE, cuCoredumpGetAttributeGlobal);
	said("global_pipe", cuCoredumpSetAttributeGlobal(CU_COREDUMP_PIPE, file, &size));
	dump_tell("global_after", CU_COREDUMP_PIPE, cuCoredumpGetAttributeGlobal);
	size = 2000;
	said("global_no_value", cuCoredumpSetAttributeGlobal(CU_COREDUMP_FILE, NULL, &size));
	said("global_no_size", cuCoredumpSetAttributeGlobal(CU_COREDUMP_FILE, file, NULL));
	said("global_get_no_size", cuCoredumpGetAttributeGlobal(CU_COREDUMP_FILE, file, NULL));
}

static void dump_calls(void)
{
	char file[] = "/tmp/nowhere.%p";
	size_t size = sizeof(file);

	dump_tell("without", CU_COREDUMP_ENABLE_ON_EXCEPTION, cuCoredumpGetAttribute);
	begin();
	for (int i = 0; i <= 9; i++)
		dump_tell("get", (CUcoredumpSettings)i, cuCoredumpGetAttribute);
	for (int i = 0; i <= 9; i++) {
		if (i == CU_COREDUMP_FILE || i == CU_COREDUMP_PIPE)
			continue;
		dump_word(i);
		dump_set("set", (CUcoredumpSettings)i, 1, 1, cuCoredumpSetAttribute);
		dump_set("set", (CUcoredumpSettings)i, 1, 4, cuCoredumpSetAttribute);
		dump_tell("after", (CUcoredumpSettings)i, cuCoredumpGetAttribute);
		answers_are(NULL);
	}
	said("file", cuCoredumpSetAttribute(CU_COREDUMP_FILE, file, &size));
	dump_tell("after", CU_COREDUMP_FILE, cuCoredumpGetAttribute);
	for (int i = 0; i <= 9; i++)
		dump_tell("global_with", (CUcoredumpSettings)i, cuCoredumpGetAttributeGlobal);
	answers_are("unlike");
	dump_set("global_set_with", CU_COREDUMP_ENABLE_ON_EXCEPTION, 1, 1, cuCoredumpSetAttributeGlobal);
}

static void on_notification(CUasyncNotificationInfo *info, void *data, CUasyncCallbackHandle handle)
{
	(void)handle;
	(*(atomic_int *)data)++;
	printf("note notification %d %llu\n", info->type, info->info.overBudget.bytesOverBudget);
}

static void notification_calls(void)
{
	static atomic_int calls;
	CUasyncCallbackHandle handle = NULL, second = NULL;

	begin();
	said("register", cuDeviceRegisterAsyncNotification(0, on_notification, &calls, &handle));
	told("register_handle", handle != NULL);
	said("register_again", cuDeviceRegisterAsyncNotification(0, on_notification, &calls, &second));
	told("register_again_is_other", handle != second);
	said("register_null", cuDeviceRegisterAsyncNotification(0, NULL, NULL, &second));
	SAID_OURS("register_no_handle", cuDeviceRegisterAsyncNotification(0, on_notification, &calls, NULL));
	said("register_1000", cuDeviceRegisterAsyncNotification(1000, on_notification, &calls, &second));
	said("unregister_1000", cuDeviceUnregisterAsyncNotification(1000, handle));
	if (handle)
		said("unregister", cuDeviceUnregisterAsyncNotification(0, handle));
	said("unregister_null", cuDeviceUnregisterAsyncNotification(0, NULL));
	told("calls", atomic_load(&calls));
	SAID_OURS("unregister_twice", cuDeviceUnregisterAsyncNotification(0, handle));
}

static void decompress_calls(void)
{
	cuuint32_t actual = 0;
	CUmemDecompressParams parameters = {.srcNumBytes = 16,
					    .dstNumBytes = 64,
					    .dstActBytes = &actual,
					    .algo = CU_MEM_DECOMPRESS_ALGORITHM_DEFLATE};
	size_t wrong = 77;

	begin();
	attribute_tell("mask", CU_DEVICE_ATTRIBUTE_MEM_DECOMPRESS_ALGORITHM_MASK);
	attribute_tell("length", CU_DEVICE_ATTRIBUTE_MEM_DECOMPRESS_MAXIMUM_LENGTH);
	parameters.src = (void *)memory;
	parameters.dst = (void *)(memory + 4096);
	parameters.dstActBytes = (cuuint32_t *)(memory + 8192);
	said("deflate", cuMemBatchDecompressAsync(&parameters, 1, 0, &wrong, stream));
	told("deflate_wrong", (long long)wrong);
	parameters.algo = CU_MEM_DECOMPRESS_UNSUPPORTED;
	said("unsupported", cuMemBatchDecompressAsync(&parameters, 1, 0, &wrong, stream));
	said("count_0", cuMemBatchDecompressAsync(&parameters, 0, 0, &wrong, stream));
	said("flags", cuMemBatchDecompressAsync(&parameters, 1, 1, &wrong, stream));
	said("null", cuMemBatchDecompressAsync(NULL, 1, 0, &wrong, stream));
	said("no_index", cuMemBatchDecompressAsync(&parameters, 1, 0, NULL, stream));
}

static void multicast_calls(void)
{
	CUmulticastObjectProp properties = {.numDevices = 2, .size = 2 << 20};
	CUmemGenericAllocationHandle handle = 0;
	size_t granularity = 77;

	begin();
	/* Not built; GPUs that are alone have none natively either. */
	answers_are("unlike");
	attribute_tell("attribute", CU_DEVICE_ATTRIBUTE_MULTICAST_SUPPORTED);
	said("granularity", cuMulticastGetGranularity(&granularity, &properties, CU_MULTICAST_GRANULARITY_MINIMUM));
	said("create_2", cuMulticastCreate(&handle, &properties));
	properties.numDevices = 1;
	said("create_1", cuMulticastCreate(&handle, &properties));
	properties.numDevices = 0;
	said("create_0", cuMulticastCreate(&handle, &properties));
	said("create_null", cuMulticastCreate(&handle, NULL));
}

static void external_calls(void)
{
	CUDA_EXTERNAL_MEMORY_HANDLE_DESC description = {.type = CU_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD, .size = 4096};
	CUDA_EXTERNAL_SEMAPHORE_HANDLE_DESC semaphore = {.type = CU_EXTERNAL_SEMAPHORE_HANDLE_TYPE_OPAQUE_FD};
	CUexternalMemory imported = NULL;
	CUexternalSemaphore imported_semaphore = NULL;
	int descriptor = memfd_create("external", 0), buffer = -1;

	begin();
	if (descriptor < 0 || ftruncate(descriptor, 4096))
		return;
	description.handle.fd = descriptor;
	said("memory_fd", cuImportExternalMemory(&imported, &description));
	description.handle.fd = -1;
	said("memory_no_fd", cuImportExternalMemory(&imported, &description));
	description.type = CU_EXTERNAL_MEMORY_HANDLE_TYPE_D3D12_HEAP;
	said("memory_d3d12", cuImportExternalMemory(&imported, &description));
	description.type = (CUexternalMemoryHandleType)77;
	said("memory_type_unknown", cuImportExternalMemory(&imported, &description));
	said("memory_null", cuImportExternalMemory(&imported, NULL));
	said("memory_destroy_null", cuDestroyExternalMemory(NULL));
	semaphore.handle.fd = descriptor;
	said("semaphore_fd", cuImportExternalSemaphore(&imported_semaphore, &semaphore));
	semaphore.handle.fd = -1;
	said("semaphore_no_fd", cuImportExternalSemaphore(&imported_semaphore, &semaphore));
	semaphore.type = (CUexternalSemaphoreHandleType)77;
	said("semaphore_type_unknown", cuImportExternalSemaphore(&imported_semaphore, &semaphore));
	said("semaphore_null", cuImportExternalSemaphore(&imported_semaphore, NULL));
	said("semaphore_destroy_null", cuDestroyExternalSemaphore(NULL));
	/* What devices of the machine reach, and what the driver has removed, a guest's device does not have. */
	answers_are("unlike");
	attribute_tell("dma_buf", CU_DEVICE_ATTRIBUTE_DMA_BUF_SUPPORTED);
	said("dma_buf_of_memory", cuMemGetHandleForAddressRange(&buffer, memory, 2 << 20, 1, 0));
	said("dma_buf_type_unknown", cuMemGetHandleForAddressRange(&buffer, memory, 2 << 20, 77, 0));
	attribute_tell("rdma", CU_DEVICE_ATTRIBUTE_GPU_DIRECT_RDMA_SUPPORTED);
	attribute_tell("rdma_flush_options", CU_DEVICE_ATTRIBUTE_GPU_DIRECT_RDMA_FLUSH_WRITES_OPTIONS);
	attribute_tell("rdma_ordering", CU_DEVICE_ATTRIBUTE_GPU_DIRECT_RDMA_WRITES_ORDERING);
	said("rdma_flush", cuFlushGPUDirectRDMAWrites(CU_FLUSH_GPU_DIRECT_RDMA_WRITES_TARGET_CURRENT_CTX,
						      CU_FLUSH_GPU_DIRECT_RDMA_WRITES_TO_OWNER));
	said("rdma_flush_scope_unknown", cuFlushGPUDirectRDMAWrites(CU_FLUSH_GPU_DIRECT_RDMA_WRITES_TARGET_CURRENT_CTX,
								    (CUflushGPUDirectRDMAWritesScope)77));
	said("sync_attributes_null", cuDeviceGetNvSciSyncAttributes(NULL, 0, 1));
	answers_are(NULL);
	said("sync_attributes", cuDeviceGetNvSciSyncAttributes(&buffer, 0, 1));
	said("profiler", cuProfilerInitialize("/tmp/nothing", "/tmp/nowhere", 0));
	said("profiler_null", cuProfilerInitialize(NULL, NULL, 0));
	attribute_tell("cooperative_multi", CU_DEVICE_ATTRIBUTE_COOPERATIVE_MULTI_DEVICE_LAUNCH);
	said("cooperative_multi_0", cuLaunchCooperativeKernelMultiDevice(NULL, 0, 0));
	said("cooperative_multi_1", cuLaunchCooperativeKernelMultiDevice(NULL, 1, 0));
}

/* Of semaphores and memory that nobody can have: ours looks at nothing of it. */
static void unimported_calls(void)
{
	CUDA_EXTERNAL_MEMORY_BUFFER_DESC part = {.size = 4096};
	CUDA_EXTERNAL_MEMORY_MIPMAPPED_ARRAY_DESC levels = {.arrayDesc = {16, 16, 0, CU_AD_FORMAT_FLOAT, 1, 0},
							    .numLevels = 1};
	CUDA_EXTERNAL_SEMAPHORE_SIGNAL_PARAMS signal = {0};
	CUDA_EXTERNAL_SEMAPHORE_WAIT_PARAMS wait = {0};
	CUexternalSemaphore none = NULL;
	CUDA_EXT_SEM_SIGNAL_NODE_PARAMS signal_node = {&none, &signal, 1};
	CUDA_EXT_SEM_WAIT_NODE_PARAMS wait_node = {&none, &wait, 1};
	CUmipmappedArray mipmap = NULL;
	CUdeviceptr address = 0;
	CUgraphNode node = NULL, empty = NULL;
	CUgraphExec exec = NULL;

	answers_are("unlike");
	begin();
	said("buffer", cuExternalMemoryGetMappedBuffer(&address, NULL, &part));
	said("mipmap", cuExternalMemoryGetMappedMipmappedArray(&mipmap, NULL, &levels));
	said("signal_0", cuSignalExternalSemaphoresAsync(NULL, NULL, 0, stream));
	said("signal_null", cuSignalExternalSemaphoresAsync(NULL, NULL, 1, stream));
	said("signal", cuSignalExternalSemaphoresAsync(&none, &signal, 1, stream));
	said("wait_0", cuWaitExternalSemaphoresAsync(NULL, NULL, 0, stream));
	said("wait_null", cuWaitExternalSemaphoresAsync(NULL, NULL, 1, stream));
	said("wait", cuWaitExternalSemaphoresAsync(&none, &wait, 1, stream));
	if (!said("graph", cuGraphCreate(&graph, 0)) || !said("empty", cuGraphAddEmptyNode(&empty, graph, NULL, 0)) ||
	    !said("instantiate", cuGraphInstantiateWithFlags(&exec, graph, 0)))
		return;
	said("add_signal", cuGraphAddExternalSemaphoresSignalNode(&node, graph, NULL, 0, &signal_node));
	said("add_signal_null", cuGraphAddExternalSemaphoresSignalNode(&node, graph, NULL, 0, NULL));
	said("add_wait", cuGraphAddExternalSemaphoresWaitNode(&node, graph, NULL, 0, &wait_node));
	said("add_wait_null", cuGraphAddExternalSemaphoresWaitNode(&node, graph, NULL, 0, NULL));
	said("get_signal", cuGraphExternalSemaphoresSignalNodeGetParams(empty, &signal_node));
	said("get_wait", cuGraphExternalSemaphoresWaitNodeGetParams(empty, &wait_node));
	said("set_signal", cuGraphExternalSemaphoresSignalNodeSetParams(empty, &signal_node));
	said("set_wait", cuGraphExternalSemaphoresWaitNodeSetParams(empty, &wait_node));
	said("exec_set_signal", cuGraphExecExternalSemaphoresSignalNodeSetParams(exec, empty, &signal_node));
	said("exec_set_wait", cuGraphExecExternalSemaphoresWaitNodeSetParams(exec, empty, &wait_node));
	signal_node.numExtSems = 0;
	said("add_signal_0", cuGraphAddExternalSemaphoresSignalNode(&node, graph, NULL, 0, &signal_node));
	wait_node.numExtSems = 0;
	said("add_wait_0", cuGraphAddExternalSemaphoresWaitNode(&node, graph, NULL, 0, &wait_node));
}

/* Memory imported by descriptors of other kinds, and types that are of other systems. */
static void import_calls(void)
{
	begin();
	for (int type = 1; type <= 9; type++) {
		CUDA_EXTERNAL_MEMORY_HANDLE_DESC description = {.type = (CUexternalMemoryHandleType)type, .size = 4096};
		CUexternalMemory imported = NULL;
		char line[32];

		description.handle.fd = memfd_create("external", 0);
		snprintf(line, sizeof(line), "memory.%d", type);
		if (type == CU_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD ||
		    type == CU_EXTERNAL_MEMORY_HANDLE_TYPE_DMABUF_FD)
			said(line, cuImportExternalMemory(&imported, &description));
		else
			SAID_OURS(line, cuImportExternalMemory(&imported, &description));
	}
	for (int type = 1; type <= 10; type++) {
		CUDA_EXTERNAL_SEMAPHORE_HANDLE_DESC description = {.type = (CUexternalSemaphoreHandleType)type};
		CUexternalSemaphore imported = NULL;
		char line[32];

		description.handle.fd = memfd_create("external", 0);
		snprintf(line, sizeof(line), "semaphore.%d", type);
		if (type == CU_EXTERNAL_SEMAPHORE_HANDLE_TYPE_OPAQUE_FD ||
		    type == CU_EXTERNAL_SEMAPHORE_HANDLE_TYPE_TIMELINE_SEMAPHORE_FD)
			said(line, cuImportExternalSemaphore(&imported, &description));
		else
			SAID_OURS(line, cuImportExternalSemaphore(&imported, &description));
	}
}

static const struct answers_group groups[] = {
	{"conditional", conditional_calls},   {"dump_global", dump_global_calls}, {"dump", dump_calls},
	{"notification", notification_calls}, {"decompress", decompress_calls},	  {"multicast", multicast_calls},
	{"external", external_calls},	      {"unimported", unimported_calls},	  {"import", import_calls},
};

int main(int count, char **arguments)
{
	answers_ends_natively = "unimported";
	return answers_run(groups, COUNT_OF(groups), count > 1 ? arguments[1] : NULL);
}
