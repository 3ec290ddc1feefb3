/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * without_linux.h: included before everything else, so that a file is compiled as on a
 * system that has none of what the C library here offers beside POSIX for Linux alone.
 */
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#undef __linux__
#undef AT_STATX_DONT_SYNC
#undef F_GET_SEALS
#undef MADV_DONTFORK
#undef MFD_CLOEXEC
#undef O_PATH
#undef POLLRDHUP
#undef PR_SET_CHILD_SUBREAPER
#undef PR_SET_PDEATHSIG
#undef RWF_NOWAIT
#undef SCM_CREDENTIALS
