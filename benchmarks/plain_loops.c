/* Layers on bytes as a loop nest writes them down: one sum, one product at a time. */
#include <stdint.h>

static int8_t x[1 << 18], y[1 << 18], w[1 << 18];
static int32_t b[1 << 12];
static float scale[1 << 12];

/* Keeps the compiler from knowing what the arrays hold. */
static void unknown(void) {
  __asm__ volatile("" : : "r"(x), "r"(y), "r"(w), "r"(b), "r"(scale) : "memory");
}

static int8_t requantize(int32_t sum, float factor) {
  float v = (float)sum * factor;
  v = v > -128.0f ? v : -128.0f;
  v = v < 127.0f ? v : 127.0f;
  return (int8_t)__builtin_rintf(v);
}

__attribute__((export_name("line"))) void line(int inputs, int outputs) {
  unknown();
  for (int n = 0; n < outputs; ++n) {
    int32_t sum = b[n];
    for (int k = 0; k < inputs; ++k) sum += x[k] * w[n * inputs + k];
    y[n] = requantize(sum, scale[n]);
  }
}

/* kh by kw, same padding. */
__attribute__((export_name("conv"))) void conv(
    int h, int width, int c, int outputs, int kh, int kw, int stride, int groups) {
  unknown();
  const int depth = c / groups, each = outputs / groups;
  for (int oy = 0; oy * stride < h; ++oy) {
    for (int ox = 0; ox * stride < width; ++ox) {
      for (int n = 0; n < outputs; ++n) {
        int32_t sum = b[n];
        for (int ky = 0; ky < kh; ++ky) {
          const int iy = oy * stride + ky - kh / 2;
          for (int kx = 0; kx < kw; ++kx) {
            const int ix = ox * stride + kx - kw / 2;
            if (iy < 0 || iy >= h || ix < 0 || ix >= width) continue;
            const int8_t *const in = x + (iy * width + ix) * c + n / each * depth;
            const int8_t *const wn = w + ((n * kh + ky) * kw + kx) * depth;
            for (int k = 0; k < depth; ++k) sum += in[k] * wn[k];
          }
        }
        const int at = (oy * ((width + stride - 1) / stride) + ox) * outputs + n;
        y[at] = requantize(sum, scale[n]);
      }
    }
  }
}
