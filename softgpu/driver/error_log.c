/* SPDX-License-Identifier: Apache-2.0 */
#include "error_log.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "driver.h"
#include "entry.h"

#define MESSAGES_MAX  64
#define MESSAGE_BYTES 400 /* 64 of them are the 25600 bytes that the API reference names */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char messages[MESSAGES_MAX][MESSAGE_BYTES];
static CUlogIterator count; /* of all messages; the one with a number is at its remainder */

void error_log_add(const char *message)
{
	pthread_mutex_lock(&lock);
	snprintf(messages[count % MESSAGES_MAX], MESSAGE_BYTES, "%s", message);
	count++;
	pthread_mutex_unlock(&lock);
}

ENTRY(cuLogsCurrent, (CUlogIterator * ret_iterator, unsigned int flags))
{
	CUresult result = driver_check();

	if (result)
		return result;
	if (!ret_iterator || flags)
		return CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_lock(&lock);
	*ret_iterator = count;
	pthread_mutex_unlock(&lock);
	return CUDA_SUCCESS;
}

/* The first message from 'wanted' on that is still there.  Under the lock. */
static CUlogIterator first_kept(CUlogIterator wanted)
{
	return count - wanted > MESSAGES_MAX ? count - (count < MESSAGES_MAX ? count : MESSAGES_MAX) : wanted;
}

ENTRY(cuLogsDumpToMemory, (CUlogIterator * iterator, char *buffer, size_t *size, unsigned int flags))
{
	CUresult result = driver_check();
	CUlogIterator first;
	size_t bytes = 0;

	if (result)
		return result;
	if (!buffer || !size || !*size || flags)
		return CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_lock(&lock);
	first = first_kept(iterator ? *iterator : 0);
	/* The newest are those that have to fit. */
	for (CUlogIterator at = count; at != first; at--) {
		bytes += strlen(messages[(at - 1) % MESSAGES_MAX]) + 1;
		if (bytes >= *size) {
			first = at;
			break;
		}
	}
	bytes = 0;
	for (CUlogIterator at = first; at != count; at++)
		bytes += (size_t)sprintf(buffer + bytes, "%s\n", messages[at % MESSAGES_MAX]);
	buffer[bytes] = 0;
	if (iterator)
		*iterator = count;
	pthread_mutex_unlock(&lock);
	*size = bytes;
	return CUDA_SUCCESS;
}
