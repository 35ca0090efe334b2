/* SPDX-License-Identifier: Apache-2.0 */
/* What is charged of graphs' memory where the driver gives out its addresses again, which only NVIDIA's does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "executor.h"
#include "graph.h"
#include "limit.h"

#define GRAPH VGPU_ID(VGPU_KIND_GRAPH, 1)
#define EXEC  VGPU_ID(VGPU_KIND_GRAPH_EXEC, 1)

static const struct graph_memory_place here = {.graph = GRAPH};
static struct vgpu_executor_counters counters;
static struct executor executor;
static uint64_t charged;

void reserve_graphs_charged(struct executor *of, uint64_t bytes)
{
	of->reserves.graphs_live += bytes;
}

void reserve_graphs_freed(struct executor *of, uint64_t bytes)
{
	of->reserves.graphs_live -= bytes;
	/* What is kept is charged before the node's own charge ends. */
	assert_true(of->reserves.graphs_live + bytes == charged);
}

CUresult reserve_charge(struct executor *of, uint64_t bytes)
{
	(void)of;
	charged += bytes;
	return CUDA_SUCCESS;
}

void memory_release(struct executor *of, uint64_t bytes)
{
	(void)of;
	assert_true(bytes <= charged);
	charged -= bytes;
}

bool graph_is_in(const struct executor *of, uint32_t graph, uint32_t root)
{
	(void)of;
	return graph == root;
}

static void make(enum vgpu_kind kind, uint32_t id)
{
	assert_int_equal(handles_reserve(&executor.handles, kind, id), CUDA_SUCCESS);
	handles_mint(&executor.handles, id, 0, &executor);
}

static int setup(void **state)
{
	(void)state;
	executor.counters = &counters;
	make(VGPU_KIND_GRAPH, GRAPH);
	return 0;
}

static void instantiate(void)
{
	assert_int_equal(graph_memory_check_instantiate(&executor, GRAPH, EXEC), CUDA_SUCCESS);
	make(VGPU_KIND_GRAPH_EXEC, EXEC);
	graph_memory_instantiate(&executor, GRAPH, EXEC);
}

/* The graph and its executable end. */
static void end(void)
{
	handles_forget(&executor.handles, GRAPH);
	graph_memory_settle(&executor);
	handles_forget(&executor.handles, EXEC);
	graph_memory_settle(&executor);
}

static void allocates(CUdeviceptr address, uint64_t bytes)
{
	assert_int_equal(graph_memory_admit(&executor, bytes), CUDA_SUCCESS);
	graph_memory_add(&executor, CUDA_SUCCESS, here, address, bytes);
}

static void frees(CUdeviceptr address)
{
	assert_int_equal(graph_memory_admit(&executor, 0), CUDA_SUCCESS);
	graph_memory_add(&executor, CUDA_SUCCESS, here, address, 0);
}

static void expect_nothing(void)
{
	assert_int_equal(charged, 0);
	assert_int_equal(counters.memory_bytes, 0);
	assert_int_equal(executor.graph_memories.count, 0);
}

static void same_address(void **state)
{
	(void)state;
	for (int turn = 0; turn < 10; turn++) {
		allocates(0x10000, 0x1000);
		frees(0x10000);
	}
	assert_int_equal(charged, 0x1000);
	allocates(0x10000, 0x4000);
	frees(0x10000);
	allocates(0x11000, 0x1000);
	frees(0x11000);
	assert_int_equal(charged, 0x4000);
	instantiate();
	graph_memory_launch(&executor, EXEC);
	end();
	expect_nothing();
}

static void overlapping(void **state)
{
	(void)state;
	allocates(0x10000, 0x4000);
	frees(0x10000);
	allocates(0x12000, 0x4000);
	frees(0x12000);
	allocates(0x13000, 0x1000);
	frees(0x13000);
	instantiate();
	graph_memory_launch(&executor, EXEC);
	end();
	expect_nothing();
}

/* The last of those that had the address is not freed in the graph. */
static void left_allocated(void **state)
{
	(void)state;
	allocates(0x10000, 0x1000);
	frees(0x10000);
	allocates(0x10000, 0x1000);
	instantiate();
	graph_memory_launch(&executor, EXEC);
	graph_memory_launch(&executor, EXEC);
	end();
	assert_int_equal(charged, 0x1000);
	graph_memory_free(&executor, 0x10000);
	expect_nothing();
	graph_memory_free(&executor, 0x10000);
	expect_nothing();
}

static void never_launched(void **state)
{
	(void)state;
	allocates(0x10000, 0x1000);
	instantiate();
	graph_memory_free(&executor, 0x10000);
	assert_int_equal(charged, 0x1000);
	end();
	expect_nothing();
}

static void as_many_as_may_be(void **state)
{
	uint32_t count = 0;

	(void)state;
	while (!graph_memory_admit(&executor, 0x1000)) {
		graph_memory_add(&executor, CUDA_SUCCESS, here, 0x10000 + (uint64_t)count * 0x1000, 0x1000);
		count++;
		assert_true(count < 1u << 20);
	}
	assert_true(count >= 1u << 10);
	assert_int_equal(charged, (uint64_t)count * 0x1000);
	end();
	expect_nothing();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(same_address, setup),	  cmocka_unit_test_setup(overlapping, setup),
		cmocka_unit_test_setup(left_allocated, setup),	  cmocka_unit_test_setup(never_launched, setup),
		cmocka_unit_test_setup(as_many_as_may_be, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
