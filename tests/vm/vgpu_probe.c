/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs in a test guest: uses /dev/vgpu0 as the CUDA library would, and in the
 * ways that it must not.  One subcommand a scenario; exit status 0 when all was
 * as it should be.  The host's side of echo is mediator_stand_in.py.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vgpu_channel.h"
#include "vgpu_device.h"
#include "vgpu_probe.h"
#include "vgpu_uapi.h"

#define DEVICE_PATH    "/dev/vgpu0"
#define PAGE_BYTES     4096
#define REQUEST_OFFSET 4096
#define REPLY_OFFSET   (1 << 20)
#define ECHO_BYTES     100000
#define DIRT	       0xa5
#define FILES_MAX      256

struct channel {
	int file;
	struct vgpu_ioctl_info info;
	unsigned char *memory;
	volatile uint32_t *doorbell;
};

static sigjmp_buf fault_return;
static volatile sig_atomic_t fault_signal;

static void channel_open(struct channel *ret_channel)
{
	struct channel *channel = ret_channel;
	void *doorbell;

	channel->file = open(DEVICE_PATH, O_RDWR | O_CLOEXEC);
	CHECK(channel->file >= 0, "open");
	CHECK(ioctl(channel->file, VGPU_IOCTL_INFO, &channel->info) == 0, "info");
	CHECK(channel->info.state == VGPU_CHANNEL_READY, "state %u", channel->info.state);
	CHECK(channel->info.version == VGPU_PROTOCOL_VERSION, "version %x", channel->info.version);
	channel->memory = mmap(NULL, channel->info.channel_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, channel->file, 0);
	CHECK(channel->memory != MAP_FAILED, "map the memory");
	doorbell = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, channel->file, VGPU_MMAP_DOORBELL);
	CHECK(doorbell != MAP_FAILED, "map the doorbell");
	channel->doorbell = doorbell;
}

static void channel_close(struct channel *channel)
{
	munmap((void *)channel->doorbell, PAGE_BYTES);
	munmap(channel->memory, channel->info.channel_bytes);
	close(channel->file);
}

static void echo_one(struct channel *channel, uint32_t sequence, uint32_t bytes)
{
	volatile uint32_t *words = (void *)channel->memory;
	uint64_t interrupts;

	for (uint32_t i = 0; i < bytes; i++)
		channel->memory[REQUEST_OFFSET + i] = (unsigned char)(i * 7 + sequence);
	words[1] = bytes;
	words[0] = sequence;
	*channel->doorbell = 1;
	while (words[2] != sequence) {
		struct pollfd watch = {.fd = channel->file, .events = POLLIN};

		CHECK(poll(&watch, 1, 10000) == 1, "no interrupt for %u", sequence);
		CHECK(read(channel->file, &interrupts, sizeof(interrupts)) == sizeof(interrupts), "read");
		CHECK(interrupts >= 1, "no interrupts");
	}
	for (uint32_t i = 0; i < bytes; i++)
		CHECK(channel->memory[REPLY_OFFSET + i] == (unsigned char)~(i * 7 + sequence), "byte %u of %u", i,
		      sequence);
}

static int run_info(void)
{
	struct channel channel;

	channel_open(&channel);
	printf("channel %u generation %u bytes %llu vm_id %u state %u uid %u\n", channel.info.channel,
	       channel.info.generation, (unsigned long long)channel.info.channel_bytes, channel.info.vm_id,
	       channel.info.state, getuid());
	return 0;
}

static int run_echo(int count)
{
	struct channel channel;
	uint64_t start;

	channel_open(&channel);
	echo_one(&channel, 1, ECHO_BYTES);
	start = now_ns();
	for (int i = 0; i < count; i++)
		echo_one(&channel, 2 + (uint32_t)i, 16);
	printf("echo %d times on channel %u, %llu ns each\n", count, channel.info.channel,
	       (unsigned long long)(now_ns() - start) / (unsigned)count);
	channel_close(&channel);
	return 0;
}

