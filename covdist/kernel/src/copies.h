#ifndef COVDIST_COPIES_H
#define COVDIST_COPIES_H
#include "kernel.h"

/* Items from anywhere in memory, one after the other: `outer` times `rows` times `columns`. */
typedef struct {
    char *to;
    const char *from;
    size_t item; /* bytes: 1, 2, 4 or 8 */
    size_t outer, rows, columns;
    int64_t outer_stride, row_stride, column_stride; /* bytes, of what is copied */
} copy_t;

void NAME(copy)(const copy_t *copies, size_t count);
size_t NAME(frame)(char *to, const char *rows, size_t bytes, size_t chunk);
#endif
