#ifndef COVDIST_SEGMENT_H
#define COVDIST_SEGMENT_H
#include "kernel.h"

enum { NONE, SQUARE, PACKED, RECTANGLE }; /* what products are kept */

/* Columns that share the rows of a segment. Arrays are of its columns, but for `shift`, padded to STRIP and one more:
   packed products take the columns in two parts, each padded. */
typedef struct {
    rows_t rows;
    size_t type;         /* of the numbers, as in TYPES of pass.c */
    double *shift;       /* the pilot */
    double *sums, *squares;
    int64_t *zeros, *subnormals;
    double *factors;         /* for products of floats: of each column, powers of two, padded as `shift`; or none */
    double weight;           /* of the rows so far */
    double small, largest;   /* magnitudes between which nothing is special, zeros apart: a power of two, 1 for whole
                                numbers; and any */
    int64_t subnormal;       /* whether smaller ones are folded, and counted as subnormals */
    double *work;            /* memory: for WORK numbers a column, padded */
    void *panels;            /* memory: for packed deviations; with factors they are floats */
    int64_t begins;          /* whether the pilot is made of the first rows, */
    int64_t scales;          /* and the factors */
} side_t;

typedef struct {
    side_t *sides;
    const double *weights, *roots; /* of each row, and their square roots, or none */
    double *matrix;
    size_t count, products; /* sides, of which the first is, or the first two are, multiplied */
    size_t height;          /* rows that are looked at together */
} segment_t;

size_t NAME(fold)(segment_t *);
size_t NAME(fold_before)(segment_t *, rows_t next);
void NAME(end)(size_t columns, double weight, const double *pilot, const double *sums, const double *squares, double *moments);
void NAME(centre)(size_t n, double factor, const double *sums, const double *square, double *packed);
#endif
