/* Many small groups of rows, each folded by itself, and the matrices that are read of them. */
#include "segment.h"
#include "groups.h"
#include <math.h>
#include <string.h>

enum { TILE = 8, PACKED_FROM = 256 }; /* columns that are turned at a time; from how many on a segment's sums are packed */

static size_t least_of(size_t a, size_t b) { return a < b ? a : b; }
static size_t padded(size_t columns) { return (columns + STRIP - 1) / STRIP * STRIP; }

/* What turns products into the entries of a matrix: (products + left[i] * right[j]) / divisor, or, where there are roots, that
   less the divisor by both columns' roots, of which `power` are powers of two and `fraction` the rest. */
typedef struct {
    const double *left, *right; /* or none, where products are about the mean */
    const double *power, *fraction;
    double divisor;
} entries_t;

static void entries(const entries_t *of, const double *products, size_t i, size_t from, size_t to, double *out)
{
    if (of->left)
        for (size_t j = from; j < to; j++)
            out[j - from] = products[j - from] + of->left[i] * of->right[j];
    else
        memcpy(out, products, (to - from) * sizeof *out);
    if (!of->power) {
        for (size_t j = 0; j < to - from; j++)
            out[j] /= of->divisor;
        return;
    }
    for (size_t j = from; j < to; j++) {
        double found = out[j - from] * of->power[i] * of->power[j] / (of->fraction[i] * of->fraction[j]);
        out[j - from] = found < -1 ? -1 : found > 1 ? 1 : found;
    }
}

/* Make entries of some columns of a square of its lower triangle, and mirror them, tile by tile. */
static void mirrored(size_t n, size_t from, size_t to, const entries_t *of, double *square)
{
    for (size_t top = from; top < n; top += TILE)
        for (size_t left = from; left < to && left < top + TILE; left += TILE) {
            double tile[TILE][TILE];
            size_t bottom = least_of(top + TILE, n), right = least_of(left + TILE, to);
            for (size_t i = top; i < bottom; i++) {
                size_t end = least_of(right, i + 1), wide = end > left ? end - left : 0;
                entries(of, square + i * n + left, i, left, left + wide, tile[i - top]);
                memcpy(square + i * n + left, tile[i - top], wide * sizeof(double));
            }
            for (size_t j = left; j < right; j++)
                for (size_t i = j > top ? j : top; i < bottom; i++)
                    square[j * n + i] = tile[i - top][j - left];
        }
}

/* Make the covariances, or without a divisor correlations, of products that are less by `factor` times those of the sums;
   numpy multiplies packed sums by it on the side of the leading columns. `work` is for four numbers a column. */
static void finish(size_t n, double factor, const double *sums, const double *squares, double divisor, double *square,
                   double *work)
{
    double *scaled = work, *power = work + padded(n), *fraction = power + padded(n);
    size_t half = factor != 0 && n >= PACKED_FROM ? (n + 1) / 2 : 0;
    int correlations = isnan(divisor);
    for (size_t j = 0; j < n; j++) {
        scaled[j] = factor != 0 ? sums[j] * factor : 0;
        if (correlations) {
            int exponent;
            double root = sqrt(squares[j]);
            fraction[j] = root == 0 ? NAN : frexp(root, &exponent);
            power[j] = root == 0 ? 1 : ldexp(1, -exponent);
        }
    }
    entries_t leading = {sums, scaled, correlations ? power : 0, fraction, divisor}, rest = leading;
    rest.left = factor != 0 ? scaled : 0;
    rest.right = sums;
    mirrored(n, 0, half, &leading, square);
    mirrored(n, half, n, &rest, square);
    for (size_t j = 0; j < n; j++)
        square[j * n + j] = !correlations ? squares[j] / divisor : squares[j] > 0 && isfinite(squares[j]) ? 1 : NAN;
}

/* Where the row of a packed triangle, or of its leading part the column, has the entry (i, j) of column 0. */
static size_t packed_at(size_t n, size_t i, size_t j)
{
    size_t half = (n + 1) / 2, even = 1 - n % 2, stride = n + even;
    return j < half ? j * stride + even + i : (i - half + 1 - even) * stride + j - half;
}

/* Fold each group into a segment of its own; `ordinary` says of which all rows were. */
EXPORTED void NAME(fold_groups)(const groups_t *g)
{
    size_t n = g->side.rows.columns;
    for (size_t k = 0; k < g->count; k++) {
        side_t side = g->side;
        side.rows.data = g->data[k];
        side.rows.rows = g->rows[k];
        side.zeros = g->counts + 2 * n * k;
        side.subnormals = side.zeros + n;
        memset(side.sums, 0, n * sizeof *side.sums);
        memset(side.squares, 0, n * sizeof *side.squares);
        double *moments = g->moments + 3 * n * k, *square = g->square ? g->square : g->matrices ? g->matrices[k] : 0;
        segment_t segment = {.sides = &side, .matrix = square, .count = 1, .products = square ? SQUARE : NONE,
                             .height = g->height};
        if (square)
            memset(square, 0, n * n * sizeof *square);
        g->ordinary[k] = NAME(fold)(&segment) == side.rows.rows;
        if (!g->ordinary[k])
            continue;
        NAME(end)(n, side.weight, side.shift, side.sums, side.squares, moments);
        if (g->square)
            NAME(centre)(n, -1 / side.weight, side.sums, square, g->matrices[k]);
        else if (square)
            finish(n, -1 / side.weight, side.sums, moments + 2 * n, g->divisors[k], square, side.work);
    }
}

/* Add to packed triangles `factor` times the products of a row of each, as products of single rows are added. */
EXPORTED void NAME(add_outer)(size_t n, size_t count, double factor, const double *rows, double *packed)
{
    size_t half = (n + 1) / 2;
    for (size_t k = 0; k < count; k++, rows += n, packed += n * (n + 1) / 2) {
        for (size_t j = 0; j < half; j++) {
            double *column = packed + packed_at(n, 0, j), left = rows[j] * factor;
            for (size_t i = j; i < n; i++)
                column[i] += left * rows[i];
        }
        for (size_t i = half; i < n; i++) {
            double *row = packed + packed_at(n, i, half), left = rows[i] * factor;
            for (size_t j = half; j <= i; j++)
                row[j - half] += left * rows[j];
        }
    }
}

/* Make squares of packed triangles, as `fold_groups` makes them of rows; `squares` are those of each one's columns, and
   `work` is for four numbers a column. */
EXPORTED void NAME(squares)(size_t n, size_t count, const double *packed, const double *squares, const double *divisors,
                            double *const *matrices, double *work)
{
    for (size_t k = 0; k < count; k++, packed += n * (n + 1) / 2, squares += n) {
        double *square = matrices[k];
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j <= i; j++)
                square[i * n + j] = packed[packed_at(n, i, j)];
        finish(n, 0, 0, squares, divisors[k], square, work);
    }
}
