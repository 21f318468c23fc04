// SPDX-License-Identifier: MIT
#define _GNU_SOURCE
#include "CLinux.h"

#include <arpa/inet.h>
#include <errno.h>
#include <malloc.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

_Static_assert(CLINUX_IN == EPOLLIN, "epoll constants");
_Static_assert(CLINUX_OUT == EPOLLOUT, "epoll constants");
_Static_assert(CLINUX_ERR == EPOLLERR, "epoll constants");
_Static_assert(CLINUX_HUP == EPOLLHUP, "epoll constants");
_Static_assert(CLINUX_RDHUP == EPOLLRDHUP, "epoll constants");

static int answer(int result) { return result < 0 ? -errno : result; }

int clinux_epoll_create(void) { return answer(epoll_create1(EPOLL_CLOEXEC)); }

static int control(int epoll, int operation, int fd, uint32_t events, uint64_t data) {
    struct epoll_event event = {.events = events, .data = {.u64 = data}};
    return answer(epoll_ctl(epoll, operation, fd, &event));
}

int clinux_epoll_add(int epoll, int fd, uint32_t events, uint64_t data) {
    return control(epoll, EPOLL_CTL_ADD, fd, events, data);
}

int clinux_epoll_modify(int epoll, int fd, uint32_t events, uint64_t data) {
    return control(epoll, EPOLL_CTL_MOD, fd, events, data);
}

int clinux_epoll_remove(int epoll, int fd) { return control(epoll, EPOLL_CTL_DEL, fd, 0, 0); }

int clinux_epoll_wait(int epoll, struct clinux_event *events, int capacity, int timeout_ms) {
    struct epoll_event buffer[1024];
    if (capacity > 1024) capacity = 1024;
    int count = epoll_wait(epoll, buffer, capacity, timeout_ms);
    if (count < 0) return errno == EINTR ? 0 : -errno;
    for (int i = 0; i < count; i++) {
        events[i].data = buffer[i].data.u64;
        events[i].events = buffer[i].events;
    }
    return count;
}

int clinux_eventfd(void) { return answer(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)); }

int clinux_eventfd_signal(int fd) {
    uint64_t one = 1;
    ssize_t count;
    do count = write(fd, &one, sizeof one); while (count < 0 && errno == EINTR);
    // EAGAIN: the counter is full, so the reader is awake already.
    return count < 0 && errno != EAGAIN ? -errno : 0;
}

int clinux_eventfd_drain(int fd) {
    uint64_t value;
    ssize_t count;
    do count = read(fd, &value, sizeof value); while (count < 0 && errno == EINTR);
    return count < 0 && errno != EAGAIN ? -errno : 0;
}

int clinux_listen(const char *host, uint16_t *port, int backlog, int reuse_port) {
    struct sockaddr_storage storage;
    socklen_t length;
    memset(&storage, 0, sizeof storage);
    struct sockaddr_in *v4 = (struct sockaddr_in *)&storage;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&storage;
    if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(*port);
        length = sizeof *v4;
    } else if (inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(*port);
        length = sizeof *v6;
    } else {
        return -EINVAL;
    }
    int fd = socket(storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    int on = 1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0) goto failed;
    if (reuse_port && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) < 0) goto failed;
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0) goto failed;
    if (bind(fd, (struct sockaddr *)&storage, length) < 0) goto failed;
    if (listen(fd, backlog) < 0) goto failed;
    length = sizeof storage;
    if (getsockname(fd, (struct sockaddr *)&storage, &length) < 0) goto failed;
    *port = ntohs(storage.ss_family == AF_INET ? v4->sin_port : v6->sin6_port);
    return fd;
failed:;
    int error = errno;
    close(fd);
    return -error;
}

void clinux_bound_unsent(int fd, int bytes) {
    // Refused by kernels older than 3.12: then the whole buffer is the bound.
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &bytes, sizeof bytes);
}

