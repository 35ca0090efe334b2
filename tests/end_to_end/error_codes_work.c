/* SPDX-License-Identifier: Apache-2.0 */
/* Wrong calls about work: copies, streams, events, captures, graphs. */
#include <stdio.h>

#include "error_codes.h"

static CUDA_MEMCPY2D rectangle(const void *from, size_t pitch, size_t width, size_t height)
{
	return (CUDA_MEMCPY2D){
		.srcMemoryType = CU_MEMORYTYPE_HOST,
		.srcHost = from,
		.srcPitch = pitch,
		.dstMemoryType = CU_MEMORYTYPE_DEVICE,
		.dstDevice = memory,
		.dstPitch = 64,
		.WidthInBytes = width,
		.Height = height,
	};
}

static void shape_calls(char *bytes)
{
	CUDA_MEMCPY2D plane = rectangle(bytes, 64, 16, 4);
	CUDA_MEMCPY3D box = {
		.srcMemoryType = CU_MEMORYTYPE_HOST,
		.srcHost = bytes,
		.srcPitch = 16,
		.srcHeight = 4,
		.dstMemoryType = CU_MEMORYTYPE_DEVICE,
		.dstDevice = memory,
		.dstPitch = 16,
		.dstHeight = 4,
		.WidthInBytes = 16,
		.Height = 4,
		.Depth = 2,
	};

	IS("copy.2d", CUDA_SUCCESS, cuMemcpy2D_v2(&plane));
	INVALID("copy.2d_null", cuMemcpy2D_v2(NULL));
	plane = rectangle(bytes, 8, 16, 4);
	INVALID("copy.2d_source_pitch_small", cuMemcpy2D_v2(&plane));
	plane = rectangle(bytes, 64, 65, 4);
	INVALID("copy.2d_pitch_small", cuMemcpy2D_v2(&plane));
	plane = rectangle(bytes, 64, 65, 1);
	IS("copy.2d_pitch_small_row", UNSAID, cuMemcpy2D_v2(&plane));
	plane = rectangle(bytes, 64, 0, 4);
	IS("copy.2d_width_0", CUDA_SUCCESS, cuMemcpy2D_v2(&plane));
	plane = rectangle(bytes, 64, 16, 0);
	IS("copy.2d_height_0", CUDA_SUCCESS, cuMemcpy2D_v2(&plane));
	plane = rectangle(bytes, 64, 16, 4);
	plane.srcXInBytes = 56;
	IS("copy.2d_beyond_the_row", UNSAID, cuMemcpy2D_v2(&plane));
	plane = rectangle(bytes, 0, 16, 4);
	plane.dstPitch = 0;
	IS("copy.2d_pitches_0", CUDA_SUCCESS, cuMemcpy2D_v2(&plane));
	plane = rectangle(bytes, 64, 16, 4);
	plane.dstMemoryType = (CUmemorytype)0;
	INVALID("copy.2d_no_type", cuMemcpy2D_v2(&plane));
	plane.dstMemoryType = (CUmemorytype)9;
	INVALID("copy.2d_unknown_type", cuMemcpy2D_v2(&plane));
	plane = rectangle(bytes, 64, 16, 4);
	plane.dstDevice = NOWHERE;
	INVALID("copy.2d_nowhere", cuMemcpy2D_v2(&plane));
	INVALID("copy.2d_nowhere_async", cuMemcpy2DAsync_v2(&plane, stream));
	plane = rectangle(bytes, (size_t)1 << 40, 16, 4);
	/* It reads the program's memory wherever that leads. */
	OURS_INVALID("copy.2d_pitch_huge", cuMemcpy2D_v2(&plane));
	plane = rectangle(bytes, 64, 16, 4);
	plane.dstMemoryType = CU_MEMORYTYPE_ARRAY;
	IS("copy.2d_no_array", UNSAID, cuMemcpy2D_v2(&plane));
	IS("copy.3d", CUDA_SUCCESS, cuMemcpy3D_v2(&box));
	INVALID("copy.3d_null", cuMemcpy3D_v2(NULL));
	box.srcHeight = 2;
	INVALID("copy.3d_source_height_small", cuMemcpy3D_v2(&box));
	box.srcHeight = 4;
	box.Depth = 0;
	IS("copy.3d_depth_0", CUDA_SUCCESS, cuMemcpy3D_v2(&box));
	box.Depth = 2;
	box.srcLOD = 1;
	UNLIKE("copy.3d_level", CUDA_ERROR_INVALID_VALUE, cuMemcpy3D_v2(&box));
	box.srcLOD = 0;
	box.dstDevice = NOWHERE;
	INVALID("copy.3d_nowhere", cuMemcpy3D_v2(&box));
}