/* Opens, dirties all memory and waits to be killed. */
static _Noreturn void run_hold(void)
{
	struct channel channel;

	channel_open(&channel);
	memset(channel.memory, DIRT, channel.info.channel_bytes);
	printf("holding channel %u\n", channel.info.channel);
	fflush(stdout);
	for (;;)
		pause();
}

/* Keeps a processor in a process that has the channel's memory mapped. */
static _Noreturn void run_spin(void)
{
	struct channel channel;

	channel_open(&channel);
	printf("spinning on channel %u\n", channel.info.channel);
	fflush(stdout);
	for (;;)
		(void)*(volatile unsigned char *)channel.memory;
}

/* Maps the memory again and again, and takes each mapping away in three parts. */
static int run_parts(int count)
{
	const uint64_t before = 16 * PAGE_BYTES;
	struct channel channel;

	channel_open(&channel);
	for (int i = 0; i < count; i++) {
		uint64_t offset = (uint64_t)i % 64 * PAGE_BYTES;
		char *at = mmap(NULL, before + 2 * PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, channel.file,
				(off_t)offset);

		CHECK(at != MAP_FAILED, "mapping %d", i);
		CHECK(munmap(at + before, PAGE_BYTES) == 0 && munmap(at, before) == 0, "unmap");
		CHECK(munmap(at + before + PAGE_BYTES, PAGE_BYTES) == 0, "unmap");
	}
	printf("%d mappings as user %u\n", count, getuid());
	return 0;
}

/* The memory of every channel is zero when it is opened; leaves all of them dirty. */
static int run_zero(int count)
{
	static struct channel channels[VGPU_CHANNELS_MAX];

	for (int i = 0; i < count; i++) {
		channel_open(&channels[i]);
		for (uint64_t at = 0; at < channels[i].info.channel_bytes; at++)
			CHECK(channels[i].memory[at] == 0, "channel %u, byte %llu is %02x", channels[i].info.channel,
			      (unsigned long long)at, channels[i].memory[at]);
		memset(channels[i].memory, DIRT, channels[i].info.channel_bytes);
	}
	printf("%d channels were zero\n", count);
	return 0;
}

/* Opens until it is refused: how many and why. */
static int run_exhaust(void)
{
	int files[FILES_MAX];
	int count = 0;

	while (count < FILES_MAX && (files[count] = open(DEVICE_PATH, O_RDWR)) >= 0)
		count++;
	printf("opened %d then %s\n", count, errno == EBUSY ? "EBUSY" : strerror(errno));
	CHECK(errno == EBUSY, "another error");
	/* One given back can be had again, after the host has cleaned it up. */
	close(files[--count]);
	files[count] = open(DEVICE_PATH, O_RDWR);
	CHECK(files[count] >= 0, "open again");
	return 0;
}

static int run_open_error(int expected)
{
	int file = open(DEVICE_PATH, O_RDWR);
	int error = errno;

	CHECK(file < 0, "it opened");
	printf("open: %s\n", strerror(error));
	CHECK(error == expected, "expected %s", strerror(expected));
	return 0;
}

/* Waits, by poll and in another process by a blocking read, until the channel is lost. */
static int run_lost(int expected)
{
	struct channel channel;
	struct pollfd watch = {.events = POLLIN};
	uint64_t count;
	ssize_t got;

	channel_open(&channel);
	watch.fd = channel.file;
	printf("waiting on channel %u\n", channel.info.channel);
	fflush(stdout);
	CHECK(poll(&watch, 1, 30000) == 1, "nothing happened");
	CHECK((watch.revents & (POLLHUP | POLLERR)) == (POLLHUP | POLLERR), "events %x", watch.revents);
	got = read(channel.file, &count, sizeof(count));
	CHECK(got < 0 && errno == expected, "read gave %zd", got);
	CHECK(ioctl(channel.file, VGPU_IOCTL_INFO, &channel.info) == 0, "info");
	CHECK(channel.info.state == VGPU_CHANNEL_LOST, "state %u", channel.info.state);
	printf("lost, error %u\n", channel.info.error);
	return 0;
}

