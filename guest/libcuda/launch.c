/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Launches: checked here against what is known of device and function, so that
 * the program gets its error from this call as on the real driver, and written
 * straight into the command ring.
 */
#include <stdlib.h>
#include <string.h>

#include "capture.h"
#include "context.h"
#include "device.h"
#include "event.h"
#include "function.h"
#include "host_calls.h"
#include "launch.h"
#include "mirror.h"
#include "session.h"

struct launch {
	CUfunction function;
	uint32_t grid[3];
	uint32_t block[3];
	uint32_t shared_bytes;
	CUstream stream;
	void **parameters;
	void **extra;
	const CUlaunchAttribute *attributes;
	uint32_t attribute_count;
	bool cooperative;
	bool per_thread_default;
};

/* A launch's parameters in one buffer, given by cuLaunchKernel's 'extra'. */
struct parameter_buffer {
	const void *data;
	size_t bytes;
};

/* More threads than the kernel allows: by its own bound, or for want of registers (measured on driver 580). */
static CUresult threads_error(const struct device_limits *limits, const struct function_info *info, uint64_t threads)
{
	uint64_t registers = (uint32_t)info->values[CU_FUNC_ATTRIBUTE_NUM_REGS];

	return registers * threads > limits->block_registers ? CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES
							     : CUDA_ERROR_INVALID_VALUE;
}

static CUresult shape_check(const struct launch *launch, const struct device_limits *limits,
			    const struct function_info *info)
{
	uint64_t threads = 1;

	for (int i = 0; i < 3; i++) {
		if (launch->grid[i] == 0 || launch->grid[i] > limits->grid[i] || launch->block[i] == 0 ||
		    launch->block[i] > limits->block[i])
			return CUDA_ERROR_INVALID_VALUE;
		threads *= launch->block[i];
	}
	if (threads > limits->block_threads)
		return CUDA_ERROR_INVALID_VALUE;
	if (info->results[CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK] == CUDA_SUCCESS &&
	    threads > (uint32_t)info->values[CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK])
		return threads_error(limits, info, threads);
	if (info->results[CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES] == CUDA_SUCCESS &&
	    launch->shared_bytes > (uint32_t)info->values[CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES])
		return CUDA_ERROR_INVALID_VALUE;
	return CUDA_SUCCESS;
}

static CUresult extra_read(void **extra, struct parameter_buffer *ret_buffer)
{
	struct parameter_buffer buffer = {0};
	const size_t *bytes = NULL;

	for (; *extra != CU_LAUNCH_PARAM_END; extra += 2) {
		if (*extra == CU_LAUNCH_PARAM_BUFFER_POINTER)
			buffer.data = extra[1];
		else if (*extra == CU_LAUNCH_PARAM_BUFFER_SIZE)
			bytes = extra[1];
		else
			return CUDA_ERROR_INVALID_VALUE;
	}
	if (!buffer.data || !bytes)
		return CUDA_ERROR_INVALID_VALUE;
	buffer.bytes = *bytes;
	*ret_buffer = buffer;
	return CUDA_SUCCESS;
}

CUresult launch_attributes_translate(const CUlaunchAttribute *attributes, uint32_t count,
				     struct vgpu_launch_attribute *wire)
{
	if (count > VGPU_LAUNCH_ATTRIBUTES_MAX || (count && !attributes))
		return CUDA_ERROR_INVALID_VALUE;
	for (uint32_t i = 0; i < count; i++) {
		const CUlaunchAttribute *attribute = &attributes[i];
		CUevent event = NULL;

		wire[i] = (struct vgpu_launch_attribute){.id = (uint32_t)attribute->id};
		memcpy(wire[i].value, &attribute->value, sizeof(wire[i].value));
		if (attribute->id == CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_EVENT)
			event = attribute->value.programmaticEvent.event;
		else if (attribute->id == CU_LAUNCH_ATTRIBUTE_LAUNCH_COMPLETION_EVENT)
			event = attribute->value.launchCompletionEvent.event;
		else if (attribute->id == CU_LAUNCH_ATTRIBUTE_DEVICE_UPDATABLE_KERNEL_NODE)
			return CUDA_ERROR_NOT_SUPPORTED;
		else
			continue;
		if (event_id_escaping(event, &wire[i].handle))
			return CUDA_ERROR_INVALID_HANDLE;
		/* The pointer means nothing to the host. */
		memset(wire[i].value, 0, sizeof(event));
	}
	return CUDA_SUCCESS;
}

