/* SPDX-License-Identifier: Apache-2.0 */
#include "condition.h"

#include <pthread.h>
#include <stdlib.h>

struct condition {
	struct condition *next;
	unsigned references;
	CUgraphConditionalHandle handle;
	_Atomic uint32_t value;
	uint32_t initial;
	bool is_reset_at_launch;
};

/* Guards the list and the references. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct condition *conditions;
static CUgraphConditionalHandle last_handle;

struct condition *condition_make(uint32_t initial, bool is_reset_at_launch)
{
	struct condition *condition = calloc(1, sizeof(*condition));

	if (!condition)
		return NULL;
	condition->references = 1;
	condition->value = condition->initial = initial;
	condition->is_reset_at_launch = is_reset_at_launch;
	pthread_mutex_lock(&lock);
	condition->handle = ++last_handle;
	condition->next = conditions;
	conditions = condition;
	pthread_mutex_unlock(&lock);
	return condition;
}

void condition_retain(struct condition *condition)
{
	pthread_mutex_lock(&lock);
	condition->references++;
	pthread_mutex_unlock(&lock);
}

void condition_release(struct condition *condition)
{
	struct condition **link = &conditions;
	bool is_last;

	if (!condition)
		return;
	pthread_mutex_lock(&lock);
	is_last = --condition->references == 0;
	if (is_last) {
		while (*link != condition)
			link = &(*link)->next;
		*link = condition->next;
	}
	pthread_mutex_unlock(&lock);
	if (is_last)
		free(condition);
}

CUgraphConditionalHandle condition_handle(const struct condition *condition)
{
	return condition->handle;
}

/* Under the lock. */
static struct condition *find(CUgraphConditionalHandle handle)
{
	struct condition *condition = conditions;

	while (condition && condition->handle != handle)
		condition = condition->next;
	return condition;
}

struct condition *condition_acquire(CUgraphConditionalHandle handle)
{
	struct condition *condition;

	pthread_mutex_lock(&lock);
	condition = find(handle);
	if (condition)
		condition->references++;
	pthread_mutex_unlock(&lock);
	return condition;
}

uint32_t condition_read(const struct condition *condition)
{
	return condition->value;
}

void condition_reset(struct condition *condition)
{
	if (condition->is_reset_at_launch)
		condition->value = condition->initial;
}

bool condition_set(void *user, uint64_t handle, uint32_t value)
{
	struct condition *condition;

	(void)user;
	pthread_mutex_lock(&lock);
	condition = find(handle);
	if (condition)
		condition->value = value;
	pthread_mutex_unlock(&lock);
	return condition != NULL;
}