static int run_lost_read(void)
{
	struct channel channel;
	uint64_t count;
	ssize_t got;

	channel_open(&channel);
	printf("reading on channel %u\n", channel.info.channel);
	fflush(stdout);
	got = read(channel.file, &count, sizeof(count));
	CHECK(got < 0 && errno == EPIPE, "read gave %zd", got);
	return 0;
}

static void fault_handler(int number)
{
	fault_signal = number;
	siglongjmp(fault_return, 1);
}

/* The signal that a read of the address raises, or 0. */
static int touch(const volatile unsigned char *address)
{
	fault_signal = 0;
	signal(SIGSEGV, fault_handler);
	signal(SIGBUS, fault_handler);
	if (sigsetjmp(fault_return, 1) == 0)
		(void)*address;
	signal(SIGSEGV, SIG_DFL);
	signal(SIGBUS, SIG_DFL);
	return fault_signal;
}

/* The device is taken away while it is mapped and waited for. */
static int run_unplugged(void)
{
	struct channel channel;
	struct pollfd watch = {.events = POLLIN};
	uint64_t count;

	channel_open(&channel);
	watch.fd = channel.file;
	printf("waiting on channel %u\n", channel.info.channel);
	fflush(stdout);
	CHECK(poll(&watch, 1, 30000) == 1 && watch.revents & POLLHUP, "events %x", watch.revents);
	CHECK(read(channel.file, &count, sizeof(count)) < 0 && errno == ENODEV, "read");
	/* POLLHUP comes first, then the mappings go. */
	for (int i = 0; i < 100 && touch(channel.memory) == 0; i++)
		usleep(20000);
	CHECK(touch(channel.memory) == SIGBUS, "the memory can still be read: %d", fault_signal);
	CHECK(touch((void *)channel.doorbell) == SIGBUS, "the doorbell can still be read: %d", fault_signal);
	CHECK(mmap(NULL, PAGE_BYTES, PROT_READ, MAP_SHARED, channel.file, 0) == MAP_FAILED && errno == ENODEV, "mmap");
	CHECK(ioctl(channel.file, VGPU_IOCTL_INFO, &channel.info) == 0, "info");
	CHECK(open(DEVICE_PATH, O_RDWR) < 0, "it opened again");
	printf("unplugged\n");
	return 0;
}

static void map_refused(const struct channel *channel, uint64_t offset, uint64_t bytes, int protection, int flags)
{
	void *at = mmap(NULL, bytes, protection, flags, channel->file, (off_t)offset);

	CHECK(at == MAP_FAILED, "mapped %llu bytes at %llx", (unsigned long long)bytes, (unsigned long long)offset);
}

/* A page of the channel's memory that is mapped by itself is the same as in the whole. */
static void part_checked(const struct channel *channel, uint64_t offset)
{
	volatile uint32_t *whole = (volatile uint32_t *)((char *)channel->memory + offset);
	volatile uint32_t *part =
		mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, channel->file, (off_t)offset);

	CHECK((void *)part != MAP_FAILED, "map a part");
	whole[0] = 0x12345678;
	part[PAGE_BYTES / 4 - 1] = 0x87654321;
	CHECK(part[0] == 0x12345678 && whole[PAGE_BYTES / 4 - 1] == 0x87654321, "the part is another one");
	whole[0] = whole[PAGE_BYTES / 4 - 1] = 0;
	munmap((void *)part, PAGE_BYTES);
}

