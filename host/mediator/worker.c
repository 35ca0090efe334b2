/* SPDX-License-Identifier: Apache-2.0 */
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>

#include "control_socket.h"
#include "installation.h"
#include "mediator.h"

#define WORKER_GPU_FIRST  1000 /* of worker_gpu(); this host has fewer */
#define CREDENTIALS_USUAL "/etc/vgpu/worker.pem"

const char *worker_of_pool(const struct mediator *mediator, uint32_t pool_id)
{
	const struct configuration_list *workers = &mediator->configuration.workers;

	/* Their form "POOL=HOST:PORT" was checked when they were read. */
	for (size_t i = 0; i < workers->count; i++) {
		if ((uint32_t)workers->values[i][0] == pool_id)
			return workers->values[i] + 2;
	}
	return NULL;
}

unsigned worker_gpu(const struct mediator *mediator, uint32_t pool_id)
{
	const struct configuration_list *workers = &mediator->configuration.workers;
	const char *worker = worker_of_pool(mediator, pool_id);
	uint32_t first = pool_id;

	for (size_t i = 0; worker && i < workers->count; i++) {
		uint32_t pool = (uint32_t)workers->values[i][0];

		/* Of a pool that is named twice only the first counts. */
		if (pool < first && strcmp(worker_of_pool(mediator, pool), worker) == 0)
			first = pool;
	}
	return WORKER_GPU_FIRST + first - 'A';
}

char worker_gpu_pool(unsigned gpu)
{
	return gpu >= WORKER_GPU_FIRST && gpu < WORKER_GPU_FIRST + POOL_COUNT ? (char)('A' + gpu - WORKER_GPU_FIRST)
									      : '\0';
}

int worker_credentials_add(const struct mediator *mediator, struct control_message *start, int *ret_file)
{
	const char *path = mediator->configuration.worker_credentials;

	if (start->fd_count == VGPU_CONTROL_FDS_MAX) {
		errno = EMFILE;
		return -1;
	}
	*ret_file = open(path ? path : CREDENTIALS_USUAL, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
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
