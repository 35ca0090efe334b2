/* SPDX-License-Identifier: Apache-2.0 */
#include "error_callback.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "context.h"
#include "host_calls.h"
#include "session.h"

CUresult cuLogsCurrent(CUlogIterator *iterator, unsigned int flags);

/* Documented for cuLogsDumpToMemory: all that the log holds. */
#define LOG_BYTES_MAX 25600

struct CUlogsCallbackEntry_st {
	struct CUlogsCallbackEntry_st *next;
	CUlogsCallback callback; /* NULL: it has been unregistered while callbacks are called */
	void *data;
};

uint32_t error_callback_count;

/* Held while callbacks are called, so that each message is told once, and by nobody who was told to stop. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct CUlogsCallbackEntry_st *entries;
static CUlogIterator told; /* up to here */
static __thread bool is_calling __attribute__((tls_model("initial-exec")));

/* A callback may register and unregister too. */
static void entries_lock(void)
{
	if (!is_calling)
		pthread_mutex_lock(&mutex);
}

static void entries_unlock(void)
{
	if (!is_calling)
		pthread_mutex_unlock(&mutex);
}

/* With the mutex. */
static void entries_sweep(void)
{
	struct CUlogsCallbackEntry_st **place = &entries;

	while (*place) {
		struct CUlogsCallbackEntry_st *entry = *place;

		if (entry->callback) {
			place = &entry->next;
			continue;
		}
		*place = entry->next;
		free(entry);
	}
}

/* "[time][thread][source][E]..." (CUDA programming guide, error log management). */
static CUlogLevel level_of(const char *line)
{
	const char *severity = line;

	for (int field = 0; severity && field < 3; field++) {
		severity = strchr(severity, ']');
		if (severity)
			severity++;
	}
	return severity && strncmp(severity, "[W]", 3) == 0 ? CU_LOG_LEVEL_WARNING : CU_LOG_LEVEL_ERROR;
}

/* With the mutex. One that is registered meanwhile is at the head, and sees the next message. */
static void message_tell(char *line)
{
	size_t length = strlen(line);

	for (struct CUlogsCallbackEntry_st *entry = entries; entry && length; entry = entry->next) {
		if (entry->callback)
			entry->callback(entry->data, level_of(line), line, length);
	}
}

void error_callbacks_run(void)
{
	static char text[LOG_BYTES_MAX + 1];
	uint32_t advanced = 0, bytes = 0;
	char *line, *rest = text;

	if (is_calling || thread_state.is_host_function || !session_ready())
		return;
	pthread_mutex_lock(&mutex);
	is_calling = true;
	if (entries && host_cuLogsDumpToMemory(0, 1, told, LOG_BYTES_MAX, 0, &advanced, text, LOG_BYTES_MAX, &bytes) ==
			       CUDA_SUCCESS) {
		told = advanced;
		text[bytes < LOG_BYTES_MAX ? bytes : LOG_BYTES_MAX] = '\0';
		while ((line = strsep(&rest, "\n")))
			message_tell(line);
		entries_sweep();
	}
	is_calling = false;
	pthread_mutex_unlock(&mutex);
}

API(cuLogsRegisterCallback, CUlogsCallback callback, void *data, CUlogsCallbackHandle *handle)
{
	struct CUlogsCallbackEntry_st *entry;
	CUlogIterator now;
	CUresult result;

	if (!callback)
		return CUDA_ERROR_INVALID_VALUE;
	/* The messages of before are not for it; a driver without a log says so. */
	result = cuLogsCurrent(&now, 0);
	if (result)
		return result;
	entry = calloc(1, sizeof(*entry));
	if (!entry)
		return CUDA_ERROR_OUT_OF_MEMORY;
	entry->callback = callback;
	entry->data = data;
	entries_lock();
	if (!entries)
		told = now;
	entry->next = entries;
	entries = entry;
	__atomic_fetch_add(&error_callback_count, 1, __ATOMIC_RELAXED);
	entries_unlock();
	if (handle)
		*handle = entry;
	return CUDA_SUCCESS;
}

API(cuLogsUnregisterCallback, CUlogsCallbackHandle handle)
{
	struct CUlogsCallbackEntry_st *entry;
	bool is_known;

	entries_lock();
	entry = entries;
	while (entry && (entry != handle || !entry->callback))
		entry = entry->next;
	is_known = entry != NULL;
	if (is_known) {
		entry->callback = NULL;
		__atomic_fetch_sub(&error_callback_count, 1, __ATOMIC_RELAXED);
		if (!is_calling)
			entries_sweep();
	}
	entries_unlock();
	return is_known ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
