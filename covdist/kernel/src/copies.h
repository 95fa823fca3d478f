#ifndef COVDIST_COPIES_H
#define COVDIST_COPIES_H
#include "frames.h"

/* Items from anywhere in memory, one after the other: `outer` times `rows` times `columns`. */
typedef struct {
    char *to; /* memory, or how many bytes of the frame's rows come before */
    const char *from;
    size_t item; /* bytes: 1, 2, 4 or 8 */
    size_t outer, rows, columns;
    int64_t outer_stride, row_stride, column_stride; /* bytes, of what is copied */
    frame_t *frame;                                  /* NULL where that is memory without gaps */
} copy_t;

/* What rounding has lost, counted on. */
typedef struct {
    int64_t over, gone; /* finite values that became infinite, and others that became 0 */
    double largest;     /* magnitude that was finite */
} lost_t;

typedef enum { FLOAT32, FLOAT16, BFLOAT16 } float_kind_t;

void NAME(copy)(const copy_t *copies, size_t count);
void NAME(turn)(const copy_t *, size_t apart);
void NAME(rounded)(char *to, size_t kind, const char *from, size_t given, size_t count, lost_t *lost);
#endif
