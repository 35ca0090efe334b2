/* SPDX-License-Identifier: Apache-2.0 */
#include "matrix.h"
#include "half.h"
#include "ptx.h"

#include <string.h>

enum {
	MMA_ROWS = 16,
	MMA_COLUMNS = 8,
	MMA_DEPTH_MAX = 32,
	WMMA_SIDE = 16,
	WMMA_LANE_ELEMENTS = WMMA_SIDE * WMMA_SIDE / WARP_LANES,
};

/* The whole warp takes part: a part of it waits for the rest. */
static bool warp_complete(struct warp *warp, const struct instruction *ins, const struct instruction **ret_next)
{
	if (warp->forced_sync) {
		warp->forced_sync = false;
		return true;
	}
	if (warp->mask == warp->live)
		return true;
	*ret_next = warp_switch(warp, ins, GROUP_WAIT_SYNC, 0);
	return false;
}

static unsigned type_bits(unsigned type)
{
	return 8 * ptx_type_bytes((enum ptx_type)type);
}

static double element_value(unsigned type, uint32_t bits)
{
	float single;

	switch (type) {
	case PTX_F16:
		return half_to_double((uint16_t)bits);
	case PTX_BF16:
		return bfloat_to_double((uint16_t)bits);
	case PTX_S8:
		return (double)(int8_t)bits;
	case PTX_U8:
		return (double)(uint8_t)bits;
	case PTX_S32:
		return (double)(int32_t)bits;
	case PTX_TF32:
		/* The lowest 13 bits are not looked at. */
		bits &= ~UINT32_C(0x1fff);
		__attribute__((fallthrough));
	default:
		memcpy(&single, &bits, sizeof(single));
		return (double)single;
	}
}

static uint32_t element_bits(unsigned type, double value)
{
	float single;
	uint32_t bits;

	switch (type) {
	case PTX_F16:
		return half_from_double(value);
	case PTX_BF16:
		return bfloat_from_double(value);
	case PTX_S32:
		return (uint32_t)(int64_t)value;
	default:
		single = (float)value;
		memcpy(&bits, &single, sizeof(bits));
		return bits;
	}
}

static double register_element(struct warp *warp, uint32_t offset, unsigned lane, unsigned type, unsigned index)
{
	unsigned bits = type_bits(type);
	uint32_t word = lanes32(warp, offset)[lane];

	if (bits < 32)
		word = word >> (index * bits) & ((1u << bits) - 1);
	return element_value(type, word);
}

static void register_element_set(struct warp *warp, uint32_t offset, unsigned lane, unsigned type, unsigned index,
				 double value)
{
	unsigned bits = type_bits(type);
	uint32_t *word = &lanes32(warp, offset)[lane];

	if (bits == 32) {
		*word = element_bits(type, value);
		return;
	}
	uint32_t mask = ((1u << bits) - 1) << (index * bits);

	*word = (*word & ~mask) | (element_bits(type, value) << (index * bits) & mask);
}

/*
 * PTX ISA, fragments of mma.m16n8kX: register r of A holds row lane / 4 (plus 8
 * for odd r), the columns from lane % 4 on; B the same with the roles swapped.
 */
const struct instruction *matrix_multiply(struct warp *warp, const struct instruction *ins)
{
	const struct matrix_operands *m = ins->extra;
	const struct instruction *next;
	double a[MMA_ROWS][MMA_DEPTH_MAX], b[MMA_DEPTH_MAX][MMA_COLUMNS], sums[MMA_ROWS][MMA_COLUMNS];
	unsigned packed = 32 / type_bits(m->a_type), depth = m->b_registers * 4u * packed;

	if (!warp_complete(warp, ins, &next))
		return next;
	for (unsigned lane = 0; lane < WARP_LANES; lane++) {
		unsigned group = lane / 4, place = lane % 4;

		for (unsigned r = 0; r < m->a_registers; r++)
			for (unsigned j = 0; j < packed; j++)
				a[group + 8 * (r & 1)][(place + 4 * (r >> 1)) * packed + j] =
					register_element(warp, m->a[r], lane, m->a_type, j);
		for (unsigned r = 0; r < m->b_registers; r++)
			for (unsigned j = 0; j < packed; j++)
				b[(place + 4 * r) * packed + j][group] =
					register_element(warp, m->b[r], lane, m->b_type, j);
	}
	for (unsigned row = 0; row < MMA_ROWS; row++) {
		for (unsigned column = 0; column < MMA_COLUMNS; column++) {
			double sum = 0;

			for (unsigned k = 0; k < depth; k++)
				sum += a[row][k] * b[k][column];
			sums[row][column] = sum;
		}
	}
	unsigned c_packed = 32 / type_bits(m->c_type), d_packed = 32 / type_bits(m->d_type);

	LANES_OF(warp->mask, lane)
	{
		double values[4];

		for (unsigned i = 0; i < 4; i++)
			values[i] = sums[lane / 4 + 8 * (i >> 1)][lane % 4 * 2 + (i & 1)] +
				    register_element(warp, m->c[i / c_packed], lane, m->c_type, i % c_packed);
		for (unsigned i = 0; i < 4; i++)
			register_element_set(warp, m->d[i / d_packed], lane, m->d_type, i % d_packed, values[i]);
	}
	return ins + 1;
}

