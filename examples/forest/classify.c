/* Tells which iris a flower is, from the length and width of its sepal and petal in cm. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "iris_forest.h"

static const char *const names[] = IRIS_FOREST_OUTPUT_0_LABELS;
static _Alignas(16) unsigned char arena[IRIS_FOREST_ARENA_BYTES];

static void classify(const float *flower)
{
    memcpy(iris_forest_input(arena, 0), flower, IRIS_FOREST_INPUT_0_BYTES);
    iris_forest_run(arena);
    const IRIS_FOREST_OUTPUT_0_TYPE *label = iris_forest_output(arena, 0);
    const float *likely = iris_forest_output(arena, 1);
    printf("%s, %.2f\n", names[*label], (double)likely[*label]);
}

int main(void)
{
    classify((const float[]){5.1f, 3.5f, 1.4f, 0.2f});
    classify((const float[]){6.0f, NAN, 4.5f, 1.5f}); /* nobody measured the width of its sepal */
    classify((const float[]){6.9f, 3.1f, 5.4f, 2.1f});
    return 0;
}
