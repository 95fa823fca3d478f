#ifndef COVDIST_STREAM_H
#define COVDIST_STREAM_H
#include <string.h>
#include "kernel.h"
#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum { LINE = 64 };

#if defined(__x86_64__)
/* Copy bytes to where they are written without being read before, a cache line at a time. */
static inline void stream(char *to, const char *from, size_t bytes)
{
    size_t head = (size_t)(-(uintptr_t)to & (LINE - 1));
    head = head < bytes ? head : bytes;
    memcpy(to, from, head);
    to += head, from += head, bytes -= head;
    for (; bytes >= LINE; bytes -= LINE, to += LINE, from += LINE) {
        __m128i a = _mm_loadu_si128((const __m128i *)from), b = _mm_loadu_si128((const __m128i *)(from + 16));
        __m128i c = _mm_loadu_si128((const __m128i *)(from + 32)), d = _mm_loadu_si128((const __m128i *)(from + 48));
        _mm_stream_si128((__m128i *)to, a);
        _mm_stream_si128((__m128i *)(to + 16), b);
        _mm_stream_si128((__m128i *)(to + 32), c);
        _mm_stream_si128((__m128i *)(to + 48), d);
    }
    memcpy(to, from, bytes);
}
static inline void written(void) { _mm_sfence(); }
#else
static inline void stream(char *to, const char *from, size_t bytes) { memcpy(to, from, bytes); }
static inline void written(void) {}
#endif
#endif
