#ifndef COVDIST_FILES_H
#define COVDIST_FILES_H
#include "kernel.h"

enum { FAILED, WRITTEN, PAST_CACHE, EXCHANGED }; /* how far a file came */

int NAME(write_file)(const char *path, const char *other, const char *data, size_t bytes, size_t length, int is_new,
                     int past_cache);
int NAME(are_files)(const char *paths, size_t count);
#endif
