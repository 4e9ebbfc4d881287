#include "pkcs11/wall.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Never: other processes and their memory, programs, the kernel's administration. io_uring, because what it
 * does passes by all of these rules. */
static const int NEVER[] = {
    SCMP_SYS(ptrace), SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev), SCMP_SYS(process_madvise),
    SCMP_SYS(kcmp), SCMP_SYS(pidfd_getfd), SCMP_SYS(pidfd_send_signal), SCMP_SYS(rt_sigqueueinfo),
    SCMP_SYS(tkill),
    SCMP_SYS(execve), SCMP_SYS(execveat), SCMP_SYS(fork), SCMP_SYS(vfork),
    SCMP_SYS(io_uring_setup), SCMP_SYS(io_uring_enter), SCMP_SYS(io_uring_register),
    SCMP_SYS(bpf), SCMP_SYS(perf_event_open), SCMP_SYS(userfaultfd), SCMP_SYS(init_module),
    SCMP_SYS(finit_module), SCMP_SYS(delete_module), SCMP_SYS(kexec_load), SCMP_SYS(kexec_file_load),
    SCMP_SYS(mount), SCMP_SYS(umount2), SCMP_SYS(pivot_root), SCMP_SYS(chroot), SCMP_SYS(unshare),
    SCMP_SYS(setns), SCMP_SYS(open_tree), SCMP_SYS(move_mount), SCMP_SYS(fsopen), SCMP_SYS(reboot),
    SCMP_SYS(swapon), SCMP_SYS(swapoff), SCMP_SYS(acct), SCMP_SYS(add_key), SCMP_SYS(request_key),
    SCMP_SYS(keyctl), SCMP_SYS(personality), SCMP_SYS(open_by_handle_at),
};

/* Typing into a terminal; and giving a descriptor to another process, which then gets a signal of our choice
 * whenever something comes to it. */
static const struct { int call; unsigned request; } NEVER_BY[] = {
    {SCMP_SYS(ioctl), TIOCSTI}, {SCMP_SYS(ioctl), TIOCLINUX},
    {SCMP_SYS(ioctl), FIOSETOWN}, {SCMP_SYS(ioctl), SIOCSPGRP},
    {SCMP_SYS(fcntl), F_SETOWN}, {SCMP_SYS(fcntl), F_SETOWN_EX},
};

static int deny(scmp_filter_ctx f, int call, int error)
{
    return seccomp_rule_add(f, SCMP_ACT_ERRNO((uint32_t) error), call, 0);
}

static int deny_if(scmp_filter_ctx f, int call, int error, struct scmp_arg_cmp when)
{
    return seccomp_rule_add_array(f, SCMP_ACT_ERRNO((uint32_t) error), call, 1, &when);
}

static int add_rules(scmp_filter_ctx f, bool network)
{
    scmp_datum_t self = (scmp_datum_t) getpid();
    int bad = 0;
    for (size_t i = 0; i < sizeof NEVER / sizeof *NEVER && !bad; i++) bad = deny(f, NEVER[i], EPERM);
    /* Threads, no processes. clone3 hides its flags from us: libc goes on with clone. */
    if (!bad) bad = deny(f, SCMP_SYS(clone3), ENOSYS);
    if (!bad) bad = deny_if(f, SCMP_SYS(clone), EPERM, SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0));
    /* Signals to itself at most. */
    if (!bad) bad = deny_if(f, SCMP_SYS(kill), EPERM, SCMP_A0(SCMP_CMP_NE, self, 0));
    if (!bad) bad = deny_if(f, SCMP_SYS(tgkill), EPERM, SCMP_A0(SCMP_CMP_NE, self, 0));
    if (!bad) bad = deny_if(f, SCMP_SYS(rt_tgsigqueueinfo), EPERM, SCMP_A0(SCMP_CMP_NE, self, 0));
    if (!bad) bad = deny_if(f, SCMP_SYS(prlimit64), EPERM, SCMP_A0(SCMP_CMP_NE, 0, 0));
    for (size_t i = 0; i < sizeof NEVER_BY / sizeof *NEVER_BY && !bad; i++)
        bad = deny_if(f, NEVER_BY[i].call, EPERM,
                      SCMP_A1(SCMP_CMP_MASKED_EQ, UINT32_MAX, NEVER_BY[i].request));
    if (!bad && !network)
        bad = deny_if(f, SCMP_SYS(socket), EACCES, SCMP_A0(SCMP_CMP_NE, AF_UNIX, 0));
    return bad;
}

/* As root it could read the broker's memory through /proc, which passes by all rules about calls. */
static err_t drop_capabilities(void)
{
    static const unsigned DROPPED[] = {CAP_SYS_PTRACE, CAP_SYS_ADMIN, CAP_SYS_MODULE, CAP_SYS_RAWIO,
                                       CAP_SYS_BOOT, CAP_KILL, CAP_PERFMON, CAP_BPF};
    struct __user_cap_header_struct who = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
    if (syscall(SYS_capget, &who, data) != 0) FAIL_ERRNO(ERR_INTERNAL, "cannot read capabilities");
    for (size_t i = 0; i < sizeof DROPPED / sizeof *DROPPED; i++) {
        struct __user_cap_data_struct *d = &data[CAP_TO_INDEX(DROPPED[i])];
        d->effective &= ~(uint32_t) CAP_TO_MASK(DROPPED[i]);
        d->permitted &= ~(uint32_t) CAP_TO_MASK(DROPPED[i]);
        d->inheritable &= ~(uint32_t) CAP_TO_MASK(DROPPED[i]);
    }
    if (syscall(SYS_capset, &who, data) != 0) FAIL_ERRNO(ERR_INTERNAL, "cannot drop capabilities");
    return ERR_OK;
}

err_t wall_confine(bool network)
{
    TRY(drop_capabilities());
    scmp_filter_ctx f = seccomp_init(SCMP_ACT_ALLOW);
    if (!f) FAIL(ERR_INTERNAL, "out of memory");
    int bad = add_rules(f, network);
    if (!bad) bad = seccomp_load(f);
    seccomp_release(f);
    errno = -bad;
    if (bad)
        FAIL_ERRNO(ERR_INTERNAL, "the kernel does not confine the token's helper; without seccomp say "
                   "token.isolation: in-process");
    return ERR_OK;
}
