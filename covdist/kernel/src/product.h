#ifndef COVDIST_PRODUCT_H
#define COVDIST_PRODUCT_H
#include "kernel.h"

/* Rows that are read after the products: their bytes are asked for while these are made, some with each row of a tile. */
typedef struct {
    const char *at, *end;
    size_t step;
    size_t width, line; /* of parts of longer rows: their bytes, and how far into the next of them others were asked for */
} ahead_t;

void NAME(products)(size_t rows, const double *left, size_t n, const double *right, size_t m, double *c, size_t stride,
                    ptrdiff_t low, ptrdiff_t top, ahead_t *);
void NAME(float_products)(size_t rows, const float *left, size_t n, const float *right, size_t m, double *c,
                          size_t stride, ptrdiff_t low, ptrdiff_t top, ahead_t *);
#endif
