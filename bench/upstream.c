/* The server that answers, in C: the same paths and bytes as engine/face/cli/bench_server.py, at a fraction of its CPU, so that it is
 * never what limits a client. One thread, epoll, a heap of the paced streams' next tokens.
 *
 * upstream DIRECTORY: reads DIRECTORY/KIND.{json,first,token,last}, prints its port, ends with its standard input. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PIECE 8192
#define ROOM 16384
#define HEAD "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"
#define MISSING "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"

typedef struct { char *data; size_t size; } Bytes;
enum { JSON, FIRST, TOKEN, LAST, PARTS };
static const char *KINDS[] = {"openai", "anthropic"}, *PART[] = {"json", "first", "token", "last"};
static struct Kind { Bytes part[PARTS], whole, opening, token, closing; } kinds[2];
static struct Cached { int kind, cut; long tokens; Bytes bytes; } cache[64];
static int cached, epfd;

typedef struct Client {
    int fd, in_heap, is_closed, closes, waits;
    char in[ROOM];
    size_t in_size;
    const char *out;      /* one of the documents, never copied ... */
    size_t out_size;
    char *tail;           /* ... or the rest of a paced stream whose socket was full */
    size_t tail_size;
    struct Kind *kind;
    int64_t due, period;
    long left;
} Client;

static Client **heap;
static size_t heaped, heap_room;

static void *must(void *p) { if (!p) { perror("upstream"); exit(1); } return p; }

static void add(Bytes *to, const char *data, size_t size) {
    to->data = must(realloc(to->data, to->size + size + 1));
    memcpy(to->data + to->size, data, size);
    to->size += size;
}
static void add_chunk(Bytes *to, const char *data, size_t size) {
    char head[32];
    if (!size) return;
    add(to, head, (size_t)sprintf(head, "%zx\r\n", size));
    add(to, data, size);
    add(to, "\r\n", 2);
}
static int64_t now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

static void sift_up(size_t at) {
    while (at && heap[at]->due < heap[(at - 1) / 2]->due) {
        Client *other = heap[(at - 1) / 2];
        heap[(at - 1) / 2] = heap[at];
        heap[at] = other;
        at = (at - 1) / 2;
    }
}
static void sift_down(size_t at) {
    for (;;) {
        size_t least = at, left = 2 * at + 1;
        if (left < heaped && heap[left]->due < heap[least]->due) least = left;
        if (left + 1 < heaped && heap[left + 1]->due < heap[least]->due) least = left + 1;
        if (least == at) return;
        Client *other = heap[least];
        heap[least] = heap[at];
        heap[at] = other;
        at = least;
    }
}
static void push(Client *c) {
    if (heaped == heap_room) heap = must(realloc(heap, (heap_room = heap_room * 2 + 64) * sizeof *heap));
    c->in_heap = 1;
    heap[heaped++] = c;
    sift_up(heaped - 1);
}

static void close_client(Client *c) {
    if (c->is_closed) return;
    close(c->fd);
    c->is_closed = 1;
    c->left = 0;
}
static void watch(Client *c, int waits) {
    if (c->waits == waits) return;
    struct epoll_event e = {.events = EPOLLIN | (waits ? EPOLLOUT : 0), .data.ptr = c};
    epoll_ctl(epfd, EPOLL_CTL_MOD, c->fd, &e);
    c->waits = waits;
}
static void flush(Client *c) {
    while (c->out_size) {
        ssize_t n = send(c->fd, c->out, c->out_size, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) { watch(c, 1); return; }
        if (n < 0) { close_client(c); return; }
        c->out += n;
        c->out_size -= (size_t)n;
    }
    while (c->tail_size) {
        ssize_t n = send(c->fd, c->tail, c->tail_size, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) { watch(c, 1); return; }
        if (n < 0) { close_client(c); return; }
        memmove(c->tail, c->tail + n, c->tail_size -= (size_t)n);
    }
    watch(c, 0);
    if (c->closes) close_client(c);
}
static void say(Client *c, const char *data, size_t size) {
    if (!c->out_size && !c->tail_size) {
        c->out = data;
        c->out_size = size;
        flush(c);
    } else {
        c->tail = must(realloc(c->tail, c->tail_size + size));
        memcpy(c->tail + c->tail_size, data, size);
        c->tail_size += size;
    }
}
static void tick(Client *c) {
    if (c->left <= 0) return;
    say(c, c->kind->token.data, c->kind->token.size);
    if (c->left > 0 && --c->left == 0) say(c, c->kind->closing.data, c->kind->closing.size);
}

static Bytes *stream(int kind, long tokens, int cut) {
    for (int i = 0; i < cached; i++)
        if (cache[i].kind == kind && cache[i].tokens == tokens && cache[i].cut == cut) return &cache[i].bytes;
    if (cached == 64) { fprintf(stderr, "too many kinds of streams\n"); exit(1); }
    struct Cached *made = &cache[cached++];
    made->kind = kind, made->tokens = tokens, made->cut = cut;
    struct Kind *k = &kinds[kind];
    add(&made->bytes, HEAD, sizeof HEAD - 1);
    Bytes body = {0};
    add(&body, k->part[FIRST].data, k->part[FIRST].size);
    for (long i = 0; i < tokens; i++) add(&body, k->part[TOKEN].data, k->part[TOKEN].size);
    if (!cut) add(&body, k->part[LAST].data, k->part[LAST].size);
    for (size_t at = 0; at < body.size; at += PIECE)
        add_chunk(&made->bytes, body.data + at, body.size - at < PIECE ? body.size - at : PIECE);
    if (!cut) add(&made->bytes, "0\r\n\r\n", 5);
    free(body.data);
    return &made->bytes;
}

