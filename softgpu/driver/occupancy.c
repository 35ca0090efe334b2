/* SPDX-License-Identifier: Apache-2.0 */
#include "occupancy.h"

#include "device.h"
#include "driver.h"
#include "entry.h"
#include "module.h"

/* Registers are given to warps in units, shared memory to blocks (compute capability 9.0, occupancy calculator). */
#define REGISTER_UNIT 256
#define SHARED_UNIT   128

static size_t round_up(size_t value, size_t unit)
{
	return (value + unit - 1) / unit * unit;
}

int occupancy_blocks(const struct engine_function_info *info, unsigned threads, size_t dynamic_shared_bytes)
{
	size_t warps = (threads + DEVICE_WARP_LANES - 1) / DEVICE_WARP_LANES;
	size_t blocks = DEVICE_MULTIPROCESSOR_BLOCKS_MAXIMUM, limit, shared, registers;

	if (!warps || threads > info->max_threads_per_block)
		return 0;
	limit = DEVICE_MULTIPROCESSOR_THREADS / DEVICE_WARP_LANES / warps;
	blocks = limit < blocks ? limit : blocks;
	registers = round_up((size_t)info->register_count * DEVICE_WARP_LANES, REGISTER_UNIT) * warps;
	if (registers) {
		limit = DEVICE_REGISTERS / registers;
		blocks = limit < blocks ? limit : blocks;
	}
	if (dynamic_shared_bytes > DEVICE_SHARED_BYTES_OPTIN)
		return 0;
	shared = round_up(info->static_shared_bytes + dynamic_shared_bytes, SHARED_UNIT);
	if (shared > DEVICE_SHARED_BYTES_OPTIN)
		return 0;
	limit = DEVICE_SHARED_BYTES_MULTIPROCESSOR / (shared + DEVICE_SHARED_BYTES_RESERVED);
	return (int)(limit < blocks ? limit : blocks);
}

static CUresult function_get(CUfunction handle, struct function **ret_function)
{
	struct context *context;
	CUresult result = context_current(&context);

	return result ? result : function_acquire(handle, context, ret_function);
}

ENTRY(cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags,
      (int *ret_blocks, CUfunction handle, int threads, size_t shared_bytes, unsigned int flags))
{
	struct function *function;
	CUresult result = function_get(handle, &function);

	if (result)
		return result;
	if (!ret_blocks || threads <= 0 || flags & ~(unsigned)CU_OCCUPANCY_DISABLE_CACHING_OVERRIDE)
		result = CUDA_ERROR_INVALID_VALUE;
	else
		*ret_blocks = occupancy_blocks(&function->info, (unsigned)threads, shared_bytes);
	object_release(&function->object);
	return result;
}

ENTRY(cuOccupancyMaxActiveBlocksPerMultiprocessor,
      (int *ret_blocks, CUfunction handle, int threads, size_t shared_bytes))
{
	return cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(ret_blocks, handle, threads, shared_bytes, 0);
}

ENTRY(cuOccupancyMaxPotentialBlockSizeWithFlags,
      (int *ret_grid, int *ret_threads, CUfunction handle, CUoccupancyB2DSize shared_of_threads, size_t shared_bytes,
       int threads_limit, unsigned int flags))
{
	int best_threads = 0, best_occupancy = 0, best_blocks = 0, maximum;
	struct function *function;
	CUresult result = function_get(handle, &function);

	if (result)
		return result;
	if (!ret_grid || !ret_threads || flags & ~(unsigned)CU_OCCUPANCY_DISABLE_CACHING_OVERRIDE) {
		object_release(&function->object);
		return CUDA_ERROR_INVALID_VALUE;
	}
	maximum = (int)function->info.max_threads_per_block;
	if (threads_limit > 0 && threads_limit < maximum)
		maximum = threads_limit;
	/* From the largest block down by warps: of equal occupancies the largest block wins. */
	for (int threads = maximum; threads > 0; threads = (threads - 1) / DEVICE_WARP_LANES * DEVICE_WARP_LANES) {
		size_t shared = shared_of_threads ? shared_of_threads(threads) : shared_bytes;
		int blocks = occupancy_blocks(&function->info, (unsigned)threads, shared);

		if (blocks * threads > best_occupancy) {
			best_occupancy = blocks * threads;
			best_threads = threads;
			best_blocks = blocks;
		}
	}
	*ret_threads = best_threads;
	*ret_grid = best_blocks * device_multiprocessor_count();
	object_release(&function->object);
	return CUDA_SUCCESS;
}

ENTRY(cuOccupancyMaxPotentialBlockSize, (int *ret_grid, int *ret_threads, CUfunction handle,
					 CUoccupancyB2DSize shared_of_threads, size_t shared_bytes, int threads_limit))
{
	return cuOccupancyMaxPotentialBlockSizeWithFlags(ret_grid, ret_threads, handle, shared_of_threads, shared_bytes,
							 threads_limit, 0);
}

ENTRY(cuOccupancyAvailableDynamicSMemPerBlock, (size_t * ret_bytes, CUfunction handle, int blocks, int threads))
{
	struct function *function;
	size_t each;
	CUresult result = function_get(handle, &function);

	if (result)
		return result;
	if (!ret_bytes || blocks <= 0 || threads <= 0 ||
	    blocks > occupancy_blocks(&function->info, (unsigned)threads, 0)) {
		object_release(&function->object);
		return CUDA_ERROR_INVALID_VALUE;
	}
	each = DEVICE_SHARED_BYTES_MULTIPROCESSOR / (unsigned)blocks - DEVICE_SHARED_BYTES_RESERVED;
	each = each / SHARED_UNIT * SHARED_UNIT;
	if (each > DEVICE_SHARED_BYTES_OPTIN)
		each = DEVICE_SHARED_BYTES_OPTIN;
	*ret_bytes = each > function->info.static_shared_bytes ? each - function->info.static_shared_bytes : 0;
	object_release(&function->object);
	return CUDA_SUCCESS;
}
