/* Many small groups of rows, each folded by itself, and the matrices that are read of them. */
#include "segment.h"
#include "groups.h"
#include "pass.h"
#include <math.h>
#include <string.h>

enum { TILE = 8, PACKED_FROM = 256 }; /* columns that are turned at a time; from how many on a segment's sums are packed */

static size_t least_of(size_t a, size_t b) { return a < b ? a : b; }
static size_t padded(size_t columns) { return (columns + STRIP - 1) / STRIP * STRIP; }

/* Where the row of a packed triangle, or of its leading part the column, has the entry (i, j) of column 0. */
static size_t packed_at(size_t n, size_t i, size_t j)
{
    size_t half = (n + 1) / 2, even = 1 - n % 2, stride = n + even;
    return j < half ? j * stride + even + i : (i - half + 1 - even) * stride + j - half;
}

/* What turns products into the entries of a matrix: (products + scaled * sums) / divisor, or, where there are roots, that less
   the divisor by both columns' roots, of which `power` are powers of two and `fraction` the rest. */
typedef struct {
    const double *sums, *scaled; /* or none, where products are about the mean */
    const double *power, *fraction;
    double divisor;
} entries_t;

/* Make those of `one` column, or row, with some from another on. */
INLINED void entries(const entries_t *of, size_t one, size_t from, size_t count, int column, double *restrict out)
{
    if (of->sums)
        for (size_t k = 0; k < count; k++)
            out[k] += of->scaled[one] * of->sums[from + k];
    if (!of->power) {
        for (size_t k = 0; k < count; k++)
            out[k] /= of->divisor;
        return;
    }
    const double *power = of->power + from, *fraction = of->fraction + from;
    double own = of->power[one];
    for (size_t k = 0; k < count; k++) {
        double found = out[k] * (column ? power[k] : own) * (column ? own : power[k]) / (of->fraction[one] * fraction[k]);
        out[k] = found < -1 ? -1 : found > 1 ? 1 : found;
    }
}

/* Write up to TILE rows of a square of columns that lie `stride` numbers apart. */
static void turned(size_t n, size_t rows, size_t columns, const double *from, size_t stride, double *square)
{
    for (size_t j = 0; j < columns; j += TILE, from += TILE * stride) {
        size_t wide = least_of(TILE, columns - j);
        if (rows == TILE && wide == TILE) /* what the compiler knows takes half the time */
            for (size_t i = 0; i < TILE; i++)
                for (size_t k = 0; k < TILE; k++)
                    square[i * n + j + k] = from[k * stride + i];
        else
            for (size_t i = 0; i < rows; i++)
                for (size_t k = 0; k < wide; k++)
                    square[i * n + j + k] = from[k * stride + i];
    }
}

/* Write the square of a packed triangle, a few rows after the other. Few of its lines stay in the cache: where each is written
   in parts, here and there, it takes twice as long. */
static void unpacked(size_t n, const double *packed, double *square)
{
    size_t half = (n + 1) / 2, stride = n + 1 - n % 2;
    for (size_t top = 0, rows; top < n; top += rows) {
        size_t end = top < half ? half : n, leading = least_of(top, half);
        rows = least_of(TILE, end - top);
        double *out = square + top * n;
        turned(n, rows, leading, packed + packed_at(n, top, 0), stride, out);
        for (size_t i = top; i < top + rows; i++, out += n) {
            const double *run = packed + (i < half ? packed_at(n, i, i) : packed_at(n, i, half));
            size_t first = i < half ? i : half, count = i < half ? n - i : i + 1 - half;
            memcpy(out + first, run, count * sizeof *out);
            for (size_t j = leading; j < first; j++)
                out[j] = packed[packed_at(n, i, j)];
            for (size_t j = i + 1; i >= half && j < top + rows; j++)
                out[j] = packed[packed_at(n, j, i)];
        }
        if (top >= half && top + rows < n)
            turned(n, rows, n - top - rows, packed + packed_at(n, top + rows, top), stride,
                   square + top * n + top + rows);
    }
}

/* Make the covariances, or without a divisor correlations, of packed products, which are overwritten, and exceed those about
   the mean by `factor` times those of the sums. `work` is for three numbers a column. */
static void finish(size_t n, double factor, const double *sums, const double *squares, double divisor, double *packed,
                   double *square, double *work)
{
    double *scaled = work, *power = work + padded(n), *fraction = power + padded(n);
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
    size_t half = (n + 1) / 2;
    entries_t of = {factor != 0 ? sums : 0, scaled, correlations ? power : 0, fraction, divisor};
    for (size_t j = 0; j < half; j++)
        entries(&of, j, j, n - j, 1, packed + packed_at(n, j, j));
    for (size_t i = half; i < n; i++)
        entries(&of, i, half, i + 1 - half, 0, packed + packed_at(n, i, half));
    unpacked(n, packed, square);
    for (size_t j = 0; j < n; j++)
        square[j * n + j] = !correlations ? squares[j] / divisor : squares[j] > 0 && isfinite(squares[j]) ? 1 : NAN;
}

