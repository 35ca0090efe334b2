/* SPDX-License-Identifier: Apache-2.0 */
/* What batches of copies have in common. */
#ifndef VGPU_COPY_BATCH_H
#define VGPU_COPY_BATCH_H

#include "call.h"

/* Is it one of the orders in which a source may be read? */
bool copy_order_valid(CUmemcpySrcAccessOrder order);

/* Any stream but the legacy default one (API reference). */
bool copy_batch_stream_valid(CUstream stream, bool per_thread_default);

/* Until all that is in the stream is done, in the current context. */
CUresult copy_batch_wait(CUstream stream, bool per_thread_default);

#endif
