/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loads and stores, a whole warp at a time.  Every address is checked before it
 * is used: against the arena (whose holes are PROT_NONE and fault), or the
 * block's shared, the lane's local memory.  What is elsewhere goes through
 * memory_lane_pointer().
 */
#include "exec_lanes.h"
#include "ptx.h"

#define LANE_LOOP _Pragma("GCC ivdep") for (unsigned i = 0; i < WARP_LANES; i++)

struct lane_pointers {
	uint64_t at[WARP_LANES];
	bool contiguous; /* full warp, each lane's element right behind that of the lane before */
};

static inline void addresses_read(const struct warp *warp, const struct instruction *ins, uint64_t *addresses)
{
	if (ins->wide & WIDE_ADDRESS) {
		const uint64_t *base = (const uint64_t *)(const void *)(warp->registers + ins->a);

		LANE_LOOP
		addresses[i] = base[i] + ins->immediate;
	} else {
		const uint32_t *base = (const uint32_t *)(const void *)(warp->registers + ins->a);

		LANE_LOOP
		addresses[i] = (uint32_t)(base[i] + (uint32_t)ins->immediate);
	}
}

static __attribute__((noinline)) void addresses_resolve_slowly(struct warp *warp, const struct instruction *ins,
							       uint32_t bytes, unsigned space,
							       struct lane_pointers *pointers)
{
	for (uint32_t rest = warp->mask; rest; rest &= rest - 1) {
		unsigned i = (unsigned)__builtin_ctz(rest);

		pointers->at[i] =
			(uint64_t)(uintptr_t)memory_lane_pointer(warp, i, space, pointers->at[i], bytes, bytes);
	}
	(void)ins;
	pointers->contiguous = false;
}

/* 'bytes' is the whole access of a lane, and its alignment. */
static inline void addresses_resolve(struct warp *warp, const struct instruction *ins, uint32_t bytes, unsigned space,
				     struct lane_pointers *pointers)
{
	uint32_t mask = warp->mask;
	uint64_t bad = 0, scattered = 0, base, size, first;

	addresses_read(warp, ins, pointers->at);
	if (space == SPACE_SHARED) {
		base = 0;
		size = warp->shared_bytes;
	} else if (space == SPACE_LOCAL) {
		base = 0;
		size = warp->local_stride;
	} else {
		base = warp->arena_base;
		size = warp->arena_bytes;
	}
	uint64_t limit = size >= bytes ? size - bytes : 0;

	first = pointers->at[0];
	LANE_LOOP
	{
		uint64_t address = pointers->at[i];
		uint64_t wrong = (address - base > limit ? 1 : 0) | (address & (bytes - 1));

		bad |= mask & lane_bits[i] ? wrong : 0;
		scattered |= address ^ (first + (uint64_t)i * bytes);
	}
	if (unlikely(bad || size < bytes)) {
		addresses_resolve_slowly(warp, ins, bytes, space, pointers);
		return;
	}
	pointers->contiguous = !scattered && mask == WARP_FULL_MASK && space != SPACE_LOCAL;
	if (space == SPACE_SHARED) {
		LANE_LOOP
		pointers->at[i] += (uint64_t)(uintptr_t)warp->shared;
	} else if (space == SPACE_LOCAL) {
		LANE_LOOP
		pointers->at[i] += (uint64_t)(uintptr_t)warp->local + (uint64_t)i * warp->local_stride;
	}
}

static inline uint64_t element_load(const struct instruction *ins, uint64_t address)
{
	const void *at = (const void *)(uintptr_t)address;
	uint64_t value = 0;

	switch (ins->type) {
	case PTX_B8:
	case PTX_U8:
		return *(const volatile uint8_t *)at;
	case PTX_S8:
		return (uint64_t)(int64_t) * (const volatile int8_t *)at;
	case PTX_B16:
	case PTX_U16:
	case PTX_F16:
	case PTX_BF16:
		return *(const volatile uint16_t *)at;
	case PTX_S16:
		return (uint64_t)(int64_t) * (const volatile int16_t *)at;
	case PTX_S32:
		return (uint64_t)(int64_t) * (const volatile int32_t *)at;
	case PTX_S64:
	case PTX_U64:
	case PTX_B64:
	case PTX_F64:
		return *(const volatile uint64_t *)at;
	default:
		value = *(const volatile uint32_t *)at;
		return value;
	}
}