void copy_calls(void)
{
	static char bytes[1 << 12];
	const CUdeviceptr end = memory + (1ull << 40);

	IS("copy.up_0", CUDA_SUCCESS, cuMemcpyHtoD_v2(memory, bytes, 0));
	IS("copy.up_0_nulls", UNSAID, cuMemcpyHtoD_v2(0, NULL, 0));
	IS("copy.down_0_nulls", UNSAID, cuMemcpyDtoH_v2(NULL, 0, 0));
	IS("copy.within_0_nulls", UNSAID, cuMemcpyDtoD_v2(0, 0, 0));
	IS("copy.any_0_nulls", UNSAID, cuMemcpy(0, 0, 0));
	INVALID("copy.up_to_null", cuMemcpyHtoD_v2(0, bytes, 16));
	INVALID("copy.up_to_nowhere", cuMemcpyHtoD_v2(NOWHERE, bytes, 16));
	INVALID("copy.up_to_nowhere_async", cuMemcpyHtoDAsync_v2(NOWHERE, bytes, 16, stream));
	INVALID("copy.up_to_end", cuMemcpyHtoD_v2(end, bytes, 16));
	INVALID("copy.up_too_much", cuMemcpyHtoD_v2(memory, bytes, (size_t)1 << 40));
	INVALID("copy.down_from_null", cuMemcpyDtoH_v2(bytes, 0, 16));
	INVALID("copy.down_from_nowhere", cuMemcpyDtoH_v2(bytes, NOWHERE, 16));
	INVALID("copy.down_from_nowhere_async", cuMemcpyDtoHAsync_v2(bytes, NOWHERE, 16, stream));
	INVALID("copy.down_too_much", cuMemcpyDtoH_v2(bytes, memory, (size_t)1 << 40));
	INVALID("copy.within_to_nowhere", cuMemcpyDtoD_v2(NOWHERE, memory, 16));
	INVALID("copy.within_from_nowhere", cuMemcpyDtoD_v2(memory, NOWHERE, 16));
	INVALID("copy.within_from_nowhere_async", cuMemcpyDtoDAsync_v2(memory, NOWHERE, 16, stream));
	IS("copy.within_overlap", UNSAID, cuMemcpyDtoD_v2(memory, memory + 8, 16));
	IS("copy.peer_0", CUDA_SUCCESS, cuMemcpyPeer(memory, context, memory + 4096, context, 0));
	IS("copy.peer_itself", CUDA_SUCCESS, cuMemcpyPeer(memory, context, memory + 4096, context, 16));
	/* The driver takes it; what it takes for the context the manual does not say. */
	UNLIKE("copy.peer_no_context", CUDA_ERROR_INVALID_CONTEXT,
	       cuMemcpyPeer(memory, NULL, memory + 4096, context, 16));
	INVALID("copy.peer_nowhere", cuMemcpyPeer(NOWHERE, context, memory, context, 16));
	shape_calls(bytes);
	OURS_INVALID("copy.up_from_null", cuMemcpyHtoD_v2(memory, NULL, 16));
	OURS_INVALID("copy.down_to_null", cuMemcpyDtoH_v2(NULL, memory, 16));
}

static void nothing_done(void *data)
{
	(void)data;
}

static void nothing_called(CUstream of, CUresult status, void *data)
{
	(void)of;
	(void)status;
	(void)data;
}

