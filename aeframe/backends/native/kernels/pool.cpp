// Max pooling, channels last: x (n, h, w, c) → y (n, oh, ow, c).
#include <limits>

#include "gemm.h"
#include "kernel.h"

namespace {

struct Shape {
  int64_t n, h, w, c, kh, kw, sh, sw, top, left, oh, ow;

  explicit Shape(const int64_t* s)
      : n(s[0]), h(s[1]), w(s[2]), c(s[3]), kh(s[4]), kw(s[5]), sh(s[6]), sw(s[7]), top(s[8]),
        left(s[9]), oh(s[10]), ow(s[11]) {}

  // Do `body(from)` for the pixels in the window of place (y, x): `from` is the pixel's number in
  // its image. Padding is left out.
  template <class Body>
  void window(int64_t y, int64_t x, Body&& body) const {
    const int64_t up = y * sh - top, side = x * sw - left;
    for (int64_t i = std::max<int64_t>(0, up); i < std::min(h, up + kh); ++i) {
      for (int64_t j = std::max<int64_t>(0, side); j < std::min(w, side + kw); ++j) body(i * w + j);
    }
  }
};

}  // namespace

// x → y. Sizes: the shape.
KERNEL(max_pool) {
  const Shape s(call.n);
  parallel(s.n, [&](int64_t image) {
    const float* x = call.in(0) + image * s.h * s.w * s.c;
    float* y = call.out(0) + image * s.oh * s.ow * s.c;
    for (int64_t place = 0; place < s.oh * s.ow; ++place, y += s.c) {
      std::fill(y, y + s.c, -std::numeric_limits<float>::infinity());
      s.window(place / s.ow, place % s.ow, [&](int64_t pixel) {
        const float* from = x + pixel * s.c;
        // not std::max: NaN stays NaN
        for (int64_t k = 0; k < s.c; ++k) {
          y[k] = from[k] > y[k] || from[k] != from[k] ? from[k] : y[k];
        }
      });
    }
  });
}

// x, y, g → the gradient of x: each g goes to the first maximum of its window. Sizes: the shape.
KERNEL(max_pool_gradient) {
  const Shape s(call.n);
  parallel(s.n, [&](int64_t image) {
    const int64_t pixels = s.h * s.w * s.c, places = s.oh * s.ow * s.c;
    const float* x = call.in(0) + image * pixels;
    const float *y = call.in(1) + image * places, *g = call.in(2) + image * places;
    float* dx = call.out(0) + image * pixels;
    std::fill(dx, dx + pixels, 0.0f);
    const Buffer buffer(s.c);
    float* left = buffer.get();  // what has not found its maximum yet
    for (int64_t place = 0; place < s.oh * s.ow; ++place, y += s.c, g += s.c) {
      std::copy(g, g + s.c, left);
      s.window(place / s.ow, place % s.ow, [&](int64_t pixel) {
        const float* from = x + pixel * s.c;
        float* to = dx + pixel * s.c;
        for (int64_t k = 0; k < s.c; ++k) {
          const bool here = from[k] == y[k];
          to[k] += here ? left[k] : 0;
          left[k] = here ? 0 : left[k];
        }
      });
    }
  });
}
