/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The device's connection to the mediator: connect, introduce oneself, pass
 * messages, and try again a second after it is gone.  See vgpu_control.h.
 */
#include "qemu/osdep.h"

#include <sys/un.h>

#include "qemu/main-loop.h"
#include "qemu/uuid.h"
#if QEMU_VERSION_MAJOR >= 10
#include "system/system.h"
#else
#include "sysemu/sysemu.h"
#endif

#include "vgpu-cuda.h"

#define VGPU_TICK_MS 1000
/* How long a mediator may take to answer HELLO, and how long to leave one alone that
 * refused us. */
#define VGPU_ANSWER_TICKS  5
#define VGPU_REFUSED_TICKS 5

#define VGPU_PACKET_FDS_MAX 2

#define VGPU_PAGE_BYTES 4096 /* of Xen's frame numbers */

G_STATIC_ASSERT(sizeof(struct vgpu_control_device_hello) <= VGPU_CONTROL_BYTES_MAX);
G_STATIC_ASSERT(sizeof(struct vgpu_control_channel) <= VGPU_CONTROL_BYTES_MAX);

static void vgpu_link_readable(void *opaque);

/* The same reason is logged once until the next successful connection, not every second.
 */
static void G_GNUC_PRINTF(2, 3) vgpu_link_report(VgpuState *s, const char *format, ...)
{
    char text[sizeof(s->link.reported)];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (strcmp(text, s->link.reported) != 0) {
        memcpy(s->link.reported, text, sizeof(text));
        vgpu_log(s, "%s", text);
    }
}

static void vgpu_link_close(VgpuState *s)
{
    bool accepted = s->link.accepted;

    if (s->link.socket < 0) {
        return;
    }
    qemu_set_fd_handler(s->link.socket, NULL, NULL, NULL);
    close(s->link.socket);
    s->link.socket = -1;
    s->link.accepted = false;
    s->link.wait_ticks = 0;
    if (accepted) {
        vgpu_mediator_lost(s);
    }
}

static bool vgpu_link_send(VgpuState *s, uint32_t type,
                           struct vgpu_control_header *packet, size_t bytes,
                           const int *fds, size_t fd_count)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(VGPU_PACKET_FDS_MAX * sizeof(int))];
    } control = { 0 };
    struct iovec vector = { .iov_base = packet, .iov_len = bytes };
    struct msghdr message = { .msg_iov = &vector, .msg_iovlen = 1 };
    ssize_t sent;

    if (s->link.socket < 0) {
        return false;
    }
    packet->magic = VGPU_CONTROL_MAGIC;
    packet->type = type;
    packet->bytes = bytes;
    packet->version = VGPU_PROTOCOL_VERSION;
    if (fd_count > 0) {
        struct cmsghdr *header;

        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
        header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
        memcpy(CMSG_DATA(header), fds, fd_count * sizeof(int));
    }
    do {
        sent = sendmsg(s->link.socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (sent < 0 && errno == EINTR);
    if (sent != (ssize_t)bytes) {
        vgpu_link_report(s, "the mediator does not take messages: %s",
                         sent < 0 ? strerror(errno) : "cut short");
        vgpu_link_close(s);
        return false;
    }
    return true;
}

bool vgpu_link_send_channel(VgpuState *s, uint32_t type, unsigned index)
{
    VgpuChannel *channel = &s->channels[index];
    struct vgpu_control_channel packet = {
        .channel = index,
        .generation = channel->generation,
        .xen_frame = s->xen_domain
                         ? s->xen_frame + index * (s->channel_bytes / VGPU_PAGE_BYTES)
                         : 0,
    };
    int fds[VGPU_PACKET_FDS_MAX] = {
        event_notifier_get_fd(&channel->doorbell),
        event_notifier_get_fd(&channel->interrupt),
    };
    size_t fd_count = type == VGPU_CONTROL_CHANNEL_OPEN ? ARRAY_SIZE(fds) : 0;

    return vgpu_link_send(s, type, &packet.header, sizeof(packet), fds, fd_count);
}

static bool vgpu_link_hello(VgpuState *s)
{
    struct vgpu_control_device_hello packet = {
        .vm_id = s->vm_id,
        .pool_id = s->pool_id[0],
        .priority = s->priority,
        .channel_count = s->channel_count,
        .channel_bytes = s->channel_bytes,
        .xen_domain = s->xen_domain,
    };
    int fd = memory_region_get_fd(&s->memory);
    const char *name = qemu_get_vm_name();

    if (qemu_uuid_set) {
        memcpy(packet.vm_uuid, qemu_uuid.data, sizeof(packet.vm_uuid));
    }
    g_strlcpy(packet.vm_name, name ?: "", sizeof(packet.vm_name));
    return vgpu_link_send(s, VGPU_CONTROL_DEVICE_HELLO, &packet.header, sizeof(packet),
                          &fd, 1);
}

/* Connected, or -errno. A Unix socket connects at once or fails: EAGAIN when the
 * mediator's queue is full. */
static int vgpu_link_connect_path(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int error;

    if (fd < 0) {
        return -errno;
    }
    g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        error = errno;
        close(fd);
        return -error;
    }
    return fd;
}