void stream_calls(void)
{
	CUstreamAttrValue value = {0};
	CUstream other = NULL;
	CUcontext found;
	unsigned int flags;
	uint64_t id;
	int priority;

	INVALID("stream.create_flags", cuStreamCreate(&other, 0xff00));
	INVALID("stream.create_null", cuStreamCreate(NULL, 0));
	INVALID("stream.create_priority_flags", cuStreamCreateWithPriority(&other, 0xff00, 0));
	IS("stream.create_priority_beyond", CUDA_SUCCESS, cuStreamCreateWithPriority(&other, 0, -1000));
	IS("stream.priority", CUDA_SUCCESS, cuStreamGetPriority(other, &priority));
	printf("result stream.priority_is %d\n", priority);
	IS("stream.destroy", CUDA_SUCCESS, cuStreamDestroy_v2(other));
	IS("stream.destroy_null", CUDA_ERROR_INVALID_HANDLE, cuStreamDestroy_v2(NULL));
	IS("stream.destroy_legacy", CUDA_ERROR_INVALID_HANDLE, cuStreamDestroy_v2(CU_STREAM_LEGACY));
	IS("stream.destroy_per_thread", CUDA_ERROR_INVALID_HANDLE, cuStreamDestroy_v2(CU_STREAM_PER_THREAD));
	IS("stream.query_null", CUDA_SUCCESS, cuStreamQuery(NULL));
	IS("stream.query_per_thread", CUDA_SUCCESS, cuStreamQuery(CU_STREAM_PER_THREAD));
	IS("stream.wait_null", CUDA_ERROR_INVALID_HANDLE, cuStreamWaitEvent(stream, NULL, 0));
	INVALID("stream.priority_null", cuStreamGetPriority(stream, NULL));
	INVALID("stream.flags_null", cuStreamGetFlags(stream, NULL));
	IS("stream.flags_of_default", CUDA_SUCCESS, cuStreamGetFlags(NULL, &flags));
	printf("result stream.flags_of_default_are %u\n", flags);
	IS("stream.context_null", UNSAID, cuStreamGetCtx(stream, NULL));
	IS("stream.context_of_default", CUDA_SUCCESS, cuStreamGetCtx(NULL, &found));
	INVALID("stream.id_null", cuStreamGetId(stream, NULL));
	IS("stream.id_of_default", CUDA_SUCCESS, cuStreamGetId(NULL, (unsigned long long *)&id));
	INVALID("stream.callback_null", cuStreamAddCallback(stream, NULL, NULL, 0));
	INVALID("stream.callback_flags", cuStreamAddCallback(stream, nothing_called, NULL, 1));
	INVALID("stream.host_function_null", cuLaunchHostFunc(stream, NULL, NULL));
	IS("stream.attach_nowhere", UNSAID, cuStreamAttachMemAsync(stream, NOWHERE, 0, CU_MEM_ATTACH_SINGLE));
	INVALID("stream.attach_flags", cuStreamAttachMemAsync(stream, memory, 0, 0xff00));
	IS("stream.attribute_unknown", UNSAID, cuStreamGetAttribute(stream, (CUstreamAttrID)99, &value));
	IS("stream.attribute_of_launch", UNSAID, cuStreamGetAttribute(stream, CU_LAUNCH_ATTRIBUTE_COOPERATIVE, &value));
	OURS_INVALID("stream.attribute_null", cuStreamGetAttribute(stream, CU_LAUNCH_ATTRIBUTE_PRIORITY, NULL));
	IS("stream.set_attribute_unknown", UNSAID, cuStreamSetAttribute(stream, (CUstreamAttrID)99, &value));
	INVALID("stream.value_misaligned", cuStreamWriteValue32_v2(stream, memory + 2, 1, 0));
	INVALID("stream.value_64_misaligned", cuStreamWriteValue64_v2(stream, memory + 4, 1, 0));
	INVALID("stream.value_nowhere", cuStreamWriteValue32_v2(stream, NOWHERE, 1, 0));
	INVALID("stream.value_flags", cuStreamWriteValue32_v2(stream, memory, 1, 0xff00));
	INVALID("stream.wait_value_flags", cuStreamWaitValue32_v2(stream, memory, 0, 0xff00));
	IS("stream.batch_0", UNSAID, cuStreamBatchMemOp_v2(stream, 0, NULL, 0));
	OURS_INVALID("stream.batch_null", cuStreamBatchMemOp_v2(stream, 1, NULL, 0));
}