/* Copies the parameters to where the kernel expects them. */
static CUresult parameters_check(const struct launch *launch, const struct function_info *info,
				 struct parameter_buffer *ret_buffer)
{
	if (launch->extra && launch->parameters)
		return CUDA_ERROR_INVALID_VALUE;
	if (launch->extra)
		return extra_read(launch->extra, ret_buffer);
	*ret_buffer = (struct parameter_buffer){.bytes = info->parameter_bytes};
	return info->parameter_count && !launch->parameters ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

static void parameters_copy(const struct launch *launch, const struct function_info *info,
			    const struct parameter_buffer *buffer, uint8_t *to, size_t padded_bytes)
{
	if (buffer->data) {
		memcpy(to, buffer->data, buffer->bytes);
		memset(to + buffer->bytes, 0, padded_bytes - buffer->bytes);
		return;
	}
	/* Gaps between parameters are not left as the ring had them. */
	memset(to, 0, padded_bytes);
	for (uint32_t i = 0; i < info->parameter_count; i++)
		memcpy(to + info->parameters[i].offset, launch->parameters[i], info->parameters[i].bytes);
}

static struct vgpu_launch launch_wire(const struct launch *launch, uint32_t function, uint32_t stream,
				      size_t parameter_bytes)
{
	return (struct vgpu_launch){
		.function = function,
		.stream = stream,
		.grid = {launch->grid[0], launch->grid[1], launch->grid[2]},
		.block = {launch->block[0], launch->block[1], launch->block[2]},
		.shared_bytes = launch->shared_bytes,
		.parameter_bytes = (uint32_t)parameter_bytes,
		.attribute_count = launch->attribute_count,
		.cooperative = launch->cooperative,
	};
}

static CUresult launch_place(const struct launch *launch, uint32_t context, uint32_t function, uint32_t stream,
			     const struct function_info *info, const struct parameter_buffer *buffer,
			     const struct vgpu_launch_attribute *attributes)
{
	size_t attribute_bytes = launch->attribute_count * sizeof(attributes[0]);
	size_t padded_bytes = (buffer->bytes + 7) & ~(size_t)7;
	struct vgpu_launch *wire;
	uint8_t *behind;
	void *payload;
	CUresult result;

	result = channel_begin(session.channel, VGPU_OPCODE_LAUNCH, context,
			       sizeof(*wire) + padded_bytes + attribute_bytes, NULL, &payload);
	if (result)
		return result;
	wire = payload;
	*wire = launch_wire(launch, function, stream, buffer->bytes);
	behind = (uint8_t *)(wire + 1);
	parameters_copy(launch, info, buffer, behind, padded_bytes);
	if (attribute_bytes)
		memcpy(behind + padded_bytes, attributes, attribute_bytes);
	channel_commit(session.channel);
	return CUDA_SUCCESS;
}

/* The parameters may lie in mirrored memory, which is not to be touched between begin and end. */
static CUresult launch_place_mirrored(const struct launch *launch, uint32_t context, uint32_t function, uint32_t stream,
				      const struct function_info *info, const struct parameter_buffer *buffer,
				      const struct vgpu_launch_attribute *attributes)
{
	const struct mirror_use use = {.is_everything = true, .context = context, .stream = stream};
	size_t padded_bytes = (buffer->bytes + 7) & ~(size_t)7;
	uint8_t *copy = malloc(padded_bytes + 1);
	const struct parameter_buffer own = {.data = copy, .bytes = buffer->bytes};
	CUresult result;

	if (!copy)
		return CUDA_ERROR_OUT_OF_MEMORY;
	parameters_copy(launch, info, buffer, copy, padded_bytes);
	result = mirror_use_begin(&use);
	if (!result) {
		result = launch_place(launch, context, function, stream, info, &own, attributes);
		mirror_use_end();
	}
	free(copy);
	return result;
}

static CUresult launch_post(const struct launch *launch, uint32_t context, uint32_t function, uint32_t stream,
			    const struct function_info *info)
{
	struct vgpu_launch_attribute attributes[VGPU_LAUNCH_ATTRIBUTES_MAX];
	struct parameter_buffer buffer;
	size_t padded_bytes;
	CUresult result;

	result = parameters_check(launch, info, &buffer);
	if (!result && launch->attribute_count)
		result = launch_attributes_translate(launch->attributes, launch->attribute_count, attributes);
	if (result)
		return result;
	if (buffer.bytes > FUNCTION_PARAMETER_BYTES_MAX)
		return CUDA_ERROR_INVALID_VALUE;
	padded_bytes = (buffer.bytes + 7) & ~(size_t)7;
	/* More than the kernel has, beyond padding (measured, driver 580). */
	if (padded_bytes > ((info->parameter_bytes + 7u) & ~(size_t)7))
		return CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES;
	return mirrors_exist() ? launch_place_mirrored(launch, context, function, stream, info, &buffer, attributes)
			       : launch_place(launch, context, function, stream, info, &buffer, attributes);
}

static uint64_t hash_add(uint64_t hash, uint64_t value)
{
	return (hash ^ value) * 0x100000001b3; /* FNV-1a, by words */
}

/*
 * What launches that the driver takes or refuses together have in common, as far as it is not checked here: a block
 * of another shape than the kernel requires, a cluster or a cooperative grid that does not fit. Never 0.
 */
static uint64_t launch_kind(const struct launch *launch)
{
	uint64_t hash =
		launch->block[0] | (uint64_t)launch->block[1] << 20 | (uint64_t)launch->block[2] << 40 | 1ull << 63;

	if (launch->cooperative)
		hash = hash_add(hash, (uint64_t)launch->grid[0] * launch->grid[1] * launch->grid[2]);
	if (launch->cooperative || launch->attribute_count)
		hash = hash_add(hash, launch->shared_bytes);
	for (uint32_t i = 0; i < launch->attribute_count; i++) {
		const CUlaunchAttribute *attribute = &launch->attributes[i];

		hash = hash_add(hash, attribute->id);
		if (attribute->id == CU_LAUNCH_ATTRIBUTE_COOPERATIVE && attribute->value.cooperative)
			hash = hash_add(hash, (uint64_t)launch->grid[0] * launch->grid[1] * launch->grid[2]);
		if (attribute->id == CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION)
			hash = hash_add(hash, attribute->value.clusterDim.x |
						      (uint64_t)attribute->value.clusterDim.y << 21 |
						      (uint64_t)attribute->value.clusterDim.z << 42);
	}
	return hash | 1ull << 63;
}

/* A kernel that is launched with ever other blocks requires none: its plain launches are not waited for any more. */
#define PROOFS_MAX 16

/* May the host refuse what cannot be checked here? A function's first launch also loads it. */
static bool launch_is_doubtful(const struct launch *launch, const struct function *function, uint64_t kind)
{
	for (int i = 0; i < LAUNCH_KINDS_PROVEN; i++) {
		if (__atomic_load_n(&function->proven[i], __ATOMIC_RELAXED) == kind)
			return false;
	}
	return launch->cooperative || launch->attribute_count ||
	       __atomic_load_n(&function->proofs, __ATOMIC_RELAXED) < PROOFS_MAX;
}

static void launch_prove(struct function *function, uint64_t kind)
{
	uint32_t number = __atomic_fetch_add(&function->proofs, 1, __ATOMIC_RELAXED);

	__atomic_store_n(&function->proven[number % LAUNCH_KINDS_PROVEN], kind, __ATOMIC_RELAXED);
}

static CUresult launch_wait(uint32_t context, uint32_t stream)
{
	if (!session.is_launch_blocking || __atomic_load_n(&captures_open, __ATOMIC_ACQUIRE))
		return capture_settle(context, stream);
	return host_cuStreamSynchronize(context, stream);
}

static CUresult launch_issue(const struct launch *launch)
{
	const struct function_info *info;
	struct function *function;
	uint32_t context, stream;
	uint64_t kind;
	CUdevice device;
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, &context);

