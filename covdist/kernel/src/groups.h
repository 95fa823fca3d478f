#ifndef COVDIST_GROUPS_H
#define COVDIST_GROUPS_H
#include "segment.h"

/* Groups of rows of the same columns. */
typedef struct {
    side_t side;             /* what is the same for all of them; its sums are those of one group after the other */
    const char *const *data; /* where the first row of each lies, */
    const size_t *rows;      /* and how many it has */
    size_t count, height;
    double *moments;         /* (groups, 3, columns): means, what a float64 of these leaves out, and sums of squares */
    int64_t *counts;         /* (groups, 2, columns): zeros and subnormals */
    double *const *matrices; /* one a group, or none: squares, */
    const double *divisors;  /* covariances with these, correlations where they are NaN; */
    double *square;          /* with memory for one square packed triangles of the products about the mean */
    uint8_t *ordinary;
} groups_t;
#endif
