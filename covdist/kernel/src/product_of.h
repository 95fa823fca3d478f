/* Included once for the products of doubles and once for those of floats:
   REAL, PACK (columns of a panel), WIDE and TALL (columns and rows of a tile), LANES, lanes, ALL, LOAD, STORE, FMA, and
   names. */
_Static_assert(SLICE % TALL == 0, "no tile reaches into the next slice");

/* Add sums over the rows to c[i][j]; i is for TALL columns of the left from `first` on, j for WIDE columns of b. */
static inline void TILE(size_t rows, const REAL *restrict left, size_t first, const REAL *restrict b,
                        double *restrict c, size_t stride)
{
    const REAL *a[TALL];
    for (int i = 0; i < TALL; i++) {
        a[i] = left + (first + i) / PACK * PACK * rows + (first + i) % PACK;
        __builtin_prefetch(c + i * stride, 1);
        __builtin_prefetch(c + i * stride + WIDE - 1, 1);
    }
    for (size_t from = 0; from < rows; from += BLOCK) {
        size_t end = rows - from < BLOCK ? rows : from + BLOCK;
        lanes sums[TALL][WIDE / LANES];
        for (int i = 0; i < TALL; i++)
            for (int v = 0; v < WIDE / LANES; v++)
                sums[i][v] = ALL(0);
        UNROLLED
        for (size_t k = from * PACK; k < end * PACK; k += PACK) {
            lanes right[WIDE / LANES];
            for (int v = 0; v < WIDE / LANES; v++)
                right[v] = LOAD(b + v * LANES / PACK * PACK * rows + k + v * LANES % PACK);
            for (int i = 0; i < TALL; i++) {
                lanes left = ALL(a[i][k]);
                for (int v = 0; v < WIDE / LANES; v++)
                    sums[i][v] = FMA(left, right[v], sums[i][v]);
            }
        }
        for (int i = 0; i < TALL; i++) {
            REAL row[WIDE];
            for (int v = 0; v < WIDE / LANES; v++)
                STORE(row + v * LANES, sums[i][v]);
            for (int j = 0; j < WIDE; j++)
                c[i * stride + j] += row[j];
        }
    }
}

/* The same where entries of the first `high` rows and `wide` columns with low <= j - i <= top alone count. */
static void EDGE(size_t rows, const REAL *left, size_t first, const REAL *b, double *c, size_t stride, size_t high, size_t wide,
                 ptrdiff_t low, ptrdiff_t top)
{
    double held[TALL * WIDE] = {0};
    for (int writing = 0; writing < 2; writing++) {
        for (size_t i = 0; i < high; i++)
            for (size_t j = 0; j < wide; j++) {
                ptrdiff_t off = (ptrdiff_t)j - (ptrdiff_t)i;
                if (low <= off && off <= top) {
                    double *from = writing ? held + i * WIDE + j : c + i * stride + j;
                    double *to = writing ? c + i * stride + j : held + i * WIDE + j;
                    *to = *from;
                }
            }
        if (!writing)
            TILE(rows, left, first, b, held, WIDE);
    }
}

/* Add the products of n packed columns with m others to those entries of c with low <= j - i <= top. */
void PRODUCTS(size_t rows, const REAL *left, size_t n, const REAL *right, size_t m, double *c, size_t stride,
              ptrdiff_t low, ptrdiff_t top)
{
    for (size_t slice = 0; slice < n; slice += SLICE) { /* whose columns stay in the second cache */
        size_t end = n - slice < SLICE ? n : slice + SLICE;
        for (size_t j = 0; j < m; j += WIDE)
            for (size_t i = slice; i < end; i += TALL) {
                ptrdiff_t off = (ptrdiff_t)j - (ptrdiff_t)i;
                ptrdiff_t least = off - (TALL - 1), most = off + (WIDE - 1);
                if (most < low || least > top)
                    continue;
                const REAL *b = right + j * rows;
                double *at = c + i * stride + j;
                if (n - i >= TALL && m - j >= WIDE && low <= least && most <= top)
                    TILE(rows, left, i, b, at, stride);
                else
                    EDGE(rows, left, i, b, at, stride, n - i < TALL ? n - i : TALL, m - j < WIDE ? m - j : WIDE, low - off,
                         top - off);
            }
    }
}
#undef REAL
#undef PACK
#undef WIDE
#undef LANES
#undef lanes
#undef ALL
#undef LOAD
#undef STORE
#undef FMA
#undef TALL
#undef TILE
#undef EDGE
#undef PRODUCTS
