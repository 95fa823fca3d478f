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
    double least, largest;
    const char *ahead; /* into the rows that come next, whose bytes are asked for in the order in which they lie, */
    size_t step;       /* so many with each row of these: in another order 64 columns took 1.6 times as long */
    size_t packed, before; /* columns in panels: in all, and before these */
} pass_t;

size_t NAME(size)(size_t type);
void NAME(pass)(size_t type, rows_t, pass_t *);
void NAME(total)(size_t type, rows_t, pass_t *);
void NAME(census)(size_t type, rows_t, double small, int64_t *zeros, int64_t *low);
#endif
