#ifndef COVDIST_PRODUCT_H
#define COVDIST_PRODUCT_H
#include "kernel.h"
void NAME(products)(size_t rows, const double *left, size_t n, const double *right, size_t m, double *c, size_t stride,
                    ptrdiff_t low, ptrdiff_t top);
void NAME(float_products)(size_t rows, const float *left, size_t n, const float *right, size_t m, double *c,
                          size_t stride, ptrdiff_t low, ptrdiff_t top);
#endif