static void answer(Client *c, char *path) {
    static char told[256];
    static unsigned count;
    if (!strcmp(path, "/cpu")) {
        struct rusage r;
        char body[64];
        getrusage(RUSAGE_SELF, &r);
        int size = sprintf(body, "{\"cpu\": %.6f}", r.ru_utime.tv_sec + r.ru_stime.tv_sec
                                                        + (r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6);
        say(c, told, (size_t)sprintf(told, "HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s", size, body));
        return;
    }
    for (int i = 0; i < 2; i++) {
        size_t n = strlen(KINDS[i]);
        if (strncmp(path + 1, KINDS[i], n)) continue;
        char *rest = path + 1 + n;
        struct Kind *k = &kinds[i];
        long a, b;
        if (!strncmp(rest, "/json/", 6)) say(c, k->whole.data, k->whole.size);
        else if (sscanf(rest, "/stream/%ld", &a) == 1) { Bytes *s = stream(i, a, 0); say(c, s->data, s->size); }
        else if (sscanf(rest, "/cut/%ld", &a) == 1) { Bytes *s = stream(i, a, 1); c->closes = 1; say(c, s->data, s->size); }
        else if (sscanf(rest, "/paced/%ld/%ld", &a, &b) == 2) {
            c->kind = k, c->period = a, c->left = b;
            say(c, k->opening.data, k->opening.size);
            tick(c);
            if (c->left > 0 && !c->in_heap) {  /* the streams' phases are spread evenly, whenever they began */
                double phase = ++count * 0.6180339887;
                c->due = now_us() + (int64_t)((phase - (long)phase) * (double)a);
                push(c);
            }
        } else break;
        return;
    }
    say(c, MISSING, sizeof MISSING - 1);
}
static void read_client(Client *c) {
    ssize_t n = recv(c->fd, c->in + c->in_size, ROOM - 1 - c->in_size, 0);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) { close_client(c); return; }
    c->in_size += (size_t)n;
    c->in[c->in_size] = 0;
    char *body = strstr(c->in, "\r\n\r\n");
    if (!body) { if (c->in_size == ROOM - 1) close_client(c); return; }
    char *length = strcasestr(c->in, "\r\ncontent-length:");
    size_t wanted = (size_t)(body + 4 - c->in) + (length && length < body ? (size_t)atol(length + 17) : 0);
    if (wanted >= ROOM) { close_client(c); return; }
    if (c->in_size < wanted) return;
    char *path = strchr(c->in, ' ') + 1;
    *strchr(path, ' ') = 0;
    c->in_size = 0;
    answer(c, path);
}

static void load(const char *directory) {
    for (int i = 0; i < 2; i++) {
        struct Kind *k = &kinds[i];
        for (int j = 0; j < PARTS; j++) {
            char name[4096], piece[4096];
            snprintf(name, sizeof name, "%s/%s.%s", directory, KINDS[i], PART[j]);
            FILE *f = must(fopen(name, "rb"));
            for (size_t n; (n = fread(piece, 1, sizeof piece, f));) add(&k->part[j], piece, n);
            fclose(f);
            if (!k->part[j].data) add(&k->part[j], "", 0);
        }
        char head[128];
        add(&k->whole, head, (size_t)sprintf(head, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %zu\r\n\r\n", k->part[JSON].size));
        add(&k->whole, k->part[JSON].data, k->part[JSON].size);
        add(&k->opening, HEAD, sizeof HEAD - 1);
        add_chunk(&k->opening, k->part[FIRST].data, k->part[FIRST].size);
        add_chunk(&k->token, k->part[TOKEN].data, k->part[TOKEN].size);
        add_chunk(&k->closing, k->part[LAST].data, k->part[LAST].size);
        add(&k->closing, "0\r\n\r\n", 5);
    }
}

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    load(argv[1]);
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    if (bind(listener, (struct sockaddr *)&at, size) || listen(listener, 4096)) { perror("listen"); return 1; }
    getsockname(listener, (struct sockaddr *)&at, &size);
    printf("%d\n", ntohs(at.sin_port));
    fflush(stdout);
    epfd = epoll_create1(0);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = NULL}, events[256];
    epoll_ctl(epfd, EPOLL_CTL_ADD, listener, &e);
    e.data.ptr = &one; /* standard input: its end is ours */
    epoll_ctl(epfd, EPOLL_CTL_ADD, 0, &e);
    for (;;) {
        int wait = -1;
        if (heaped) {
            int64_t left = heap[0]->due - now_us();
            wait = left <= 0 ? 0 : (int)((left + 999) / 1000);
        }
        int n = epoll_wait(epfd, events, 256, wait);
        for (int i = 0; i < n; i++) {
            Client *c = events[i].data.ptr;
            if ((void *)c == &one) {
                char piece[64];
                if (read(0, piece, sizeof piece) <= 0) return 0;
            } else if (!c) {
                for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
                    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                    c = must(calloc(1, sizeof *c));
                    c->fd = fd;
                    e.events = EPOLLIN;
                    e.data.ptr = c;
                    epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &e);
                }
            } else {
                if (!c->is_closed && events[i].events & EPOLLOUT) flush(c);
                if (!c->is_closed && events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) read_client(c);
            }
            if (c && (void *)c != &one && c->is_closed && !c->in_heap) { free(c->tail); free(c); }
        }
        for (int64_t now = now_us(); heaped && heap[0]->due <= now;) {
            Client *c = heap[0];
            tick(c);
            c->due += c->period;
            if (c->left <= 0) {
                heap[0] = heap[--heaped];
                c->in_heap = 0;
                if (c->is_closed) { free(c->tail); free(c); }
            }
            if (heaped) sift_down(0);
        }
    }
}