	if (__builtin_expect(result != CUDA_SUCCESS, 0))
		return result;
	function = function_find(launch->function);
	if (__builtin_expect(!function, 0))
		return CUDA_ERROR_INVALID_HANDLE;
	result = stream_id(launch->stream, launch->per_thread_default, &stream);
	if (__builtin_expect(result != CUDA_SUCCESS, 0))
		return result;
	device = (CUdevice)thread_state.current->words[CONTEXT_DEVICE];
	result = function_info_get(function, context, device, &info);
	if (__builtin_expect(result != CUDA_SUCCESS, 0))
		return result;
	result = shape_check(launch, device_limits_of(device), info);
	if (__builtin_expect(result != CUDA_SUCCESS, 0))
		return result;
	result = launch_post(launch, context, function->object->id, stream, info);
	if (__builtin_expect(result != CUDA_SUCCESS, 0))
		return result;
	kind = launch_kind(launch);
	if (__builtin_expect(!launch_is_doubtful(launch, function, kind), 1))
		return launch_wait(context, stream);
	result = capture_settle_open(context, stream);
	if (result)
		return result;
	launch_prove(function, kind);
	return launch_wait(context, stream);
}

CUresult launch_record_make(const CUDA_KERNEL_NODE_PARAMS *node, uint32_t context, CUdevice device,
			    struct launch_record **ret_record)
{
	const struct launch launch = {
		.function = node->func ? node->func : (CUfunction)node->kern,
		.grid = {node->gridDimX, node->gridDimY, node->gridDimZ},
		.block = {node->blockDimX, node->blockDimY, node->blockDimZ},
		.shared_bytes = node->sharedMemBytes,
		.parameters = node->kernelParams,
		.extra = node->extra,
	};
	struct function *function = function_find(launch.function);
	const struct function_info *info;
	struct parameter_buffer buffer;
	struct launch_record *record;
	size_t padded_bytes;
	CUresult result;

