/* SPDX-License-Identifier: Apache-2.0 */
/* Memory pools: objects of VGPU_KIND_MEMORY_POOL. */
#ifndef VGPU_POOL_H
#define VGPU_POOL_H

/* object.words of a pool. */
enum pool_word {
	POOL_HANDLE_TYPES, /* of handles for other processes */
	POOL_IS_IMPORTED,
	POOL_DEVICE, /* of an imported pool */
};

#endif
