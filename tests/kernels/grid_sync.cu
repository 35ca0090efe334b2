/* SPDX-License-Identifier: Apache-2.0 */
/* Cooperative launch: barriers over the whole grid, and cooperative groups within a block. */
#include <cooperative_groups.h>

namespace groups = cooperative_groups;

/* Iterated smoothing between two buffers: each turn needs all blocks' results of the one before. */
extern "C" __global__ void grid_smooth(unsigned *from, unsigned *to, unsigned count, unsigned turns)
{
	groups::grid_group grid = groups::this_grid();
	for (unsigned turn = 0; turn < turns; turn++) {
		for (unsigned i = (unsigned)grid.thread_rank(); i < count; i += (unsigned)grid.size())
			to[i] = from[i] * 3 + from[(i + 1) % count] + from[(i + count - 1) % count];
		grid.sync();
		unsigned *other = from;
		from = to;
		to = other;
	}
}

extern "C" __global__ void group_tiles(const int *input, int *output)
{
	groups::thread_block block = groups::this_thread_block();
	groups::thread_block_tile<8> tile = groups::tiled_partition<8>(block);
	int value = input[block.thread_rank()];
	for (unsigned offset = tile.size() / 2; offset > 0; offset /= 2)
		value += tile.shfl_down(value, offset);
	output[block.thread_rank()] = tile.shfl(value, 0);
	block.sync();
	if (value % 2 == 0) {
		groups::coalesced_group active = groups::coalesced_threads();
		output[block.thread_rank()] += 1000 * (int)active.size();
	}
}
