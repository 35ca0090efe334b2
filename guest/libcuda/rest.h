/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a context is known to be at rest: it has been waited for, and since then the process has sent nothing that
 * may bring work to any. Then what natively waits for the device has nothing to wait for, and can be posted. Only the
 * context that was waited for last is known. Any thread may call.
 */
#ifndef VGPU_REST_H
#define VGPU_REST_H

#include <stdbool.h>
#include <stdint.h>

/* Before the context is waited for: what rest_note() is to be told. */
uint64_t rest_begin(void);

/* The wait has succeeded. */
void rest_note(uint32_t context, uint64_t begun);

bool rest_is_known(uint32_t context);

#endif
