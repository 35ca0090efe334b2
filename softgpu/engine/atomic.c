/* SPDX-License-Identifier: Apache-2.0 */
/*
 * atom and red.  Blocks run on several threads and the host may look on, so
 * these are the processor's own atomics; all of them are sequentially
 * consistent, which is at least what any ordering qualifier asks for.
 */
#include "atomic.h"
#include "control.h"
#include "half.h"

#include <string.h>

bool atomic_supports(enum atomic_operation operation, enum ptx_type type)
{
	switch (operation) {
	case ATOMIC_ADD:
		return type == PTX_U32 || type == PTX_S32 || type == PTX_U64 || type == PTX_S64 || type == PTX_F32 ||
		       type == PTX_F64 || type == PTX_F16 || type == PTX_F16X2 || type == PTX_BF16 ||
		       type == PTX_BF16X2;
	case ATOMIC_MIN:
	case ATOMIC_MAX:
		return type == PTX_U32 || type == PTX_S32 || type == PTX_U64 || type == PTX_S64;
	case ATOMIC_INC:
	case ATOMIC_DEC:
		return type == PTX_U32;
	case ATOMIC_CAS:
		return type == PTX_B16 || type == PTX_B32 || type == PTX_B64 || type == PTX_U32 || type == PTX_S32 ||
		       type == PTX_U64 || type == PTX_S64;
	default:
		return type == PTX_B32 || type == PTX_B64 || type == PTX_U32 || type == PTX_S32 || type == PTX_U64 ||
		       type == PTX_S64;
	}
}

static uint64_t float_add(unsigned type, uint64_t old, uint64_t b)
{
	if (type == PTX_F64) {
		double x, y;

		memcpy(&x, &old, sizeof(x));
		memcpy(&y, &b, sizeof(y));
		x += y;
		memcpy(&old, &x, sizeof(x));
		return old;
	}
	if (type == PTX_F32) {
		float x, y;
		uint32_t bits_x = (uint32_t)old, bits_y = (uint32_t)b;

		memcpy(&x, &bits_x, sizeof(x));
		memcpy(&y, &bits_y, sizeof(y));
		x += y;
		memcpy(&bits_x, &x, sizeof(x));
		return bits_x;
	}
	if (type == PTX_F16 || type == PTX_F16X2) {
		uint64_t low = half_from_double(half_to_double((uint16_t)old) + half_to_double((uint16_t)b));
		uint64_t high =
			half_from_double(half_to_double((uint16_t)(old >> 16)) + half_to_double((uint16_t)(b >> 16)));

		return type == PTX_F16 ? low : low | high << 16;
	}
	uint64_t low = bfloat_from_double(bfloat_to_double((uint16_t)old) + bfloat_to_double((uint16_t)b));
	uint64_t high =
		bfloat_from_double(bfloat_to_double((uint16_t)(old >> 16)) + bfloat_to_double((uint16_t)(b >> 16)));

	return type == PTX_BF16 ? low : low | high << 16;
}

static uint64_t atomic_compute(const struct instruction *ins, uint64_t old, uint64_t b, uint64_t c)
{
	bool less;

	switch (ins->op) {
	case ATOMIC_ADD:
		return ins->type == PTX_U32 || ins->type == PTX_S32 || ins->type == PTX_U64 || ins->type == PTX_S64
			       ? old + b
			       : float_add(ins->type, old, b);
	case ATOMIC_MIN:
	case ATOMIC_MAX:
		less = ins->type == PTX_S32   ? (int32_t)old < (int32_t)b
		       : ins->type == PTX_S64 ? (int64_t)old < (int64_t)b
					      : old < b;
		return less == (ins->op == ATOMIC_MIN) ? old : b;
	case ATOMIC_AND:
		return old & b;
	case ATOMIC_OR:
		return old | b;
	case ATOMIC_XOR:
		return old ^ b;
	case ATOMIC_INC:
		return old >= b ? 0 : old + 1;
	case ATOMIC_DEC:
		return old == 0 || old > b ? b : old - 1;
	case ATOMIC_CAS:
		return old == b ? c : old;
	default:
		return b;
	}
}

#define DEFINE_ATOMIC(bits)                                                                                         \
	static uint64_t atomic_apply##bits(const struct instruction *ins, void *pointer, uint64_t b, uint64_t c)    \
	{                                                                                                           \
		uint##bits##_t *at = pointer;                                                                       \
		uint##bits##_t old = __atomic_load_n(at, __ATOMIC_RELAXED);                                         \
		for (;;) {                                                                                          \
			uint##bits##_t next =                                                                       \
				(uint##bits##_t)atomic_compute(ins, old, (uint##bits##_t)b, (uint##bits##_t)c);     \
			if (__atomic_compare_exchange_n(at, &old, next, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) \
				return old;                                                                         \
		}                                                                                                   \
	}

DEFINE_ATOMIC(16)
DEFINE_ATOMIC(32)
DEFINE_ATOMIC(64)

const struct instruction *atomic_run(struct warp *warp, const struct instruction *ins)
{
	uint32_t bytes = ptx_type_bytes((enum ptx_type)ins->type);
	bool wide = ins->wide & WIDE_D;

	LANES_OF(warp->mask, lane)
	{
		uint64_t address = lane_read(warp, ins->a, lane, ins->wide & WIDE_ADDRESS) + ins->immediate;

		if (!(ins->wide & WIDE_ADDRESS))
			address = (uint32_t)address;
		void *at = memory_lane_pointer(warp, lane, ins->space, address, bytes, bytes);
		uint64_t b = lane_read(warp, ins->b, lane, wide);
		uint64_t c = ins->c ? lane_read(warp, ins->c, lane, wide) : 0, old;

		if (ins->op == ATOMIC_ADD && (ins->type == PTX_U32 || ins->type == PTX_S32))
			old = __atomic_fetch_add((uint32_t *)at, (uint32_t)b, __ATOMIC_SEQ_CST);
		else if (bytes == 8)
			old = atomic_apply64(ins, at, b, c);
		else if (bytes == 4)
			old = atomic_apply32(ins, at, b, c);
		else
			old = atomic_apply16(ins, at, b, c);
		if (ins->d)
			lane_write(warp, ins->d, lane, wide, old);
	}
	control_polled(warp);
	return ins + 1;
}
