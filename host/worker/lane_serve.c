/* SPDX-License-Identifier: Apache-2.0 */
#include "lane_serve.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lane.h"
#include "sandbox.h"

#define NAME "vgpu-lane"

static void status_send(struct link *link, const struct link_status *status)
{
	memcpy(link_put(link, LINK_STATUS, sizeof(*status), false), status, sizeof(*status));
	/* A few bytes, the first on this connection: they leave at once or never. */
	(void)link_flush(link);
}

static bool refuse(struct link *link, enum vgpu_channel_error error, const char *text)
{
	struct link_status status = {.error = error};

	snprintf(status.text, sizeof(status.text), "%s", text);
	status_send(link, &status);
	SSL_shutdown(link->ssl);
	snprintf(link->reason, sizeof(link->reason), "%s", text);
	return false;
}

/* 0, or -1 with errno. */
static int memory_map(struct lane *lane, int file)
{
	struct stat status;
	void *memory;

	if (fstat(file, &status) < 0)
		return -1;
	memory = mmap(NULL, (size_t)status.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	if (memory == MAP_FAILED)
		return -1;
	lane->memory = memory;
	lane->memory_bytes = (uint64_t)status.st_size;
	return 0;
}

bool lane_serve(struct link *link, const struct link_lane *greeting,
		const uint8_t certificate[ACCOUNT_CERTIFICATE_BYTES], int accounts)
{
	const struct link_status ready = {0};
	struct lane lane = {.link = link};
	int files[ACCOUNT_LANE_FILES];
	int error;

	prctl(PR_SET_NAME, NAME);
	if (greeting->version != LINK_VERSION)
		return refuse(link, VGPU_ERROR_VERSION, "a lane of another version");
	/* It has to wait for the answer before it sends a piece. */
	if (link->in_begin != link->in_end)
		return refuse(link, VGPU_ERROR_PROTOCOL, "more than a greeting came");
	if (account_lane_ask(accounts, greeting->token, certificate, files) < 0)
		return refuse(link, VGPU_ERROR_REFUSED, "no channel has such a lane");
	close(accounts);
	lane.wake = files[ACCOUNT_LANE_WAKE];
	lane.bell = files[ACCOUNT_LANE_BELL];
	lane.page = lanes_page_map(files[ACCOUNT_LANE_PAGE]);
	if (!lane.page || memory_map(&lane, files[ACCOUNT_LANE_MEMORY]) < 0)
		return refuse(link, VGPU_ERROR_NO_MEMORY, "the worker is out of memory");
	close(files[ACCOUNT_LANE_PAGE]);
	close(files[ACCOUNT_LANE_MEMORY]);
	error = sandbox_enter();
	if (error)
		return refuse(link, VGPU_ERROR_EXECUTOR_DIED, strerror(-error));
	status_send(link, &ready);
	lane_run(&lane);
	return true;
}