/* What the driver must refuse, and what a child must not inherit. */
static int run_limits(void)
{
	const int both = PROT_READ | PROT_WRITE;
	struct channel channel;
	uint64_t count;
	int status;
	pid_t child;

	channel_open(&channel);
	map_refused(&channel, 0, channel.info.channel_bytes + PAGE_BYTES, both, MAP_SHARED);
	part_checked(&channel, channel.info.channel_bytes - PAGE_BYTES);
	map_refused(&channel, PAGE_BYTES, channel.info.channel_bytes, both, MAP_SHARED);
	map_refused(&channel, channel.info.channel_bytes - PAGE_BYTES, 2 * PAGE_BYTES, both, MAP_SHARED);
	map_refused(&channel, channel.info.channel_bytes, PAGE_BYTES, both, MAP_SHARED);
	map_refused(&channel, VGPU_MMAP_DOORBELL, 2 * PAGE_BYTES, both, MAP_SHARED);
	map_refused(&channel, VGPU_MMAP_DOORBELL + PAGE_BYTES, PAGE_BYTES, both, MAP_SHARED);
	map_refused(&channel, VGPU_MMAP_DOORBELL - PAGE_BYTES, PAGE_BYTES, both, MAP_SHARED);
	map_refused(&channel, 0, PAGE_BYTES, both, MAP_PRIVATE);
	map_refused(&channel, 0, PAGE_BYTES, both | PROT_EXEC, MAP_SHARED);
	CHECK(mprotect(channel.memory, PAGE_BYTES, both | PROT_EXEC) != 0, "made executable");
	CHECK(mremap((void *)channel.doorbell, PAGE_BYTES, 2 * PAGE_BYTES, MREMAP_MAYMOVE) == MAP_FAILED, "grown");
	CHECK(read(channel.file, &count, 4) < 0 && errno == EINVAL, "short read");
	CHECK(fcntl(channel.file, F_SETFL, O_NONBLOCK) == 0, "non-blocking");
	CHECK(read(channel.file, &count, sizeof(count)) < 0 && errno == EAGAIN, "read without interrupts");
	CHECK(ioctl(channel.file, VGPU_IOCTL_INFO, NULL) < 0 && errno == EFAULT, "info to nowhere");
	CHECK(ioctl(channel.file, _IO('V', 0x77), NULL) < 0 && errno == ENOTTY, "unknown ioctl");
	child = fork();
	if (child == 0) {
		map_refused(&channel, 0, PAGE_BYTES, both, MAP_SHARED);
		_exit(touch(channel.memory) == SIGSEGV && touch((void *)channel.doorbell) == SIGSEGV ? 0 : 1);
	}
	CHECK(waitpid(child, &status, 0) == child && status == 0, "the child has the mapping, status %x", status);
	printf("limits hold\n");
	return 0;
}

/* Open and close as fast as possible, in several processes, some of which die in between. */
static int run_churn(int seconds)
{
	const uint64_t end = now_ns() + (uint64_t)seconds * 1000000000u;
	int failures = 0, status;

	for (int worker = 0; worker < 4; worker++) {
		if (fork() != 0)
			continue;
		for (uint32_t round = 0; now_ns() < end; round++) {
			pid_t child = fork();

			if (child == 0) {
				struct channel channel;

				channel_open(&channel);
				echo_one(&channel, 1, 64);
				if (round % 2)
					raise(SIGKILL);
				exit(0);
			}
			waitpid(child, &status, 0);
			if (!(WIFEXITED(status) && WEXITSTATUS(status) == 0) &&
			    !(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL))
				exit(1);
		}
		exit(0);
	}
	while (wait(&status) > 0)
		failures += status != 0;
	CHECK(failures == 0, "%d workers", failures);
	printf("churned\n");
	return 0;
}

static void scribble_words(volatile uint64_t *words, uint64_t count, uint64_t *state)
{
	for (uint64_t i = 0; i < count; i++)
		words[i] = random_next(state);
}

/*
 * With an executor on the other side: garbage in the command ring, with an index in range and with one
 * that cannot be, and garbage in every page. The first two must cost the channel, and name the culprit.
 */