const struct instruction *matrix_load(struct warp *warp, const struct instruction *ins)
{
	const struct matrix_operands *m = ins->extra;
	const struct instruction *next;
	uint16_t matrices[4][8][8];

	if (!warp_complete(warp, ins, &next))
		return next;
	/* Lane 8 i + r has the address of row r of matrix i. */
	for (unsigned lane = 0; lane < ins->count * 8u; lane++) {
		uint64_t address = lane_read(warp, ins->a, lane, ins->wide & WIDE_ADDRESS) + ins->immediate;

		if (!(ins->wide & WIDE_ADDRESS))
			address = (uint32_t)address;
		memcpy(matrices[lane / 8][lane % 8], memory_lane_pointer(warp, lane, ins->space, address, 16, 16), 16);
	}
	LANES_OF(warp->mask, lane)
	{
		unsigned row = lane / 4, column = lane % 4 * 2;

		for (unsigned i = 0; i < ins->count; i++) {
			uint32_t low = ins->op ? matrices[i][column][row] : matrices[i][row][column];
			uint32_t high = ins->op ? matrices[i][column + 1][row] : matrices[i][row][column + 1];

			lanes32(warp, m->d[i])[lane] = low | high << 16;
		}
	}
	return ins + 1;
}

/* Element i of a lane's fragment, in row-major order of the 16 by 16 matrix. */
static void *wmma_element(struct warp *warp, const struct instruction *ins, unsigned lane, unsigned i)
{
	const struct matrix_operands *m = ins->extra;
	unsigned element = lane * WMMA_LANE_ELEMENTS + i, row = element / WMMA_SIDE, column = element % WMMA_SIDE;
	uint64_t address = lane_read(warp, ins->a, lane, ins->wide & WIDE_ADDRESS) + ins->immediate;
	uint32_t bytes = ptx_type_bytes((enum ptx_type)ins->type);
	uint64_t stride = lanes32(warp, m->stride)[lane];

	address += (ins->op ? column * stride + row : row * stride + column) * bytes;
	if (!(ins->wide & WIDE_ADDRESS))
		address = (uint32_t)address;
	return memory_lane_pointer(warp, lane, ins->space, address, bytes, bytes);
}

const struct instruction *matrix_wmma_load(struct warp *warp, const struct instruction *ins)
{
	const struct matrix_operands *m = ins->extra;
	const struct instruction *next;
	uint32_t bytes = ptx_type_bytes((enum ptx_type)ins->type);
	unsigned packed = 4 / bytes;

	if (!warp_complete(warp, ins, &next))
		return next;
	LANES_OF(warp->mask, lane)
	{
		uint32_t words[WMMA_LANE_ELEMENTS] = {0};

		for (unsigned i = 0; i < WMMA_LANE_ELEMENTS; i++) {
			uint32_t value = 0;

			memcpy(&value, wmma_element(warp, ins, lane, i), bytes);
			words[i / packed] |= value << (i % packed * 8 * bytes);
		}
		/* f16 fragments of A and B have twice the room that they need. */
		for (unsigned r = 0; r < ins->count; r++)
			lanes32(warp, m->d[r])[lane] = r < WMMA_LANE_ELEMENTS / packed ? words[r] : 0;
	}
	return ins + 1;
}

const struct instruction *matrix_wmma_store(struct warp *warp, const struct instruction *ins)
{
	const struct matrix_operands *m = ins->extra;
	const struct instruction *next;
	uint32_t bytes = ptx_type_bytes((enum ptx_type)ins->type);
	unsigned packed = 4 / bytes;

	if (!warp_complete(warp, ins, &next))
		return next;
	LANES_OF(warp->mask, lane)
	{
		for (unsigned i = 0; i < WMMA_LANE_ELEMENTS; i++) {
			uint32_t word = lanes32(warp, m->d[i / packed])[lane] >> (i % packed * 8 * bytes % 32);

			memcpy(wmma_element(warp, ins, lane, i), &word, bytes);
		}
	}
	return ins + 1;
}

static void wmma_read(struct warp *warp, const uint32_t *offsets, unsigned type, double (*matrix)[WMMA_SIDE])
{
	unsigned packed = 32 / type_bits(type);

	for (unsigned lane = 0; lane < WARP_LANES; lane++) {
		for (unsigned i = 0; i < WMMA_LANE_ELEMENTS; i++) {
			unsigned element = lane * WMMA_LANE_ELEMENTS + i;

			matrix[element / WMMA_SIDE][element % WMMA_SIDE] =
				register_element(warp, offsets[i / packed], lane, type, i % packed);
		}
	}
}

const struct instruction *matrix_wmma_multiply(struct warp *warp, const struct instruction *ins)
{
	const struct matrix_operands *m = ins->extra;
	const struct instruction *next;
	double a[WMMA_SIDE][WMMA_SIDE], b[WMMA_SIDE][WMMA_SIDE], c[WMMA_SIDE][WMMA_SIDE];
	unsigned packed = 32 / type_bits(m->d_type);

	if (!warp_complete(warp, ins, &next))
		return next;
	wmma_read(warp, m->a, m->a_type, a);
	wmma_read(warp, m->b, m->b_type, b);
	wmma_read(warp, m->c, m->c_type, c);
	LANES_OF(warp->mask, lane)
	{
		for (unsigned i = 0; i < WMMA_LANE_ELEMENTS; i++) {
			unsigned element = lane * WMMA_LANE_ELEMENTS + i;
			unsigned row = element / WMMA_SIDE, column = element % WMMA_SIDE;
			double sum = 0;

			for (unsigned k = 0; k < WMMA_SIDE; k++)
				sum += a[row][k] * b[k][column];
			register_element_set(warp, m->d[i / packed], lane, m->d_type, i % packed, sum + c[row][column]);
		}
	}
	return ins + 1;
}
