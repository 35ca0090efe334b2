/* SPDX-License-Identifier: Apache-2.0 */
/* Start, versions, and the texts of results. */
#include <stdlib.h>

#include "call.h"
#include "result_table.h"
#include "session.h"

API(cuInit, unsigned int flags)
{
	return flags ? CUDA_ERROR_INVALID_VALUE : session_open();
}

/*
 * The version of the API that the library has is the same whether a host is there or not: programs ask
 * before cuInit.  A host of an older driver lowers it.
 */
API(cuDriverGetVersion, int *version)
{
	if (!version)
		return CUDA_ERROR_INVALID_VALUE;
	*version = CUDA_VERSION;
	if (session_ready() && session.driver_version < CUDA_VERSION)
		*version = (int)session.driver_version;
	return CUDA_SUCCESS;
}

static int entry_compare(const void *key, const void *entry)
{
	int value = *(const int *)key;
	int other = ((const struct result_entry *)entry)->value;

	return (value > other) - (value < other);
}

static const struct result_entry *entry_find(CUresult error)
{
	int value = (int)error;

	return bsearch(&value, result_table, result_table_count, sizeof(result_table[0]), entry_compare);
}

API(cuGetErrorName, CUresult error, const char **name)
{
	const struct result_entry *entry = entry_find(error);

	if (!name)
		return CUDA_ERROR_INVALID_VALUE;
	*name = entry ? entry->name : NULL;
	return entry ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

API(cuGetErrorString, CUresult error, const char **text)
{
	const struct result_entry *entry = entry_find(error);

	if (!text)
		return CUDA_ERROR_INVALID_VALUE;
	*text = entry ? entry->text : NULL;
	return entry ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
