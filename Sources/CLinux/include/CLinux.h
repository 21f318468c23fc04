// SPDX-License-Identifier: MIT
// What Swift cannot import from Linux's headers: packed structures, variadic calls, macros. Each
// function answers what the system call answers, or the negative errno.
#pragma once
#include <stdint.h>
#include <stddef.h>

/// One readiness report. `data` is what the descriptor was registered with.
struct clinux_event {
    uint64_t data;
    uint32_t events;
};

enum {
    CLINUX_IN = 0x001,
    CLINUX_OUT = 0x004,
    CLINUX_ERR = 0x008,
    CLINUX_HUP = 0x010,
    CLINUX_RDHUP = 0x2000,
};

int clinux_epoll_create(void);
int clinux_epoll_add(int epoll, int fd, uint32_t events, uint64_t data);
int clinux_epoll_modify(int epoll, int fd, uint32_t events, uint64_t data);
int clinux_epoll_remove(int epoll, int fd);
/// Waits up to `timeout_ms` (-1: forever). Interrupted waits answer 0.
int clinux_epoll_wait(int epoll, struct clinux_event *events, int capacity, int timeout_ms);

int clinux_eventfd(void);
int clinux_eventfd_signal(int fd);
int clinux_eventfd_drain(int fd);

/// Binds and listens on a numeric address, non-blocking, close-on-exec, SO_REUSEADDR, and
/// SO_REUSEPORT when asked; TCP_NODELAY is set here and inherited by accepted sockets.
/// `port` in and out: 0 lets the kernel choose.
int clinux_listen(const char *host, uint16_t *port, int backlog, int reuse_port);
/// How much the kernel takes before it has sent it (TCP_NOTSENT_LOWAT); accepted sockets inherit it.
void clinux_bound_unsent(int listener, int bytes);
/// Accepts one connection, non-blocking and close-on-exec, and writes the peer's numeric address: the
/// IPv4 one of an IPv4 peer, also when the listener is an IPv6 socket that sees it mapped.
int clinux_accept(int listener, char *address, size_t capacity);

/// send() with MSG_NOSIGNAL and MSG_DONTWAIT.
intptr_t clinux_send(int fd, const void *bytes, size_t count);
/// recv() with MSG_DONTWAIT.
intptr_t clinux_recv(int fd, void *bytes, size_t count);
/// A pair of connected stream sockets, non-blocking and close-on-exec.
int clinux_socketpair(int *one, int *other);
int clinux_close(int fd);
int clinux_shutdown_write(int fd);
void clinux_thread_name(const char *name);
/// Has malloc keep blocks of so many bytes and more apart, and give them back when they are freed.
void clinux_large_blocks(int bytes);

/// Sockets inside this machine, stream, non-blocking and close-on-exec. A path too long for a socket
/// address answers ENAMETOOLONG.
int clinux_local_listen(const char *path, int backlog);
int clinux_local_connect(const char *path);
int clinux_local_accept(int listener);
/// The user at the other end as of connect (SO_PEERCRED).
int64_t clinux_local_peer_user(int fd);

/// Descriptors that one message can carry.
enum { CLINUX_RIGHTS = 64 };
/// sendmsg() with 1 to CLINUX_RIGHTS descriptors attached to the first byte (SCM_RIGHTS).
intptr_t clinux_send_rights(int fd, const void *bytes, size_t count, const int *rights, int rights_count);
/// recvmsg(); `rights` has room for CLINUX_RIGHTS, and gets what came with these bytes, close-on-exec.
/// EMSGSIZE when some could not be taken; all of them are closed then.
intptr_t clinux_recv_rights(int fd, void *bytes, size_t count, int *rights, int *rights_count);

/// An io_uring for sends alone (io_uring(7)): many in one system call, which waits until all are done.
/// To be used from the thread that made it. None of them blocks, so nothing is under way after a submit.
struct clinux_ring;
/// Null where the kernel has none or does not allow it; errno says why.
struct clinux_ring *clinux_ring_create(unsigned entries);
void clinux_ring_destroy(struct clinux_ring *ring);
/// Puts by a send() with MSG_NOSIGNAL and MSG_DONTWAIT. False when the ring is full.
_Bool clinux_ring_send(struct clinux_ring *ring, int fd, const void *bytes, size_t count);
/// Performs what was put by. `results` gets what each send answered, or its negative errno, in order;
/// one that the kernel did not take answers -EAGAIN.
void clinux_ring_submit(struct clinux_ring *ring, int32_t *results);