	if (!function)
		return CUDA_ERROR_INVALID_HANDLE;
	result = function_info_get(function, context, device, &info);
	if (!result)
		result = shape_check(&launch, device_limits_of(device), info);
	if (!result)
		result = parameters_check(&launch, info, &buffer);
	if (result)
		return result;
	if (buffer.bytes > FUNCTION_PARAMETER_BYTES_MAX)
		return CUDA_ERROR_INVALID_VALUE;
	padded_bytes = (buffer.bytes + 7) & ~(size_t)7;
	record = malloc(sizeof(*record) + padded_bytes + info->parameter_count * sizeof(void *));
	if (!record)
		return CUDA_ERROR_OUT_OF_MEMORY;
	*record = (struct launch_record){
		.parameter_bytes = buffer.bytes,
		.wire_bytes = sizeof(record->wire) + padded_bytes,
		.wire = launch_wire(&launch, function->object->id, 0, buffer.bytes),
	};
	parameters_copy(&launch, info, &buffer, (uint8_t *)(record + 1), padded_bytes);
	if (launch.extra) {
		record->extra[0] = CU_LAUNCH_PARAM_BUFFER_POINTER;
		record->extra[1] = record + 1;
		record->extra[2] = CU_LAUNCH_PARAM_BUFFER_SIZE;
		record->extra[3] = &record->parameter_bytes;
		record->extra[4] = CU_LAUNCH_PARAM_END;
	} else {
		record->parameters = (void **)((uint8_t *)(record + 1) + padded_bytes);
		for (uint32_t i = 0; i < info->parameter_count; i++)
			record->parameters[i] = (uint8_t *)(record + 1) + info->parameters[i].offset;
	}
	*ret_record = record;
	return CUDA_SUCCESS;
}

CUresult launch_record_read(const struct vgpu_launch *wire, size_t bytes, uint32_t context, CUdevice device,
			    CUDA_KERNEL_NODE_PARAMS *ret_node, struct launch_record **ret_record)
{
	struct object *object = bytes < sizeof(*wire) ? NULL : object_by_id(wire->function);
	struct function *function = object ? function_find(object) : NULL;
	const struct function_info *info;
	CUDA_KERNEL_NODE_PARAMS node;
	void **pointers;
	CUresult result;

	if (!function || wire->parameter_bytes > bytes - sizeof(*wire))
		return CUDA_ERROR_UNKNOWN;
	result = function_info_get(function, context, device, &info);
	if (result)
		return result;
	if (wire->parameter_bytes < info->parameter_bytes)
		return CUDA_ERROR_UNKNOWN;
	pointers = malloc((info->parameter_count + 1) * sizeof(void *));
	if (!pointers)
		return CUDA_ERROR_OUT_OF_MEMORY;
	for (uint32_t i = 0; i < info->parameter_count; i++)
		pointers[i] = (uint8_t *)(uintptr_t)(wire + 1) + info->parameters[i].offset;
	node = (CUDA_KERNEL_NODE_PARAMS){
		.func = (CUfunction)object,
		.gridDimX = wire->grid[0],
		.gridDimY = wire->grid[1],
		.gridDimZ = wire->grid[2],
		.blockDimX = wire->block[0],
		.blockDimY = wire->block[1],
		.blockDimZ = wire->block[2],
		.sharedMemBytes = wire->shared_bytes,
		.kernelParams = pointers,
	};
	/* The runtime knows its functions as kernels. */
	if (VGPU_ID_KIND(wire->function) == VGPU_KIND_KERNEL)
		node.kern = (CUkernel)object;
	result = launch_record_make(&node, context, device, ret_record);
	free(pointers);
	if (result)
		return result;
	node.kernelParams = (*ret_record)->parameters;
	*ret_node = node;
	return CUDA_SUCCESS;
}

