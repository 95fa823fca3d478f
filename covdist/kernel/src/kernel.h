#ifndef COVDIST_KERNEL_H
#define COVDIST_KERNEL_H
#include <stddef.h>
#include <stdint.h>

/* Columns of doubles and of floats that are packed side by side: those of one vector where they are long, so that a tile's
   columns, and no others, pass through the first cache. */
#if defined(__AVX2__) && !defined(__AVX512F__)
enum { PANEL = 4, FLOAT_PANEL = 8 };
#else
enum { PANEL = 8, FLOAT_PANEL = 16 };
#endif
enum {
    STRIP = 16, /* columns that are summed side by side; memory per column is for a multiple of it */
    BLOCK = 256 /* rows whose sum starts from zero */
};

#define INLINED static inline __attribute__((always_inline)) /* which clang does not do by itself: twice as slow */
#if defined(_WIN32)
#define EXPORTED __declspec(dllexport)
#else
#define EXPORTED __attribute__((visibility("default")))
#endif
#define JOIN_(a, b) covdist_##a##_##b
#define JOIN(a, b) JOIN_(a, b)
#define NAME(function) JOIN(function, ISA) /* one of each for every instruction set, which the compiler is told */

/* Rows as they lie in memory: columns side by side, rows `stride` bytes apart. */
typedef struct {
    const char *data;
    size_t rows, columns, stride;
} rows_t;

enum { APART = 4096 };

/* Say whether rows of numbers of `size` bytes are parts of longer ones, whose other bytes lie between. */
static inline int are_parts(rows_t x, size_t size) { return x.stride >= x.columns * size + APART; }
#endif
