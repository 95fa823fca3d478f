#ifndef COVDIST_PASS_H
#define COVDIST_PASS_H
#include "kernel.h"

/* What a pass over rows makes; sums and squares are added to, for STRIP columns or a multiple of them. */
typedef struct {
    const double *shift; /* of each column, STRIP columns or a multiple */
    const double *roots; /* of each row's weight, or none */
    double *sums, *squares;
    double *panels;        /* memory for the deviations, or none: those of BLOCK rows lie together */
    float *rounded;        /* for those times factors, as floats, or none */
    const double *factors; /* of each column */
    double *work;          /* memory for two numbers a column, STRIP columns or a multiple */
    int64_t *zeros, *low;  /* of each column, added to: zeros, and magnitudes below `small`, zeros among them */
    double small, limit;   /* the former a power of two */
    uint64_t small_bits;   /* as a number of the rows' type */
    uint64_t limit_bits;   /* of the largest finite number of that type, where floats hold all of them */
    int below, beyond;     /* whether there are magnitudes below `small`, in the latest rows, and above `limit` */
    const char *ahead; /* into the rows that come next, whose bytes are asked for in the order in which they lie, */
    size_t step;       /* so many with each row of these: in another order 64 columns took 1.6 times as long */
    size_t packed, before; /* columns in panels: in all, and before these */
} pass_t;

size_t NAME(size)(size_t type);
void NAME(pass)(size_t type, rows_t, pass_t *);
void NAME(total)(size_t type, rows_t, pass_t *);
#endif