void event_calls(void)
{
	CUevent event, untimed, other = NULL;
	CUipcEventHandle handle;
	float time;

	INVALID("event.create_flags", cuEventCreate(&other, 0xff00));
	INVALID("event.create_null", cuEventCreate(NULL, 0));
	INVALID("event.create_shared_timed", cuEventCreate(&other, CU_EVENT_INTERPROCESS));
	IS("event.create", CUDA_SUCCESS, cuEventCreate(&event, 0));
	IS("event.create_untimed", CUDA_SUCCESS, cuEventCreate(&untimed, CU_EVENT_DISABLE_TIMING));
	IS("event.query_null", CUDA_ERROR_INVALID_HANDLE, cuEventQuery(NULL));
	IS("event.record_null", CUDA_ERROR_INVALID_HANDLE, cuEventRecord(NULL, stream));
	IS("event.synchronize_null", CUDA_ERROR_INVALID_HANDLE, cuEventSynchronize(NULL));
	IS("event.destroy_null", CUDA_ERROR_INVALID_HANDLE, cuEventDestroy_v2(NULL));
	IS("event.query_unrecorded", CUDA_SUCCESS, cuEventQuery(event));
	IS("event.synchronize_unrecorded", CUDA_SUCCESS, cuEventSynchronize(event));
	IS("event.wait_unrecorded", CUDA_SUCCESS, cuStreamWaitEvent(stream, event, 0));
	INVALID("event.wait_flags", cuStreamWaitEvent(stream, event, 0xff00));
	INVALID("event.record_flags", cuEventRecordWithFlags(event, stream, 0xff00));
	IS("event.elapsed_unrecorded", CUDA_ERROR_INVALID_HANDLE, cuEventElapsedTime(&time, event, event));
	IS("event.elapsed_null_event", CUDA_ERROR_INVALID_HANDLE, cuEventElapsedTime(&time, NULL, event));
	IS("event.record", CUDA_SUCCESS, cuEventRecord(event, stream));
	IS("event.record_untimed", CUDA_SUCCESS, cuEventRecord(untimed, stream));
	IS("event.elapsed_untimed", CUDA_ERROR_INVALID_HANDLE, cuEventElapsedTime(&time, event, untimed));
	/* The driver names the handles, which are right. */
	UNLIKE("event.elapsed_null", CUDA_ERROR_INVALID_VALUE, cuEventElapsedTime(NULL, event, event));
	IS("event.elapsed_itself", CUDA_SUCCESS, cuEventElapsedTime(&time, event, event));
	IS("event.share_unshared", UNSAID, cuIpcGetEventHandle(&handle, event));
	IS("event.share_null", UNSAID, cuIpcGetEventHandle(&handle, NULL));
	INVALID("event.share_no_handle", cuIpcGetEventHandle(NULL, event));
	IS("event.destroy", CUDA_SUCCESS, cuEventDestroy_v2(event));
}

