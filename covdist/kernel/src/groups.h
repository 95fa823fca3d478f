#ifndef COVDIST_GROUPS_H
#define COVDIST_GROUPS_H
#include "segment.h"

/* Groups of rows of the same columns. */
typedef struct {
    side_t side;             /* what is the same for all of them; its sums are those of one group after the other, as
                                are its factors, where it has any and products are packed and without divisors */
    const char *const *data; /* where the first row of each lies, */
    const size_t *rows;      /* and how many it has */
    size_t count, height;
    double *moments;         /* (groups, 3, columns): means, what a float64 of these leaves out, and sums of squares */
    int64_t *counts;         /* (groups, 2, columns): zeros and subnormals */
    double *const *matrices; /* one a group, or none: packed triangles of the products about the mean, */
    const double *divisors;  /* or with these squares: covariances, correlations where they are NaN */
    double *square, *triangle; /* memory for the products of one group, which stays in the cache */
    uint8_t *ordinary;
} groups_t;
#endif