static int run_scribble(int rounds)
{
	uint64_t state = 0x9e3779b97f4a7c15u;

	for (int round = 0; round < 3 * rounds; round++) {
		struct vgpu_channel_header *header;
		struct channel channel;
		struct pollfd watch = {.events = 0};

		channel_open(&channel);
		watch.fd = channel.file;
		header = (void *)channel.memory;
		if (round % 3 == 0) {
			scribble_words((void *)(channel.memory + header->command_ring_offset),
				       header->command_ring_bytes / sizeof(uint64_t), &state);
			header->command.tail = 8 + random_next(&state) % (header->command_ring_bytes / 8) * 8;
		} else if (round % 3 == 1) {
			header->command.tail = random_next(&state) | 1ull << 40;
		} else {
			for (int i = 0; i < 300; i++) {
				uint64_t page = random_next(&state) % (channel.info.channel_bytes / PAGE_BYTES);

				scribble_words((void *)(channel.memory + page * PAGE_BYTES), 64, &state);
				*channel.doorbell = (uint32_t)state;
			}
			scribble_words((void *)header, PAGE_BYTES / sizeof(uint64_t), &state);
		}
		*channel.doorbell = 1;
		if (round % 3 < 2) {
			CHECK(poll(&watch, 1, 30000) == 1 && watch.revents & POLLHUP, "round %d: not lost", round);
			CHECK(ioctl(channel.file, VGPU_IOCTL_INFO, &channel.info) == 0, "info");
			CHECK(channel.info.error == VGPU_ERROR_PROTOCOL, "round %d: error %u", round,
			      channel.info.error);
		}
		channel_close(&channel);
	}
	printf("scribbled as user %u\n", getuid());
	return 0;
}

int main(int argc, char **argv)
{
	const char *command = argc > 1 ? argv[1] : "";
	int number = argc > 2 ? atoi(argv[2]) : 0;

	if (strcmp(command, "info") == 0)
		return run_info();
	if (strcmp(command, "echo") == 0 && number > 0)
		return run_echo(number);
	if (strcmp(command, "hold") == 0)
		run_hold();
	if (strcmp(command, "spin") == 0)
		run_spin();
	if (strcmp(command, "parts") == 0 && number > 0)
		return run_parts(number);
	if (strcmp(command, "eject") == 0)
		return run_eject();
	if (strcmp(command, "hammer") == 0 && argc == 4)
		return run_hammer(strtoull(argv[2], NULL, 0), strcmp(argv[3], "resets") == 0);
	if (strcmp(command, "zero") == 0 && number > 0 && number <= VGPU_CHANNELS_MAX)
		return run_zero(number);
	if (strcmp(command, "exhaust") == 0)
		return run_exhaust();
	if (strcmp(command, "no-device") == 0)
		return run_open_error(ENODEV);
	if (strcmp(command, "refused") == 0)
		return run_open_error(EIO);
	if (strcmp(command, "not-permitted") == 0)
		return run_open_error(EPERM);
	if (strcmp(command, "lost") == 0)
		return run_lost(EPIPE);
	if (strcmp(command, "lost-read") == 0)
		return run_lost_read();
	if (strcmp(command, "unplugged") == 0)
		return run_unplugged();
	if (strcmp(command, "limits") == 0)
		return run_limits();
	if (strcmp(command, "churn") == 0 && number > 0)
		return run_churn(number);
	if (strcmp(command, "fuzz") == 0 && argc == 5)
		return run_fuzz(argv[4], number, strtoull(argv[3], NULL, 0));
	if (strcmp(command, "scribble") == 0 && number > 0)
		return run_scribble(number);
	fprintf(stderr, "usage: vgpu_probe info|echo N|hold|spin|parts N|hammer ADDRESS reads|resets|eject|zero "
			"N|exhaust|no-device|refused|lost|lost-read|unplugged|"
			"limits|churn SECONDS|fuzz SECONDS SEED RESOURCE|scribble ROUNDS\n");
	return 2;
}
