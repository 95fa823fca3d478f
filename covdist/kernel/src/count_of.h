/* Included once for each size of numbers, whose bits TYPE holds: a vector of them, NUMBERS, and COUNT. */
#define AT_ONCE (sizeof(doubles) < STRIP * sizeof(TYPE) ? sizeof(doubles) : STRIP * sizeof(TYPE)) /* bytes */
#define LANES (AT_ONCE / sizeof(TYPE))
typedef TYPE NUMBERS __attribute__((vector_size(AT_ONCE)));

/* Count zeros and magnitudes below `small`, of up to COUNTED rows of up to STRIP columns. Without its sign a number's
   bits, taken as a whole number, are in the order of magnitudes. */
static void COUNT(const rows_t *x, uint64_t sign, uint64_t small, int64_t *zeros, int64_t *low)
{
    TYPE held[STRIP], magnitude = (TYPE)~sign, least = (TYPE)small;
    NUMBERS zero[STRIP / LANES] = {{0}}, below[STRIP / LANES] = {{0}}, bits;
    for (size_t k = 0; k < x->rows; k++) {
        const char *row = x->data + k * x->stride;
        if (x->columns < STRIP) {
            for (size_t i = 0; i < STRIP; i++)
                held[i] = ((const TYPE *)row)[i < x->columns ? i : 0];
            row = (const char *)held;
        }
        for (size_t v = 0; v < STRIP / LANES; v++) {
            memcpy(&bits, row + v * sizeof bits, sizeof bits);
            bits &= magnitude;
            zero[v] -= (NUMBERS)(bits == 0); /* a comparison that holds is -1 */
            below[v] -= (NUMBERS)(bits < least);
        }
    }
    for (size_t i = 0; i < x->columns; i++) {
        zeros[i] += (int64_t)zero[i / LANES][i % LANES];
        low[i] += (int64_t)below[i / LANES][i % LANES];
    }
}
#undef AT_ONCE
#undef LANES
#undef TYPE
#undef NUMBERS
#undef COUNT
