/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox.h"

#include <cap-ng.h>
#include <asm/ioctls.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* A CUDA process opens some hundred device files; file descriptors also come from the guest. */
#define DESCRIPTORS_MAX 4096

static const int denied_calls[] = {
	/* other programs and other processes */
	SCMP_SYS(execve),
	SCMP_SYS(execveat),
	SCMP_SYS(fork),
	SCMP_SYS(vfork),
	SCMP_SYS(ptrace),
	SCMP_SYS(process_vm_readv),
	SCMP_SYS(process_vm_writev),
	SCMP_SYS(process_madvise),
	SCMP_SYS(kcmp),
	SCMP_SYS(pidfd_open),
	SCMP_SYS(pidfd_getfd),
	SCMP_SYS(pidfd_send_signal),
	SCMP_SYS(setns),
	SCMP_SYS(unshare),
	/* file system and machine */
	SCMP_SYS(mount),
	SCMP_SYS(umount2),
	SCMP_SYS(pivot_root),
	SCMP_SYS(chroot),
	SCMP_SYS(open_tree),
	SCMP_SYS(move_mount),
	SCMP_SYS(fsopen),
	SCMP_SYS(fsconfig),
	SCMP_SYS(fsmount),
	SCMP_SYS(fspick),
	SCMP_SYS(mount_setattr),
	SCMP_SYS(swapon),
	SCMP_SYS(swapoff),
	SCMP_SYS(reboot),
	SCMP_SYS(kexec_load),
	SCMP_SYS(kexec_file_load),
	SCMP_SYS(init_module),
	SCMP_SYS(finit_module),
	SCMP_SYS(delete_module),
	SCMP_SYS(iopl),
	SCMP_SYS(ioperm),
	SCMP_SYS(syslog),
	SCMP_SYS(sethostname),
	SCMP_SYS(setdomainname),
	SCMP_SYS(settimeofday),
	SCMP_SYS(clock_settime),
	SCMP_SYS(adjtimex),
	SCMP_SYS(clock_adjtime),
	SCMP_SYS(acct),
	SCMP_SYS(quotactl),
	SCMP_SYS(mknod),
	SCMP_SYS(mknodat),
	SCMP_SYS(name_to_handle_at),
	SCMP_SYS(open_by_handle_at),
	SCMP_SYS(fanotify_init),
	/* parts of the kernel with a history of holes */
	SCMP_SYS(bpf),
	SCMP_SYS(perf_event_open),
	SCMP_SYS(userfaultfd),
	SCMP_SYS(add_key),
	SCMP_SYS(request_key),
	SCMP_SYS(keyctl),
	SCMP_SYS(io_uring_setup),
	SCMP_SYS(io_uring_enter),
	SCMP_SYS(io_uring_register),
	SCMP_SYS(personality),
	SCMP_SYS(lookup_dcookie),
	SCMP_SYS(vmsplice),
	/* They hold a pipe's lock while they wait for the other end, and there may be pipes that others read. */
	SCMP_SYS(splice),
	SCMP_SYS(tee),
	SCMP_SYS(sendfile),
	SCMP_SYS(nfsservctl),
	/* privileges */
	SCMP_SYS(setuid),
	SCMP_SYS(setgid),
	SCMP_SYS(setreuid),
	SCMP_SYS(setregid),
	SCMP_SYS(setresuid),
	SCMP_SYS(setresgid),
	SCMP_SYS(setgroups),
	SCMP_SYS(setfsuid),
	SCMP_SYS(setfsgid),
	SCMP_SYS(capset),
	/*
	 * Peers. bind, listen and accept stay: cuInit makes an abstract Unix socket of its own ("@cuda-uvmfd-...")
	 * and gives CUDA_ERROR_OPERATING_SYSTEM without it (measured, driver 580).
	 */
	SCMP_SYS(connect),
};

/*
 * Other guests' executors run as the same user: one that was taken over can neither signal nor limit them.
 * Nor can it leave a process behind that outlives it; threads it may have.
 */
static int others_protect(scmp_filter_ctx filter)
{
	static const int signalling_calls[] = {SCMP_SYS(kill), SCMP_SYS(tgkill), SCMP_SYS(rt_sigqueueinfo),
					       SCMP_SYS(rt_tgsigqueueinfo)};
	int result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(tkill), 0);

	for (size_t i = 0; i < sizeof(signalling_calls) / sizeof(signalling_calls[0]) && !result; i++)
		result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), signalling_calls[i], 1,
					  SCMP_A0(SCMP_CMP_NE, (scmp_datum_t)getpid()));
	if (!result)
		result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(prlimit64), 1,
					  SCMP_A0(SCMP_CMP_NE, 0));
	if (!result)
		result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
					  SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0));
	/* Its flags lie in memory, where no filter can look: the C library then falls back to clone. */
	if (!result)
		result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	return result;
}

