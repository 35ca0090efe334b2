/* SPDX-License-Identifier: Apache-2.0 */
/* Memory of the program's own that it registers: where that is possible its pages become shared with the executor. */
#ifndef VGPU_REGISTERED_H
#define VGPU_REGISTERED_H

#include <stdint.h>

/* What was registered in the context, which ends, is no longer. */
void registered_forget_context(uint32_t context);

#endif
