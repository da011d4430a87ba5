/* Counts what CPython asks its allocators for: calls and bytes, in all three domains. Loaded with ctypes.PyDLL. */
#include <Python.h>

static PyMemAllocatorEx before[3];
static const PyMemAllocatorDomain domains[3] = {PYMEM_DOMAIN_RAW, PYMEM_DOMAIN_MEM, PYMEM_DOMAIN_OBJ};
static unsigned long long calls, bytes, largest;

static void count(size_t size) {
    __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED);
    __atomic_add_fetch(&bytes, size, __ATOMIC_RELAXED);
    if (size > largest) largest = size;
}
static void *on_malloc(void *ctx, size_t size) { PyMemAllocatorEx *a = ctx; count(size); return a->malloc(a->ctx, size); }
static void *on_calloc(void *ctx, size_t n, size_t size) { PyMemAllocatorEx *a = ctx; count(n * size); return a->calloc(a->ctx, n, size); }
static void *on_realloc(void *ctx, void *p, size_t size) { PyMemAllocatorEx *a = ctx; count(size); return a->realloc(a->ctx, p, size); }
static void on_free(void *ctx, void *p) { PyMemAllocatorEx *a = ctx; a->free(a->ctx, p); }

void counter_start(void) {
    calls = bytes = largest = 0;
    for (int i = 0; i < 3; i++) {
        PyMem_GetAllocator(domains[i], &before[i]);
        PyMemAllocatorEx ours = {&before[i], on_malloc, on_calloc, on_realloc, on_free};
        PyMem_SetAllocator(domains[i], &ours);
    }
}
void counter_stop(unsigned long long *out) {
    for (int i = 0; i < 3; i++) PyMem_SetAllocator(domains[i], &before[i]);
    out[0] = calls, out[1] = bytes, out[2] = largest;
}