/* Everybody may make files in the fallback's folder: only root and our own user are a
 * mediator there. */
static int vgpu_link_connect_fallback(void)
{
    int fd = vgpu_link_connect_path(VGPU_SOCKET_PATH_FALLBACK);
    struct ucred listener;
    socklen_t bytes = sizeof(listener);

    if (fd < 0) {
        return fd;
    }
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &listener, &bytes) == 0 &&
        (listener.uid == 0 || listener.uid == geteuid())) {
        return fd;
    }
    close(fd);
    return -EPERM;
}

static void vgpu_link_connect(VgpuState *s)
{
    const char *path = s->socket_path ?: VGPU_SOCKET_PATH;
    int fd = vgpu_link_connect_path(path);

    if (fd < 0 && !s->socket_path) {
        path = VGPU_SOCKET_PATH_FALLBACK;
        fd = vgpu_link_connect_fallback();
    }
    if (fd < 0) {
        vgpu_link_report(s, "no mediator at %s%s: %s; trying once a second",
                         s->socket_path ? "" : VGPU_SOCKET_PATH " or ", path,
                         strerror(-fd));
        return;
    }
    s->link.socket = fd;
    s->link.wait_ticks = VGPU_ANSWER_TICKS;
    qemu_set_fd_handler(fd, vgpu_link_readable, NULL, s);
    vgpu_link_hello(s);
}

/* False: the connection is not to be kept. */
static bool vgpu_link_hello_reply(VgpuState *s,
                                  const struct vgpu_control_hello_reply *reply)
{
    if (s->link.accepted) {
        return false;
    }
    if (reply->error != VGPU_ERROR_NONE) {
        vgpu_link_report(s, "the mediator refused this VM, error %u: %s", reply->error,
                         reply->text);
        return false;
    }
    s->link.accepted = true;
    s->link.reported[0] = '\0';
    s->link.wait_ticks = 0;
    vgpu_log(s, "connected to the mediator");
    vgpu_mediator_connected(s);
    return true;
}

static bool vgpu_link_dispatch(VgpuState *s, struct vgpu_control_header *header,
                               size_t bytes)
{
    if (bytes < sizeof(*header) || header->magic != VGPU_CONTROL_MAGIC ||
        header->bytes != bytes || header->version >> 16 != VGPU_PROTOCOL_MAJOR) {
        return false;
    }
    if (header->type == VGPU_CONTROL_HELLO_REPLY) {
        struct vgpu_control_hello_reply *reply = (void *)header;

        return bytes == sizeof(*reply) &&
               memchr(reply->text, '\0', sizeof(reply->text)) &&
               vgpu_link_hello_reply(s, reply);
    } else {
        struct vgpu_control_channel *message = (void *)header;

        return s->link.accepted && bytes == sizeof(*message) &&
               memchr(message->text, '\0', sizeof(message->text)) &&
               vgpu_channel_message(s, header->type, message);
    }
}

static void vgpu_link_readable(void *opaque)
{
    VgpuState *s = opaque;
    union {
        struct vgpu_control_header header;
        uint8_t bytes[VGPU_CONTROL_BYTES_MAX];
    } packet;
    ssize_t got;

    /* Descriptors are never expected here: without a control buffer the kernel closes
     * them. */
    while (s->link.socket >= 0) {
        got = recv(s->link.socket, &packet, sizeof(packet), MSG_DONTWAIT | MSG_TRUNC);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            return;
        }
        if (got <= 0) {
            vgpu_link_report(s,
                             "the mediator closed the connection; trying once a second");
            vgpu_link_close(s);
            return;
        }
        if (got > (ssize_t)sizeof(packet) ||
            !vgpu_link_dispatch(s, &packet.header, got)) {
            vgpu_link_report(s, "the mediator sent something unexpected; disconnected");
            vgpu_link_close(s);
            s->link.wait_ticks = VGPU_REFUSED_TICKS;
            return;
        }
    }
}

static void vgpu_link_tick(void *opaque)
{
    VgpuState *s = opaque;

    if (s->link.wait_ticks > 0) {
        s->link.wait_ticks--;
    }
    if (s->link.socket >= 0 && !s->link.accepted && s->link.wait_ticks == 0) {
        vgpu_link_report(s, "the mediator does not answer");
        vgpu_link_close(s);
    }
    if (s->link.socket < 0 && s->link.wait_ticks == 0) {
        vgpu_link_connect(s);
    }
    timer_mod(s->link.timer, qemu_clock_get_ms(QEMU_CLOCK_REALTIME) + VGPU_TICK_MS);
}

void vgpu_link_start(VgpuState *s)
{
    /* The real-time clock also runs while the guest is paused. */
    s->link.timer = timer_new_ms(QEMU_CLOCK_REALTIME, vgpu_link_tick, s);
    vgpu_link_tick(s);
}

void vgpu_link_stop(VgpuState *s)
{
    timer_free(s->link.timer);
    s->link.timer = NULL;
    vgpu_link_close(s);
}
