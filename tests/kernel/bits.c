/* Folds seeded rows by one instruction set, and prints a hash of the bits of each case. Linked with the library. */
#include "seeded.h"

static void *zeroed(size_t count, size_t size)
{
    void *found = calloc(count + 1, size);
    if (!found)
        exit(1);
    return found;
}

static side_t side_of(size_t type, size_t rows, size_t columns, size_t height, int floats)
{
    size_t padded = (columns + STRIP - 1) / STRIP * STRIP + 2 * STRIP, size = SIZES[type];
    char *data = zeroed(rows * columns, size);
    double *shift = zeroed(padded, 8), *factors = zeroed(padded, 8);
    for (size_t i = 0; i < rows * columns; i++)
        put(data + i * size, type, uniform() < 0.1 ? 0 : 20 + 60 * uniform());
    for (size_t j = 0; j < columns; j++) {
        shift[j] = 50 + uniform();
        factors[j] = 1.0 / 16;
    }
    side_t side = {{data, rows, columns, columns * size}, type, shift, zeroed(padded, 8), zeroed(padded, 8),
                   zeroed(padded, 8), zeroed(padded, 8), floats ? factors : 0, 0, type < 4 ? 0x1p-14 : 1, INFINITY, 1,
                   zeroed(6 * padded, 8), zeroed(height * padded, floats ? 4 : 8), 0, 0};
    return side;
}

/* The pilot that is made of the rows, the moments about the mean, and the packed products about it. */
static void print_whole(size_t number)
{
    state = number;
    size_t rows = 1 + next() % 6000, columns = 2 + next() % 40, height = 256 * (1 + number % 20);
    side_t side = side_of(number % 12, rows, columns, height, 0);
    double *moments = zeroed(3 * columns, 8);
    segment_t s = {&side, 0, 0, 0, 1, NONE, height};
    side.begins = 1;
    size_t folded = NAME(fold)(&s);
    if (folded)
        NAME(end)(columns, side.weight, side.shift, side.sums, side.squares, moments);
    size_t packed = columns * (columns + 1) / 2;
    double *square = zeroed(columns * columns, 8), *triangle = zeroed(packed, 8);
    for (size_t i = 0; i < columns * columns; i++)
        square[i] = uniform();
    NAME(centre)(columns, -1.0 / (double)rows, side.sums, square, triangle);
    uint64_t hash = hashed(hashed(NO_HASH, side.shift, 8 * columns), moments, 24 * columns);
    hash = hashed(hash, triangle, 8 * packed);
    printf("whole %zu %zu/%zu %016llx\n", number, folded, rows, (unsigned long long)hash);
}

int main(void)
{
    for (size_t number = 0; number < 40; number++) {
        state = number;
        size_t type = number % 12, products = number / 3 % 4, height = 256 * (1 + number % 3);
        size_t rows = 200 + next() % 2000, n = 1 + next() % (number % 5 ? 70 : 300), m = 1 + next() % 90;
        int weighted = number % 2, floats = number % 7 == 3;
        side_t sides[2] = {side_of(type, rows, n, height, floats), side_of(1, rows, m, height, floats)};
        double *weights = zeroed(rows, 8), *roots = zeroed(rows, 8), *matrix = zeroed(n * (n > m ? n : m), 8);
        for (size_t k = 0; k < rows; k++)
            roots[k] = sqrt(weights[k] = 0.25 + uniform());
        segment_t s = {sides, weighted ? weights : 0, weighted ? roots : 0, matrix, products == RECTANGLE ? 2 : 1,
                       products, height};
        uint64_t hash = NO_HASH;
        size_t folded = NAME(fold)(&s);
        for (size_t i = 0; i < s.count; i++) {
            size_t columns = sides[i].rows.columns;
            hash = hashed(hash, sides[i].sums, 8 * columns);
            hash = hashed(hash, sides[i].squares, 8 * columns);
            hash = hashed(hash, sides[i].zeros, 8 * columns);
            hash = hashed(hash, sides[i].subnormals, 8 * columns);
        }
        hash = hashed(hash, matrix, 8 * n * (n > m ? n : m));
        printf("%zu %zu/%zu %016llx\n", number, folded, rows, (unsigned long long)hash);
    }
    for (size_t number = 0; number < 24; number++)
        print_whole(number);
    return 0;
}