static struct launch launch_of(CUfunction f, unsigned int grid_x, unsigned int grid_y, unsigned int grid_z,
			       unsigned int block_x, unsigned int block_y, unsigned int block_z,
			       unsigned int shared_bytes, CUstream stream, void **parameters)
{
	return (struct launch){
		.function = f,
		.grid = {grid_x, grid_y, grid_z},
		.block = {block_x, block_y, block_z},
		.shared_bytes = shared_bytes,
		.stream = stream,
		.parameters = parameters,
	};
}

API(cuLaunchKernel, CUfunction f, unsigned int grid_x, unsigned int grid_y, unsigned int grid_z, unsigned int block_x,
    unsigned int block_y, unsigned int block_z, unsigned int shared_bytes, CUstream stream, void **parameters,
    void **extra)
{
	struct launch launch =
		launch_of(f, grid_x, grid_y, grid_z, block_x, block_y, block_z, shared_bytes, stream, parameters);

	launch.extra = extra;
	return launch_issue(&launch);
}

API(cuLaunchKernel_ptsz, CUfunction f, unsigned int grid_x, unsigned int grid_y, unsigned int grid_z,
    unsigned int block_x, unsigned int block_y, unsigned int block_z, unsigned int shared_bytes, CUstream stream,
    void **parameters, void **extra)
{
	struct launch launch =
		launch_of(f, grid_x, grid_y, grid_z, block_x, block_y, block_z, shared_bytes, stream, parameters);

	launch.extra = extra;
	launch.per_thread_default = true;
	return launch_issue(&launch);
}

static CUresult launch_configured(const CUlaunchConfig *config, CUfunction f, void **parameters, void **extra,
				  bool per_thread_default)
{
	if (!config)
		return session_ready() ? CUDA_ERROR_INVALID_VALUE : CUDA_ERROR_NOT_INITIALIZED;
	return launch_issue(&(struct launch){
		.function = f,
		.grid = {config->gridDimX, config->gridDimY, config->gridDimZ},
		.block = {config->blockDimX, config->blockDimY, config->blockDimZ},
		.shared_bytes = config->sharedMemBytes,
		.stream = config->hStream,
		.parameters = parameters,
		.extra = extra,
		.attributes = config->attrs,
		.attribute_count = config->numAttrs,
		.per_thread_default = per_thread_default,
	});
}

API(cuLaunchKernelEx, const CUlaunchConfig *config, CUfunction f, void **parameters, void **extra)
{
	return launch_configured(config, f, parameters, extra, false);
}

API(cuLaunchKernelEx_ptsz, const CUlaunchConfig *config, CUfunction f, void **parameters, void **extra)
{
	return launch_configured(config, f, parameters, extra, true);
}

API(cuLaunchCooperativeKernel, CUfunction f, unsigned int grid_x, unsigned int grid_y, unsigned int grid_z,
    unsigned int block_x, unsigned int block_y, unsigned int block_z, unsigned int shared_bytes, CUstream stream,
    void **parameters)
{
	struct launch launch =
		launch_of(f, grid_x, grid_y, grid_z, block_x, block_y, block_z, shared_bytes, stream, parameters);

	launch.cooperative = true;
	return launch_issue(&launch);
}

API(cuLaunchCooperativeKernel_ptsz, CUfunction f, unsigned int grid_x, unsigned int grid_y, unsigned int grid_z,
    unsigned int block_x, unsigned int block_y, unsigned int block_z, unsigned int shared_bytes, CUstream stream,
    void **parameters)
{
	struct launch launch =
		launch_of(f, grid_x, grid_y, grid_z, block_x, block_y, block_z, shared_bytes, stream, parameters);

	launch.cooperative = true;
	launch.per_thread_default = true;
	return launch_issue(&launch);
}
