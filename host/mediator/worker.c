/* SPDX-License-Identifier: Apache-2.0 */
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>

#include "control_socket.h"
#include "gpus.h"
#include "installation.h"
#include "mediator.h"
#include "worker_watch.h"

#define WORKER_GPU_FIRST  0x40000000u /* this host has fewer */
#define FAILURE_SECONDS	  30
#define CREDENTIALS_USUAL "/etc/vgpu/worker.pem"

const char *worker_of_pool(const struct mediator *mediator, uint32_t pool_id, size_t *at)
{
	const struct configuration_list *workers = &mediator->configuration.workers;

	/* Their form "POOL=HOST:PORT" was checked when they were read. */
	while (*at < workers->count) {
		const char *value = workers->values[(*at)++];

		if ((uint32_t)value[0] == pool_id)
			return value + 2;
	}
	return NULL;
}

bool pool_has_worker(const struct mediator *mediator, uint32_t pool_id)
{
	size_t at = 0;

	return worker_of_pool(mediator, pool_id, &at) != NULL;
}

unsigned worker_gpu(const char *worker)
{
	uint32_t hash = 2166136261u; /* FNV-1a */

	for (; *worker; worker++)
		hash = (hash ^ (uint8_t)*worker) * 16777619u;
	return WORKER_GPU_FIRST | (hash & (WORKER_GPU_FIRST - 1) & ~(GPUS_MAX - 1));
}

bool worker_owns_gpu(unsigned gpu)
{
	return gpu >= WORKER_GPU_FIRST;
}

const char *worker_of_gpu(const struct mediator *mediator, unsigned gpu, char *ret_pool)
{
	const struct configuration_list *workers = &mediator->configuration.workers;

	for (size_t i = 0; gpu >= WORKER_GPU_FIRST && i < workers->count; i++) {
		if (worker_gpu(workers->values[i] + 2) != (gpu & ~(GPUS_MAX - 1)))
			continue;
		*ret_pool = workers->values[i][0];
		return workers->values[i] + 2;
	}
	return NULL;
}

static time_t seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

void worker_failure_note(struct mediator *mediator, unsigned gpu)
{
	struct worker_failure *place = &mediator->worker_failures[0];

	if (gpu < WORKER_GPU_FIRST)
		return;
	/* The worker's own place, or the oldest. */
	for (size_t i = 0; i < WORKER_FAILURES_MAX && place->gpu != gpu; i++) {
		struct worker_failure *failure = &mediator->worker_failures[i];

		if (failure->gpu == gpu || failure->until < place->until)
			place = failure;
	}
	*place = (struct worker_failure){.gpu = gpu, .until = seconds_now() + FAILURE_SECONDS};
}

bool worker_has_failed(const struct mediator *mediator, unsigned gpu)
{
	for (size_t i = 0; i < WORKER_FAILURES_MAX; i++) {
		if (mediator->worker_failures[i].gpu == gpu && seconds_now() < mediator->worker_failures[i].until)
			return true;
	}
	return worker_watch_is_down(mediator, gpu);
}

void worker_failure_forget(struct mediator *mediator, unsigned gpu)
{
	for (size_t i = 0; i < WORKER_FAILURES_MAX; i++) {
		if (mediator->worker_failures[i].gpu == gpu)
			mediator->worker_failures[i] = (struct worker_failure){0};
	}
}

const char *worker_credentials_path(const struct mediator *mediator)
{
	const char *path = mediator->configuration.worker_credentials;

	return path ? path : CREDENTIALS_USUAL;
}

int worker_credentials_open(const struct mediator *mediator)
{
	return open(worker_credentials_path(mediator), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
}

int worker_credentials_add(const struct mediator *mediator, struct control_message *start, int *ret_file)
{
	if (start->fd_count == VGPU_CONTROL_FDS_MAX) {
		errno = EMFILE;
		return -1;
	}
	*ret_file = worker_credentials_open(mediator);
	if (*ret_file < 0)
		return -1;
	start->fds[start->fd_count++] = *ret_file;
	return 0;
}

char *worker_relay_find(const struct mediator *mediator)
{
	static const char *const places[] = {"vgpu-relay", "../worker/vgpu-relay", "../libexec/vgpu/vgpu-relay", NULL};

	if (mediator->configuration.relay)
		return strdup(mediator->configuration.relay);
	return installation_file_find(places);
}