void capture_calls(void)
{
	CUstreamCaptureMode mode = (CUstreamCaptureMode)77;
	CUstreamCaptureStatus status;
	CUstream side;
	CUevent event;
	CUgraph graph = NULL;

	IS("capture.default", CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED,
	   cuStreamBeginCapture_v2(NULL, CU_STREAM_CAPTURE_MODE_RELAXED));
	INVALID("capture.mode", cuStreamBeginCapture_v2(stream, mode));
	/* The driver takes the mode that there is not. */
	OURS_INVALID("capture.exchange", cuThreadExchangeStreamCaptureMode(&mode));
	OURS_INVALID("capture.exchange_null", cuThreadExchangeStreamCaptureMode(NULL));
	IS("capture.end_without", CUDA_ERROR_ILLEGAL_STATE, cuStreamEndCapture(stream, &graph));
	IS("capture.is_null", CUDA_ERROR_INVALID_VALUE, cuStreamIsCapturing(stream, NULL));
	IS("capture.is_of_default", CUDA_SUCCESS, cuStreamIsCapturing(NULL, &status));
	IS("capture.event", CUDA_SUCCESS, cuEventCreate(&event, 0));
	IS("capture.side", CUDA_SUCCESS, cuStreamCreate(&side, CU_STREAM_NON_BLOCKING));

	/* A synchronisation of what told() asks would end it: it asks no context meanwhile. */
	context = NULL;
	IS("capture.begin", CUDA_SUCCESS, cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_RELAXED));
	IS("capture.begin_again", CUDA_ERROR_ILLEGAL_STATE,
	   cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_RELAXED));
	UNLIKE("capture.end_null", UNSAID, cuStreamEndCapture(stream, NULL));
	IS("capture.still", CUDA_SUCCESS, cuStreamIsCapturing(stream, &status));
	printf("unlike capture.still_is %d\n", status);
	UNLIKE("capture.end_perhaps", UNSAID, cuStreamEndCapture(stream, &graph));

	IS("capture.begin_2", CUDA_SUCCESS, cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_RELAXED));
	IS("capture.record", CUDA_SUCCESS, cuEventRecord(event, stream));
	IS("capture.event_query", CUDA_ERROR_CAPTURED_EVENT, cuEventQuery(event));
	IS("capture.event_query_status", CUDA_SUCCESS, cuStreamIsCapturing(stream, &status));
	printf("result capture.event_query_status_is %d\n", status);
	IS("capture.end_2", UNSAID, cuStreamEndCapture(stream, &graph));

	IS("capture.begin_3", CUDA_SUCCESS, cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_RELAXED));
	IS("capture.synchronize", CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, cuStreamSynchronize(stream));
	IS("capture.query", UNSAID, cuStreamQuery(stream));
	IS("capture.fill", CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, cuMemsetD8Async(memory, 0, 16, stream));
	IS("capture.end_3", CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, cuStreamEndCapture(stream, &graph));
	printf("result capture.end_3_graph %d\n", graph != NULL);

	IS("capture.begin_4", CUDA_SUCCESS, cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_RELAXED));
	IS("capture.fork", CUDA_SUCCESS, cuEventRecord(event, stream));
	IS("capture.fork_wait", CUDA_SUCCESS, cuStreamWaitEvent(side, event, 0));
	IS("capture.fork_fill", CUDA_SUCCESS, cuMemsetD8Async(memory, 0, 16, side));
	IS("capture.end_side", CUDA_ERROR_STREAM_CAPTURE_UNMATCHED, cuStreamEndCapture(side, &graph));
	IS("capture.end_4", UNSAID, cuStreamEndCapture(stream, &graph));

	IS("capture.begin_5", CUDA_SUCCESS, cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_RELAXED));
	IS("capture.legacy_fill", CUDA_ERROR_STREAM_CAPTURE_IMPLICIT, cuMemsetD8Async(memory, 0, 16, NULL));
	IS("capture.end_5", CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, cuStreamEndCapture(stream, &graph));
	IS("capture.wait_captured", UNSAID, cuEventQuery(event));
}

static CUDA_MEMSET_NODE_PARAMS fill(unsigned int element, size_t width, size_t height, size_t pitch)
{
	return (CUDA_MEMSET_NODE_PARAMS){
		.dst = memory, .pitch = pitch, .value = 0, .elementSize = element, .width = width, .height = height};
}