/* The kernel looks at 32 bits of a command, seccomp at 64. */
#define COMMAND_IS(place, value) SCMP_CMP(place, SCMP_CMP_MASKED_EQ, UINT32_MAX, (uint32_t)(value))

/* A descriptor that tells its owner of input can signal any process of the user. */
static int descriptors_protect(scmp_filter_ctx filter)
{
	static const uint32_t owner_commands[] = {F_SETOWN, F_SETOWN_EX, F_SETSIG};
	static const uint32_t controls[] = {FIOASYNC, FIOSETOWN, SIOCSPGRP};
	int result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(fcntl), 2, COMMAND_IS(1, F_SETFL),
				      SCMP_A2(SCMP_CMP_MASKED_EQ, O_ASYNC, O_ASYNC));

	for (size_t i = 0; i < sizeof(owner_commands) / sizeof(owner_commands[0]) && !result; i++)
		result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(fcntl), 1,
					  COMMAND_IS(1, owner_commands[i]));
	for (size_t i = 0; i < sizeof(controls) / sizeof(controls[0]) && !result; i++)
		result =
			seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(ioctl), 1, COMMAND_IS(1, controls[i]));
	return result;
}

/* No network; nor datagrams, which need no connection: a log's socket takes them from anybody. */
static int sockets_protect(scmp_filter_ctx filter)
{
	const scmp_datum_t type_mask = 0xf;
	int result =
		seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_NE, AF_UNIX));

	if (!result)
		result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(socket), 1,
					  SCMP_A1(SCMP_CMP_MASKED_EQ, type_mask, SOCK_DGRAM));
	if (!result)
		result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(socketpair), 1,
					  SCMP_A1(SCMP_CMP_MASKED_EQ, type_mask, SOCK_DGRAM));
	return result;
}

static int filter_load(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	int result = 0;

	if (!filter)
		return -ENOMEM;
	/* The driver has threads of its own by now. */
	result = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
	for (size_t i = 0; i < sizeof(denied_calls) / sizeof(denied_calls[0]) && !result; i++) {
		result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), denied_calls[i], 0);
		/* Not every call exists on every architecture. */
		if (result == -EDOM || result == -EINVAL)
			result = 0;
	}
	if (!result)
		result = others_protect(filter);
	if (!result)
		result = descriptors_protect(filter);
	if (!result)
		result = sockets_protect(filter);
	if (!result)
		result = seccomp_load(filter);
	seccomp_release(filter);
	return result;
}

static int limit_set(__rlimit_resource_t resource, rlim_t value)
{
	struct rlimit limit;

	if (getrlimit(resource, &limit) < 0)
		return -errno;
	if (limit.rlim_max > value)
		limit.rlim_max = value;
	if (limit.rlim_cur > limit.rlim_max)
		limit.rlim_cur = limit.rlim_max;
	if (resource == RLIMIT_NOFILE)
		limit.rlim_cur = limit.rlim_max;
	return setrlimit(resource, &limit) < 0 ? -errno : 0;
}

int sandbox_enter(void)
{
	int result = limit_set(RLIMIT_CORE, 0);
	capng_select_t parts;

	if (!result)
		result = limit_set(RLIMIT_NOFILE, DESCRIPTORS_MAX);
	if (result)
		return result;
	if (prctl(PR_SET_DUMPABLE, 0) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	/*
	 * Without CAP_SETPCAP the bounding set cannot be cleared, and the library would tell the system's log of it
	 * each time; without privileges it gives nothing.
	 */
	if (capng_get_caps_process() < 0)
		return -EPERM;
	parts = capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP) ? CAPNG_SELECT_BOTH : CAPNG_SELECT_CAPS;
	capng_clear(CAPNG_SELECT_BOTH);
	if (capng_apply(parts) < 0) {
		/* A container's filter may refuse it even so, at which some versions of the library fail. */
		capng_clear(CAPNG_SELECT_BOTH);
		if (parts == CAPNG_SELECT_CAPS || capng_apply(CAPNG_SELECT_CAPS) < 0)
			return -EPERM;
	}
	return filter_load();
}