static inline void element_store(const struct instruction *ins, uint64_t address, uint64_t value)
{
	void *at = (void *)(uintptr_t)address;

	switch (ins->type) {
	case PTX_B8:
	case PTX_U8:
	case PTX_S8:
		*(volatile uint8_t *)at = (uint8_t)value;
		break;
	case PTX_B16:
	case PTX_U16:
	case PTX_S16:
	case PTX_F16:
	case PTX_BF16:
		*(volatile uint16_t *)at = (uint16_t)value;
		break;
	case PTX_S64:
	case PTX_U64:
	case PTX_B64:
	case PTX_F64:
		*(volatile uint64_t *)at = value;
		break;
	default:
		*(volatile uint32_t *)at = (uint32_t)value;
		break;
	}
}

/* Registers of the element's own width. */
#define DEFINE_LOAD(space, name, T, space_id)                                                                    \
	const struct instruction *EXEC(load_##space##_##name)(struct warp * warp, const struct instruction *ins) \
	{                                                                                                        \
		struct lane_pointers pointers;                                                                   \
		addresses_resolve(warp, ins, (uint32_t)sizeof(T) * ins->count, space_id, &pointers);             \
		if (ins->count == 1) {                                                                           \
			T *d = (T *)(void *)(warp->registers + ins->d);                                          \
			if (pointers.contiguous) {                                                               \
				memcpy(d, (const void *)(uintptr_t)pointers.at[0], sizeof(T) * WARP_LANES);      \
				return ins + 1;                                                                  \
			}                                                                                        \
			for (uint32_t rest = warp->mask; rest; rest &= rest - 1) {                               \
				unsigned i = (unsigned)__builtin_ctz(rest);                                      \
				d[i] = *(const volatile T *)(uintptr_t)pointers.at[i];                           \
			}                                                                                        \
			return ins + 1;                                                                          \
		}                                                                                                \
		for (uint32_t rest = warp->mask; rest; rest &= rest - 1) {                                       \
			unsigned i = (unsigned)__builtin_ctz(rest);                                              \
			for (unsigned e = 0; e < ins->count; e++) {                                              \
				T *d = (T *)(void *)(warp->registers + ins->elements[e]);                        \
				d[i] = *(const volatile T *)(uintptr_t)(pointers.at[i] + e * sizeof(T));         \
			}                                                                                        \
		}                                                                                                \
		return ins + 1;                                                                                  \
	}

#define DEFINE_STORE(space, name, T, space_id)                                                                    \
	const struct instruction *EXEC(store_##space##_##name)(struct warp * warp, const struct instruction *ins) \
	{                                                                                                         \
		struct lane_pointers pointers;                                                                    \
		addresses_resolve(warp, ins, (uint32_t)sizeof(T) * ins->count, space_id, &pointers);              \
		if (ins->count == 1) {                                                                            \
			const T *d = (const T *)(const void *)(warp->registers + ins->d);                         \
			if (pointers.contiguous) {                                                                \
				memcpy((void *)(uintptr_t)pointers.at[0], d, sizeof(T) * WARP_LANES);             \
				return ins + 1;                                                                   \
			}                                                                                         \
			for (uint32_t rest = warp->mask; rest; rest &= rest - 1) {                                \
				unsigned i = (unsigned)__builtin_ctz(rest);                                       \
				*(volatile T *)(uintptr_t)pointers.at[i] = d[i];                                  \
			}                                                                                         \
			return ins + 1;                                                                           \
		}                                                                                                 \
		for (uint32_t rest = warp->mask; rest; rest &= rest - 1) {                                        \
			unsigned i = (unsigned)__builtin_ctz(rest);                                               \
			for (unsigned e = 0; e < ins->count; e++) {                                               \
				const T *d = (const T *)(const void *)(warp->registers + ins->elements[e]);       \
				*(volatile T *)(uintptr_t)(pointers.at[i] + e * sizeof(T)) = d[i];                \
			}                                                                                         \
		}                                                                                                 \
		return ins + 1;                                                                                   \
	}

/* Narrow elements, and registers wider than the element. */
#define DEFINE_OTHER(space, space_id)                                                                               \
	const struct instruction *EXEC(load_##space##_other)(struct warp * warp, const struct instruction *ins)     \
	{                                                                                                           \
		struct lane_pointers pointers;                                                                      \
		uint32_t bytes = ins->type2;                                                                        \
		addresses_resolve(warp, ins, bytes * ins->count, space_id, &pointers);                              \
		for (uint32_t rest = warp->mask; rest; rest &= rest - 1) {                                          \
			unsigned i = (unsigned)__builtin_ctz(rest);                                                 \
			for (unsigned e = 0; e < ins->count; e++) {                                                 \
				uint8_t *d = warp->registers + (ins->count == 1 ? ins->d : ins->elements[e]);       \
				uint64_t value = element_load(ins, pointers.at[i] + (uint64_t)e * bytes);           \
				if (ins->wide & WIDE_D)                                                             \
					((uint64_t *)(void *)d)[i] = value;                                         \
				else                                                                                \
					((uint32_t *)(void *)d)[i] = (uint32_t)value;                               \
			}                                                                                           \
		}                                                                                                   \
		return ins + 1;                                                                                     \
	}                                                                                                           \
	const struct instruction *EXEC(store_##space##_other)(struct warp * warp, const struct instruction *ins)    \
	{                                                                                                           \
		struct lane_pointers pointers;                                                                      \
		uint32_t bytes = ins->type2;                                                                        \
		addresses_resolve(warp, ins, bytes * ins->count, space_id, &pointers);                              \
		for (uint32_t rest = warp->mask; rest; rest &= rest - 1) {                                          \
			unsigned i = (unsigned)__builtin_ctz(rest);                                                 \
			for (unsigned e = 0; e < ins->count; e++) {                                                 \
				const uint8_t *d = warp->registers + (ins->count == 1 ? ins->d : ins->elements[e]); \
				uint64_t value = ins->wide & WIDE_D ? ((const uint64_t *)(const void *)d)[i]        \
								    : ((const uint32_t *)(const void *)d)[i];       \
				element_store(ins, pointers.at[i] + (uint64_t)e * bytes, value);                    \
			}                                                                                           \
		}                                                                                                   \
		return ins + 1;                                                                                     \
	}

#define DEFINE_SPACE(space, space_id)                \
	DEFINE_LOAD(space, b32, uint32_t, space_id)  \
	DEFINE_LOAD(space, b64, uint64_t, space_id)  \
	DEFINE_STORE(space, b32, uint32_t, space_id) \
	DEFINE_STORE(space, b64, uint64_t, space_id) \
	DEFINE_OTHER(space, space_id)

DEFINE_SPACE(global, SPACE_GLOBAL)
DEFINE_SPACE(generic, SPACE_GENERIC)
DEFINE_SPACE(shared, SPACE_SHARED)
DEFINE_SPACE(local, SPACE_LOCAL)

/* A kernel's parameters are the same for every lane; the lowering checked the offset. */
const struct instruction *EXEC(load_param)(struct warp *warp, const struct instruction *ins)
{
	const uint8_t *parameters = warp->block->launch->parameters;

	for (unsigned e = 0; e < ins->count; e++) {
		uint64_t address = (uint64_t)(uintptr_t)parameters + ins->immediate + (uint64_t)e * ins->type2;
		uint64_t value = element_load(ins, address);
		uint8_t *d = warp->registers + (ins->count == 1 ? ins->d : ins->elements[e]);

		if (ins->wide & WIDE_D) {
			uint64_t *lanes = (uint64_t *)(void *)d;

			LANE_LOOP
			lanes[i] = warp->mask & lane_bits[i] ? value : lanes[i];
		} else {
			uint32_t *lanes = (uint32_t *)(void *)d;

			LANE_LOOP
			lanes[i] = warp->mask & lane_bits[i] ? (uint32_t)value : lanes[i];
		}
	}
	return ins + 1;
}