void graph_calls(void)
{
	CUDA_MEMSET_NODE_PARAMS parameters = fill(4, 4, 1, 0), told_parameters;
	CUDA_KERNEL_NODE_PARAMS kernel = {.gridDimX = 1, .gridDimY = 1, .gridDimZ = 1};
	CUDA_HOST_NODE_PARAMS host = {0};
	CUgraphExecUpdateResultInfo info;
	CUgraph graph = NULL, other = NULL, clone = NULL;
	CUgraphNode first, second, foreign, found;
	CUgraphEdgeData edge = {.type = 99};
	CUgraphExec exec = NULL;
	CUuserObject object;
	size_t count = 0;

	INVALID("graph.create_flags", cuGraphCreate(&graph, 1));
	INVALID("graph.create_null", cuGraphCreate(NULL, 0));
	INVALID("graph.destroy_null", cuGraphDestroy(NULL));
	IS("graph.create", CUDA_SUCCESS, cuGraphCreate(&graph, 0));
	IS("graph.create_other", CUDA_SUCCESS, cuGraphCreate(&other, 0));
	INVALID("graph.empty_null", cuGraphAddEmptyNode(NULL, graph, NULL, 0));
	INVALID("graph.empty_of_null", cuGraphAddEmptyNode(&first, NULL, NULL, 0));
	INVALID("graph.empty_null_dependencies", cuGraphAddEmptyNode(&first, graph, NULL, 1));
	IS("graph.empty", CUDA_SUCCESS, cuGraphAddEmptyNode(&first, graph, NULL, 0));
	IS("graph.empty_other", CUDA_SUCCESS, cuGraphAddEmptyNode(&foreign, other, NULL, 0));
	INVALID("graph.dependency_foreign", cuGraphAddEmptyNode(&second, graph, &foreign, 1));
	INVALID("graph.dependency_twice", cuGraphAddEmptyNode(&second, graph, (CUgraphNode[]){first, first}, 2));
	IS("graph.fill", CUDA_SUCCESS, cuGraphAddMemsetNode(&second, graph, &first, 1, &parameters, context));
	INVALID("graph.edge_twice", cuGraphAddDependencies_v2(graph, &first, &second, NULL, 1));
	INVALID("graph.edge_itself", cuGraphAddDependencies_v2(graph, &first, &first, NULL, 1));
	INVALID("graph.edge_foreign", cuGraphAddDependencies_v2(graph, &first, &foreign, NULL, 1));
	IS("graph.edge_type", UNSAID, cuGraphAddDependencies_v2(graph, &second, &first, &edge, 1));
	INVALID("graph.edge_none_removed", cuGraphRemoveDependencies_v2(graph, &second, &first, NULL, 1));
	IS("graph.edges_0", CUDA_SUCCESS, cuGraphAddDependencies_v2(graph, NULL, NULL, NULL, 0));
	INVALID("graph.nodes_null", cuGraphGetNodes(graph, NULL, NULL));
	INVALID("graph.nodes_of_null", cuGraphGetNodes(NULL, NULL, &count));
	INVALID("graph.type_null", cuGraphNodeGetType(first, NULL));
	INVALID("graph.type_of_null", cuGraphNodeGetType(NULL, (CUgraphNodeType *)&count));
	INVALID("graph.parameters_of_another_type", cuGraphMemsetNodeGetParams(first, &told_parameters));
	parameters = fill(3, 4, 1, 0);
	INVALID("graph.fill_element", cuGraphAddMemsetNode(&found, graph, NULL, 0, &parameters, context));
	parameters = fill(4, 0, 1, 0);
	IS("graph.fill_width_0", UNSAID, cuGraphAddMemsetNode(&found, other, NULL, 0, &parameters, context));
	parameters = fill(4, 16, 4, 8);
	IS("graph.fill_pitch_small", UNSAID, cuGraphAddMemsetNode(&found, other, NULL, 0, &parameters, context));
	parameters = fill(4, 4, 1, 0);
	parameters.dst = NOWHERE;
	INVALID("graph.fill_nowhere", cuGraphAddMemsetNode(&found, other, NULL, 0, &parameters, context));
	parameters = fill(4, 4, 1, 0);
	IS("graph.fill_no_context", UNSAID, cuGraphAddMemsetNode(&found, other, NULL, 0, &parameters, NULL));
	INVALID("graph.fill_null", cuGraphAddMemsetNode(&found, other, NULL, 0, NULL, context));
	IS("graph.kernel_none", UNSAID, cuGraphAddKernelNode_v2(&found, other, NULL, 0, &kernel));
	INVALID("graph.kernel_null", cuGraphAddKernelNode_v2(&found, other, NULL, 0, NULL));
	INVALID("graph.host_none", cuGraphAddHostNode(&found, other, NULL, 0, &host));
	IS("graph.record_none", UNSAID, cuGraphAddEventRecordNode(&found, other, NULL, 0, NULL));
	OURS_INVALID("graph.child_itself", cuGraphAddChildGraphNode(&found, graph, NULL, 0, graph));
	IS("graph.child_none", UNSAID, cuGraphAddChildGraphNode(&found, graph, NULL, 0, NULL));
	INVALID("graph.clone_null", cuGraphClone(NULL, graph));
	IS("graph.clone", CUDA_SUCCESS, cuGraphClone(&clone, graph));
	INVALID("graph.find_foreign", cuGraphNodeFindInClone(&found, foreign, clone));
	IS("graph.find_in_original", UNSAID, cuGraphNodeFindInClone(&found, first, graph));
	INVALID("graph.instantiate_none", cuGraphInstantiateWithFlags(&exec, NULL, 0));
	INVALID("graph.instantiate_null", cuGraphInstantiateWithFlags(NULL, graph, 0));
	INVALID("graph.instantiate_flags", cuGraphInstantiateWithFlags(&exec, graph, 0xff00));
	IS("graph.instantiate", CUDA_SUCCESS, cuGraphInstantiateWithFlags(&exec, graph, 0));
	IS("graph.launch_null", UNSAID, cuGraphLaunch(NULL, stream));
	IS("graph.launch", CUDA_SUCCESS, cuGraphLaunch(exec, stream));
	INVALID("graph.exec_another_type", cuGraphExecMemsetNodeSetParams(exec, first, &parameters, context));
	IS("graph.exec_foreign", UNSAID, cuGraphExecMemsetNodeSetParams(exec, foreign, &parameters, context));
	IS("graph.exec_update_itself", CUDA_SUCCESS, cuGraphExecUpdate_v2(exec, graph, &info));
	IS("graph.exec_update", CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE, cuGraphExecUpdate_v2(exec, other, &info));
	printf("result graph.exec_update_why %d\n", info.result);
	INVALID("graph.exec_update_null", cuGraphExecUpdate_v2(exec, NULL, &info));
	UNLIKE("graph.exec_update_no_info", UNSAID, cuGraphExecUpdate_v2(exec, graph, NULL));
	IS("graph.exec_enable_empty", UNSAID, cuGraphNodeSetEnabled(exec, first, 0));
	IS("graph.cycle", UNSAID, cuGraphAddDependencies_v2(graph, &second, &first, NULL, 1));
	IS("graph.cycle_instantiate", UNSAID, cuGraphInstantiateWithFlags(&exec, graph, 0));
	INVALID("graph.destroy_node_null", cuGraphDestroyNode(NULL));
	INVALID("graph.exec_destroy_null", cuGraphExecDestroy(NULL));
	INVALID("graph.object_null", cuUserObjectCreate(NULL, NULL, nothing_done, 1, 1));
	INVALID("graph.object_flags", cuUserObjectCreate(&object, NULL, nothing_done, 1, 0));
	INVALID("graph.object_references", cuUserObjectCreate(&object, NULL, nothing_done, 0, 1));
	INVALID("graph.object_function", cuUserObjectCreate(&object, NULL, NULL, 1, 1));
	INVALID("graph.object_retain_null", cuUserObjectRetain(NULL, 1));
	INVALID("graph.memory_attribute", cuDeviceGetGraphMemAttribute(0, (CUgraphMem_attribute)99, &count));
	IS("graph.dot_nowhere", UNSAID, cuGraphDebugDotPrint(graph, "/nonexistent/file", 0));
}
