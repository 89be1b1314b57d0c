// Convolutions, channels last: x (n, h, w, c), weight (kh, kw, c/groups, o), y (n, oh, ow, o).
//
// All three products (forward, gradient of x, gradient of the weight) are matrix products with the
// matrix of patches, which is never made: its rows are copied into blocks where they are needed.
#include "kernel.h"
#include "operands.h"
#include "shape.h"

namespace {

// Those inputs (y, x) that are (fy, fx) modulo the stride all see the same taps of the weight.
struct Phase {
  const Shape& s;
  int64_t fy, fx;

  int64_t rows() const { return ceil_div(s.h - fy, s.sh); }
  int64_t columns() const { return ceil_div(s.w - fx, s.sw); }

  // The patches of the cotangent g that these inputs see: input sh·i + fy met tap u when output
  // i + (fy + top − u·dh) / sh was made.
  Patches patches(const float* g, int64_t group) const {
    std::vector<Tap> taps;
    for (int64_t u = s.kh - 1; u >= 0; --u) {
      for (int64_t v = s.kw - 1; v >= 0; --v) {
        const int64_t y = fy + s.top - u * s.dh, x = fx + s.left - v * s.dw;
        if (y % s.sh == 0 && x % s.sw == 0) taps.push_back({y / s.sh, x / s.sw, u * s.kw + v});
      }
    }
    return {{g, s.n, s.oh, s.ow, s.o, group * s.out(), s.out()}, {rows(), columns(), 1, 1}, taps};
  }

  float* place(float* dx, int64_t i, int64_t group) const {
    const int64_t x = i % columns(), y = i / columns() % rows(), image = i / columns() / rows();
    return dx + ((image * s.h + fy + s.sh * y) * s.w + fx + s.sw * x) * s.c + group * s.in();
  }
};

// Right operand: the weight with its channels transposed; entry (p, j) for p = (tap, out), j = in.
struct Turned {
  const float* weight;  // of this group
  int64_t in, out, stride;
  const std::vector<Tap>& taps;

  const float* panel(float* to, Range j, Range p) const {
    for (int64_t at = p.begin; at < p.end;) {
      const int64_t t = at / out, end = std::min(p.end, (t + 1) * out);
      const float* from = weight + (taps[t].weight * in + j.begin) * stride + at - t * out;
      transpose(to + (at - p.begin) * COLUMNS, from, stride, end - at, j.size());
      at = end;
    }
    return to;
  }
};

// The gradient of x, plus a bias for each of its channels unless it is null.
void gradient_x(const Shape& s, const float* g, const float* weight, const float* bias,
                float* dx) {
  for (int64_t group = 0; group < s.groups; ++group) {
    for (int64_t f = 0; f < s.sh * s.sw; ++f) {
      const Phase phase{s, f / s.sw, f % s.sw};
      if (phase.fy >= s.h || phase.fx >= s.w) continue;
      const Patches patches = phase.patches(g, group);
      const Turned turned{weight + group * s.out(), s.in(), s.out(), s.o, patches.taps};
      multiply(patches.count(), s.in(), patches.depth(), patches, turned,
               [&](int64_t i) { return phase.place(dx, i, group); },
               {bias ? bias + group * s.in() : nullptr});
    }
  }
}

// Sums over all pixels, in pieces whose number does not depend on the team.
void gradient_w(const Shape& s, const float* x, const float* g, float* dw) {
  constexpr int64_t enough = 8;
  const int64_t rows = s.taps() * s.in(), size = rows * s.out(), down = ceil_div(rows, BLOCK);
  for (int64_t group = 0; group < s.groups; ++group) {
    const PatchesTransposed patches{s.patches(x, group)};
    const Right right{g + group * s.out(), s.o};
    const int64_t pixels = patches.all.count();
    const int64_t pieces = std::clamp<int64_t>(pixels / DEPTH, 1, ceil_div(enough, down));
    const bool direct = pieces == 1;
    const Buffer sums(direct ? 0 : pieces * size);
    float* all = direct ? dw + group * s.out() : sums.get();
    const int64_t stride = direct ? s.o : s.out();
    parallel(down * pieces, [&](int64_t task) {
      const Range i = piece_of(rows, down, 1, task % down);
      const Range p = piece_of(pixels, pieces, 1, task / down);
      float* mine = all + task / down * size;
      product(i, {0, s.out()}, p, patches, right, [&](int64_t r) { return mine + r * stride; });
    });
    if (direct) continue;
    parallel(down, [&](int64_t task) {
      const Range i = piece_of(rows, down, 1, task);
      for (int64_t r = i.begin; r < i.end; ++r) {
        float* to = dw + r * s.o + group * s.out();
        const float* from = sums.get() + r * s.out();
        std::copy(from, from + s.out(), to);
        for (int64_t piece = 1; piece < pieces; ++piece) {
          for (int64_t j = 0; j < s.out(); ++j) to[j] += from[piece * size + j];
        }
      }
    });
  }
}

}  // namespace

// x, weight[, bias][, addend] → y. Sizes: the shape, then those of the epilogue.
KERNEL(convolve) {
  const Shape s(call.n);
  const Epilogue last = epilogue(call, call.n + Shape::size);
  for (int64_t group = 0; group < s.groups; ++group) {
    const Patches patches = s.patches(call.in(0), group);
    float* y = call.out(0) + group * s.out();
    Epilogue mine = last;
    if (mine.bias) mine.bias += group * s.out();
    multiply(patches.count(), s.out(), patches.depth(), patches,
             Right{call.in(1) + group * s.out(), s.o}, [&](int64_t i) { return y + i * s.o; },
             mine);
  }
}

// g, weight[, bias] → what the convolution's transpose makes of g, of the shape of x. Sizes: the
// shape, whether there is a bias.
KERNEL(convolve_x) {
  const Shape s(call.n);
  gradient_x(s, call.in(0), call.in(1), call.n[Shape::size] ? call.in(2) : nullptr, call.out(0));
}

// x, g → the gradient of the weight. Sizes: the shape.
KERNEL(convolve_w) { gradient_w(Shape(call.n), call.in(0), call.in(1), call.out(0)); }

// x, weight, g → gradients of x, weight, bias, as far as they are wanted. Sizes: the shape, then
// which output each of the three is, or -1.
KERNEL(convolve_gradient) {
  const Shape s(call.n);
  const float *x = call.in(0), *weight = call.in(1), *g = call.in(2);
  if (float* dx = call.wanted(Shape::size)) gradient_x(s, g, weight, nullptr, dx);
  if (float* dw = call.wanted(Shape::size + 1)) gradient_w(s, x, g, dw);
  if (float* db = call.wanted(Shape::size + 2)) column_sums(s.n * s.oh * s.ow, s.o, g, db);
}
