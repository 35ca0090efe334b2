/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "qemu/osdep.h"

#include <argp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <xenctrl.h>
#include <xenstore.h>

#include "qemu/main-loop.h"
#include "qemu/uuid.h"
#include "domain.h"
#include "number_option.h"
#include "xen_device.h"

QemuUUID qemu_uuid;
bool qemu_uuid_set;

static char *domain_name;
static GMainLoop *loop;
static bool is_background;

const char *qemu_get_vm_name(void)
{
	return domain_name;
}

void vgpu_log(const VgpuState *s, const char *format, ...)
{
	char text[512];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	fprintf(stderr, "[vgpu] vm_id=%u: %s\n", s->vm_id, text);
}

void xen_report(const struct xen_device *device, const char *what)
{
	vgpu_log(&device->state, "domain %u: %s: %s", device->domain, what, strerror(errno));
}

/* A value of the domain in XenStore; NULL: there is none. The caller frees it. */
static char *store_read(struct xs_handle *store, unsigned int domain, const char *key)
{
	char *path = g_strdup_printf("/local/domain/%u/%s", domain, key);
	char *value = xs_read(store, XBT_NULL, path, NULL);

	g_free(path);
	return value;
}

/* Name and UUID: "vm" is the path /vm/UUID. */
static void identity_read(struct xs_handle *store, unsigned int domain)
{
	char *vm = store_read(store, domain, "vm");
	const char *text = vm ? strrchr(vm, '/') : NULL;
	unsigned int count = 0;

	domain_name = store_read(store, domain, "name");
	for (text = text ? text + 1 : ""; *text && count < sizeof(qemu_uuid.data); text++) {
		unsigned int byte;

		if (*text == '-')
			continue;
		if (sscanf(text, "%2x", &byte) != 1)
			break;
		qemu_uuid.data[count++] = (unsigned char)byte;
		text++;
	}
	qemu_uuid_set = count == sizeof(qemu_uuid.data);
	free(vm);
}

struct watcher {
	struct xs_handle *store;
	xc_interface *control;
	const struct xen_device *device;
};

/* A domain ended, perhaps ours. */
static void store_readable(void *opaque)
{
	struct watcher *watcher = opaque;
	xc_dominfo_t info;
	char **event;

	while ((event = xs_check_watch(watcher->store)))
		free(event);
	if (xc_domain_getinfo(watcher->control, watcher->device->domain, 1, &info) == 1 &&
	    info.domid == watcher->device->domain && !info.dying)
		return;
	vgpu_log(&watcher->device->state, "domain %u is gone", watcher->device->domain);
	g_main_loop_quit(loop);
}

static bool watch_start(struct watcher *watcher)
{
	watcher->control = xc_interface_open(NULL, NULL, 0);
	if (!watcher->control || !xs_watch(watcher->store, "@releaseDomain", "end")) {
		xen_report(watcher->device, "cannot watch for the domain's end");
		return false;
	}
	qemu_set_fd_handler(xs_fileno(watcher->store), store_readable, NULL, watcher);
	return true;
}

bool xen_device_start(struct xen_device *device)
{
	xc_interface *control = xc_interface_open(NULL, NULL, 0);
	xc_dominfo_t info;

	device->model = xendevicemodel_open(NULL, 0);
	device->memory = xenforeignmemory_open(NULL, 0);
	device->events = xenevtchn_open(NULL, 0);
	if (!control || !device->model || !device->memory || !device->events) {
		xen_report(device, "Xen's interfaces cannot be opened");
		return false;
	}
	if (xc_domain_getinfo(control, device->domain, 1, &info) != 1 || info.domid != device->domain || !info.hvm) {
		vgpu_log(&device->state, "there is no HVM domain %u", device->domain);
		return false;
	}
	xc_interface_close(control);
	device->vcpu_count = info.max_vcpu_id + 1;
	if (device->vcpu_count > XEN_VCPUS_MAX) {
		vgpu_log(&device->state, "domain %u has more than %d processors", device->domain, XEN_VCPUS_MAX);
		return false;
	}
	for (device->memory_bytes = 1;
	     device->memory_bytes < device->state.channel_count * device->state.channel_bytes;)
		device->memory_bytes *= 2;
	device->state.xen_domain = device->domain;
	device->state.link.socket = -1;
	if (!xen_interrupts_create(device) || !xen_memory_create(device))
		return false;
	xen_config_reset(device);
	if (!xen_ioreq_create(device))
		return false;
	/* From here on this process can do nothing to other domains. */
	if (xendevicemodel_restrict(device->model, device->domain) < 0 ||
	    xenforeignmemory_restrict(device->memory, device->domain) < 0)
		xen_report(device, "cannot give up rights over other domains");
	vgpu_link_start(&device->state);
	return true;
}

/*
 * The caller goes on when the device is there: a child serves. The parent never returns. -1: cannot; else a
 * descriptor that 'ready' gets.
 */
static int background_enter(void)
{
	int pipes[2];
	char byte;
	pid_t child;

	if (pipe2(pipes, O_CLOEXEC) < 0)
		return -1;
	child = fork();
	if (child < 0)
		return -1;
	if (child > 0) {
		close(pipes[1]);
		/* Its end closes the pipe. */
		_exit(read(pipes[0], &byte, 1) == 1 ? 0 : 1);
	}
	close(pipes[0]);
	setsid();
	return pipes[1];
}