int clinux_accept(int listener, char *address, size_t capacity) {
    struct sockaddr_storage storage;
    socklen_t length = sizeof storage;
    int fd;
    do {
        fd = accept4(listener, (struct sockaddr *)&storage, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0) return -errno;
    int family = storage.ss_family;
    const void *source = &((struct sockaddr_in *)&storage)->sin_addr;
    if (family == AF_INET6) {
        const struct in6_addr *v6 = &((struct sockaddr_in6 *)&storage)->sin6_addr;
        source = v6;
        if (IN6_IS_ADDR_V4MAPPED(v6)) {
            family = AF_INET;
            source = &v6->s6_addr[12];
        }
    }
    if (!inet_ntop(family, source, address, (socklen_t)capacity)) address[0] = 0;
    return fd;
}

intptr_t clinux_send(int fd, const void *bytes, size_t count) {
    ssize_t sent;
    do sent = send(fd, bytes, count, MSG_NOSIGNAL | MSG_DONTWAIT); while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : sent;
}

intptr_t clinux_recv(int fd, void *bytes, size_t count) {
    ssize_t received;
    do received = recv(fd, bytes, count, MSG_DONTWAIT); while (received < 0 && errno == EINTR);
    return received < 0 ? -errno : received;
}

int clinux_socketpair(int *one, int *other) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) < 0) return -errno;
    *one = ends[0];
    *other = ends[1];
    return 0;
}

// Never retried: after EINTR Linux has closed the descriptor, and its number may be somebody else's.
int clinux_close(int fd) { return answer(close(fd)); }

int clinux_shutdown_write(int fd) { return answer(shutdown(fd, SHUT_WR)); }

void clinux_thread_name(const char *name) { pthread_setname_np(pthread_self(), name); }

void clinux_large_blocks(int bytes) { mallopt(M_MMAP_THRESHOLD, bytes); }

static int local_address(const char *path, struct sockaddr_un *address) {
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    if (strlen(path) >= sizeof address->sun_path) return -ENAMETOOLONG;
    strcpy(address->sun_path, path);
    return 0;
}

int clinux_local_listen(const char *path, int backlog) {
    struct sockaddr_un address;
    int error = local_address(path, &address);
    if (error) return error;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, backlog) < 0) {
        error = errno;
        close(fd);
        return -error;
    }
    return fd;
}

int clinux_local_connect(const char *path) {
    struct sockaddr_un address;
    int error = local_address(path, &address);
    if (error) return error;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        error = errno;
        close(fd);
        return -error;
    }
    return fd;
}

int clinux_local_accept(int listener) {
    int fd;
    do fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    while (fd < 0 && errno == EINTR);
    return answer(fd);
}

int64_t clinux_local_peer_user(int fd) {
    struct ucred peer;
    socklen_t length = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0) return -errno;
    return (int64_t)peer.uid;
}

union rights {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(CLINUX_RIGHTS * sizeof(int))];
};

intptr_t clinux_send_rights(int fd, const void *bytes, size_t count, const int *rights, int rights_count) {
    if (rights_count < 1 || rights_count > CLINUX_RIGHTS) return -EINVAL;
    struct iovec piece = {.iov_base = (void *)bytes, .iov_len = count};
    union rights control;
    memset(&control, 0, sizeof control);
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1, .msg_control = &control};
    message.msg_controllen = CMSG_SPACE((size_t)rights_count * sizeof(int));
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN((size_t)rights_count * sizeof(int));
    memcpy(CMSG_DATA(header), rights, (size_t)rights_count * sizeof(int));
    ssize_t sent;
    do sent = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT); while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : sent;
}

intptr_t clinux_recv_rights(int fd, void *bytes, size_t count, int *rights, int *rights_count) {
    struct iovec piece = {.iov_base = bytes, .iov_len = count};
    union rights control;
    struct msghdr message = {
        .msg_iov = &piece, .msg_iovlen = 1,
        .msg_control = &control, .msg_controllen = sizeof control,
    };
    *rights_count = 0;
    ssize_t received;
    do received = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (received < 0 && errno == EINTR);
    if (received < 0) return -errno;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
        int got = (int)((header->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        // One control block holds no more than the buffer has room for.
        for (int i = 0; i < got && *rights_count < CLINUX_RIGHTS; i++) {
            memcpy(&rights[(*rights_count)++], CMSG_DATA(header) + (size_t)i * sizeof(int), sizeof(int));
        }
    }
    // Some did not fit or there was no room in our table: which ones is not known.
    if (message.msg_flags & MSG_CTRUNC) {
        for (int i = 0; i < *rights_count; i++) close(rights[i]);
        *rights_count = 0;
        return -EMSGSIZE;
    }
    return received;
}
