/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cuGetProcAddress: of a name's variants, the newest that is not newer than the
 * version the caller was compiled for; with the flag for per-thread default
 * streams, the per-thread variant where there is one.
 */
#include <stdbool.h>
#include <string.h>

#include "call.h"
#include "proc_table.h"
#include "session.h"

/* The first entry of the name, or proc_table_count. */
static size_t name_find(const char *name)
{
	size_t low = 0;
	size_t high = proc_table_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(proc_table[middle].base, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low < proc_table_count && strcmp(proc_table[low].base, name) == 0 ? low : proc_table_count;
}

/* The function that a caller compiled for 'version' gets for a name without suffixes. */
static enum CUdriverProcAddressQueryResult_enum function_find(const char *name, int version, bool per_thread,
							      void **ret_function)
{
	const struct proc_entry *best = NULL;
	size_t first = name_find(name);

	if (first == proc_table_count)
		return CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
	for (size_t i = first; i < proc_table_count && strcmp(proc_table[i].base, name) == 0; i++) {
		const struct proc_entry *entry = &proc_table[i];

		if (entry->version > version || (entry->per_thread && !per_thread))
			continue;
		/* A per-thread variant goes before any other; within a kind the newest. */
		if (!best || entry->per_thread > best->per_thread ||
		    (entry->per_thread == best->per_thread && entry->version >= best->version))
			best = entry;
	}
	if (!best)
		return CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT;
	memcpy(ret_function, &best->function, sizeof(*ret_function));
	return CU_GET_PROC_ADDRESS_SUCCESS;
}

static CUresult find(const char *symbol, void **pfn, int version, cuuint64_t flags,
		     CUdriverProcAddressQueryResult *status)
{
	enum CUdriverProcAddressQueryResult_enum found;

	if (!symbol || !pfn || flags > CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM)
		return CUDA_ERROR_INVALID_VALUE;
	*pfn = NULL;
	found = function_find(symbol, version, flags == CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM, pfn);
	if (status)
		*status = found;
	return found == CU_GET_PROC_ADDRESS_SUCCESS ? CUDA_SUCCESS : CUDA_ERROR_NOT_FOUND;
}

API(cuGetProcAddress_v2, const char *symbol, void **pfn, int cudaVersion, cuuint64_t flags,
    CUdriverProcAddressQueryResult *symbolStatus)
{
	CUresult result = find(symbol, pfn, cudaVersion, flags, symbolStatus);

	/* Who looks at the status is told there; the driver says no more to who does not (measured, 580.159.04). */
	return result == CUDA_ERROR_NOT_FOUND ? CUDA_SUCCESS : result;
}

API(cuGetProcAddress, const char *symbol, void **pfn, int cudaVersion, cuuint64_t flags)
{
	return find(symbol, pfn, cudaVersion, flags, NULL);
}
