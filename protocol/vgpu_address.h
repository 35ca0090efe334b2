/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where device memory can be.  The addresses that the host's driver gives are used
 * in the guest as they are: the guest library keeps these spans free, and a
 * guest may ask for addresses in them and nowhere else.
 */
#ifndef VGPU_ADDRESS_H
#define VGPU_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vgpu_address_span {
	uint64_t begin;
	uint64_t end;
};

#define VGPU_ADDRESS_SPANS 3

/*
 * Measured on driver 580: two spans that the driver reserves itself, and where its allocations lie in a
 * process of the compatibility layout, as the executor is.
 */
static const struct vgpu_address_span vgpu_address_spans[VGPU_ADDRESS_SPANS] = {
	{0x205600000, 0x300200000},
	{0x302000000, 0x48ea000000},
	{0x2aaaa0000000, 0x2aaaa0000000 + (1ull << 40)},
};

/* Does [address, address + bytes) lie in one of them? */
static inline bool vgpu_address_is_device(uint64_t address, uint64_t bytes)
{
	for (size_t i = 0; i < VGPU_ADDRESS_SPANS; i++) {
		const struct vgpu_address_span *span = &vgpu_address_spans[i];

		if (address >= span->begin && address < span->end && bytes <= span->end - address)
			return true;
	}
	return false;
}

#endif