/* Add to a packed triangle `factor` times the products of a row, as products of single rows are added. */
static void add_row(size_t n, double factor, const double *row, double *packed)
{
    size_t half = (n + 1) / 2;
    for (size_t j = 0; j < n; j++) {
        size_t from = j < half ? j : half, count = j < half ? n - j : j + 1 - half;
        double *run = packed + packed_at(n, j, from), left = row[j] * factor;
        for (size_t i = 0; i < count; i++)
            run[i] += left * row[from + i];
    }
}

/* Pack the lower triangle of a square of products of columns times their factors, powers of two, less those. `work` is for a
   number a column. */
static void pack_unscaled(size_t n, const double *factors, const double *square, double *packed, double *work)
{
    size_t half = (n + 1) / 2, even = 1 - n % 2, stride = n + even;
    for (size_t j = 0; j < n; j++)
        work[j] = 1 / factors[j];
    for (size_t i = 0; i < n; i++, square += n) {
        double own = work[i];
        for (size_t j = 0; j < half && j <= i; j++)
            packed[j * stride + even + i] = square[j] * (own * work[j]);
        double *row = packed + packed_at(n, i, i < half ? i : half);
        for (size_t j = half; j <= i; j++)
            row[j - half] = square[j] * (own * work[j]);
    }
}

/* Return the first rows of the group after another, where they are parts of longer ones: where they lie one after the other
   they come by themselves, and asking for them took longer. */
static rows_t after(const groups_t *g, size_t k)
{
    rows_t rows = g->side.rows;
    int comes = k + 1 < g->count && are_parts(rows, NAME(size)(g->side.type));
    return (rows_t){g->data[k + comes], comes ? least_of(g->rows[k + 1], g->height) : 0, rows.columns, rows.stride};
}

/* Fold each group into a segment of its own; `ordinary` says of which all rows were. */
EXPORTED void NAME(fold_groups)(const groups_t *g)
{
    size_t n = g->side.rows.columns, packs = g->divisors && n >= PACKED_FROM;
    double *square = packs ? g->triangle : g->square;
    for (size_t k = 0; k < g->count; k++) {
        side_t side = g->side;
        side.rows.data = g->data[k];
        side.rows.rows = g->rows[k];
        side.zeros = g->counts + 2 * n * k;
        side.subnormals = side.zeros + n;
        memset(side.sums, 0, n * sizeof *side.sums);
        memset(side.squares, 0, n * sizeof *side.squares);
        double *moments = g->moments + 3 * n * k;
        segment_t segment = {.sides = &side, .matrix = square, .count = 1, .height = g->height,
                             .products = !square ? NONE : packs ? PACKED : SQUARE};
        if (square)
            memset(square, 0, (packs ? n * (n + 1) / 2 : n * n) * sizeof *square);
        g->ordinary[k] = NAME(fold_before)(&segment, after(g, k)) == side.rows.rows;
        if (!g->ordinary[k])
            continue;
        double factor = -1 / side.weight;
        NAME(end)(n, side.weight, side.shift, side.sums, side.squares, moments);
        if (side.factors) {
            pack_unscaled(n, side.factors, square, g->matrices[k], side.work);
            add_row(n, factor, side.sums, g->matrices[k]);
        } else if (square && !packs)
            NAME(centre)(n, factor, side.sums, square, g->divisors ? g->triangle : g->matrices[k]);
        if (g->divisors)
            finish(n, packs ? factor : 0, side.sums, moments + 2 * n, g->divisors[k], g->triangle, g->matrices[k], side.work);
    }
}

/* Add to packed triangles those of a row of each. */
EXPORTED void NAME(add_outer)(size_t n, size_t count, double factor, const double *rows, double *packed)
{
    for (size_t k = 0; k < count; k++, rows += n, packed += n * (n + 1) / 2)
        add_row(n, factor, rows, packed);
}

/* Make squares of packed triangles, as `fold_groups` makes them of rows; `squares` are those of each one's columns, and
   `work` is for three numbers a column and a triangle. */
EXPORTED void NAME(squares)(size_t n, size_t count, const double *packed, const double *squares, const double *divisors,
                            double *const *matrices, double *work)
{
    size_t size = n * (n + 1) / 2;
    for (size_t k = 0; k < count; k++, packed += size, squares += n) {
        memcpy(work, packed, size * sizeof *work);
        finish(n, 0, 0, squares, divisors[k], work, matrices[k], work + size);
    }
}