static void background_ready(int ready)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	/* Standard error stays: it is the log. */
	if (null >= 0) {
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
		close(null);
	}
	if (write(ready, "", 1) != 1)
		fprintf(stderr, "vgpu-xen: who started this has not waited\n");
	close(ready);
}

enum option_key {
	OPTION_VM_ID = 256,
	OPTION_POOL,
	OPTION_PRIORITY,
	OPTION_SOCKET,
	OPTION_CHANNELS,
	OPTION_BYTES,
	OPTION_TRACE,
	OPTION_BACKGROUND
};

static const struct argp_option options[] = {
	{"vm-id", OPTION_VM_ID, "N", 0, "a number that no other VM has (0: the mediator chooses, where allowed)", 0},
	{"pool", OPTION_POOL, "LETTER", 0, "the GPU pool (A)", 0},
	{"priority", OPTION_PRIORITY, "low|medium|high", 0, "medium unless given", 0},
	{"socket", OPTION_SOCKET, "PATH", 0,
	 "the mediator's (" VGPU_SOCKET_PATH ", then " VGPU_SOCKET_PATH_FALLBACK ")", 0},
	{"channels", OPTION_CHANNELS, "N", 0, "guest processes at a time (8)", 0},
	{"channel-mib", OPTION_BYTES, "N", 0, "shared memory of each, taken from the host's for good (4)", 0},
	{"trace", OPTION_TRACE, NULL, 0, "log every doorbell", 0},
	{"background", OPTION_BACKGROUND, NULL, 0, "return when the device is there, and serve on", 0},
	{0},
};

static error_t option_take(int key, char *text, struct argp_state *state)
{
	static const char *const priorities[] = {"low", "medium", "high"};
	struct xen_device *device = state->input;
	VgpuState *s = &device->state;

	switch (key) {
	case OPTION_VM_ID:
		s->vm_id = number_option_take(state, "--vm-id", text, 0, UINT32_MAX);
		break;
	case OPTION_POOL:
		if (*text < 'A' || *text > 'Z' || text[1])
			argp_error(state, "a pool is one letter, A to Z");
		s->pool_id = text;
		break;
	case OPTION_PRIORITY:
		for (s->priority = 0; s->priority < G_N_ELEMENTS(priorities); s->priority++)
			if (strcmp(text, priorities[s->priority]) == 0)
				return 0;
		argp_error(state, "a priority is low, medium or high");
		break;
	case OPTION_SOCKET:
		s->socket_path = text;
		break;
	case OPTION_CHANNELS:
		s->channel_count = number_option_take(state, "--channels", text, 1, VGPU_CHANNELS_MAX);
		break;
	case OPTION_BYTES:
		s->channel_bytes = (uint64_t)number_option_take(state, "--channel-mib", text, 1, 1024) << 20;
		break;
	case OPTION_TRACE:
		s->trace = true;
		break;
	case OPTION_BACKGROUND:
		is_background = true;
		break;
	case ARGP_KEY_ARG:
		if (state->arg_num == 0)
			device->domain = number_option_take(state, "DOMID", text, 1, DOMAIN_MAX);
		else if (state->arg_num == 1)
			device->slot = number_option_take(state, "SLOT", text, 0, 31);
		else
			argp_usage(state);
		break;
	case ARGP_KEY_END:
		if (state->arg_num < 2)
			argp_usage(state);
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

int main(int argc, char **argv)
{
	static const struct argp arguments = {
		.options = options,
		.parser = option_take,
		.args_doc = "DOMID SLOT",
		.doc = "Serves the PCI device vgpu-cuda in slot SLOT (0 to 31) of the HVM guest DOMID of Xen, which "
		       "must still be paused (xl create -p). Ends when the domain does.",
	};
	static char pool[] = "A";
	static struct xen_device device = {
		.state = {.pool_id = pool,
			  .priority = VGPU_PRIORITY_MEDIUM,
			  .channel_count = 8,
			  .channel_bytes = 4 << 20},
	};
	struct watcher watcher = {.device = &device};
	int ready = -1;

	argp_program_version = "vgpu-xen " VGPU_VERSION;
	argp_parse(&arguments, argc, argv, 0, NULL, &device);
	/* Before Xen's interfaces are opened, which a child does not inherit. */
	if (is_background) {
		ready = background_enter();
		if (ready < 0) {
			perror("vgpu-xen");
			return 1;
		}
	}
	watcher.store = xs_open(0);
	if (!watcher.store) {
		fprintf(stderr, "vgpu-xen: no XenStore: %s\n", strerror(errno));
		return 1;
	}
	identity_read(watcher.store, device.domain);
	loop = g_main_loop_new(NULL, FALSE);
	if (!xen_device_start(&device) || !watch_start(&watcher))
		return 1;
	vgpu_log(&device.state, "serving domain %u, slot %u", device.domain, device.slot);
	if (is_background)
		background_ready(ready);
	g_main_loop_run(loop);
	vgpu_link_stop(&device.state);
	return 0;
}
