// The shape of a convolution.
#pragma once

#include "patches.h"

struct Shape {
  int64_t n, h, w, c, kh, kw, o, groups, sh, sw, top, left, dh, dw, oh, ow;

  explicit Shape(const int64_t* s)
      : n(s[0]), h(s[1]), w(s[2]), c(s[3]), kh(s[4]), kw(s[5]), o(s[6]), groups(s[7]), sh(s[8]),
        sw(s[9]), top(s[10]), left(s[11]), dh(s[12]), dw(s[13]), oh(s[14]), ow(s[15]) {}

  static constexpr int size = 16;
  int64_t in() const { return c / groups; }    // channels of a group
  int64_t out() const { return o / groups; }
  int64_t taps() const { return kh * kw; }

  // The patches of x that the outputs see.
  Patches patches(const float* x, int64_t group) const {
    std::vector<Tap> taps;
    for (int64_t y = 0; y < kh; ++y) {
      for (int64_t v = 0; v < kw; ++v) taps.push_back({y * dh - top, v * dw - left, y * kw + v});
    }
    return {{x, n, h, w, c, group * in(), in()}, {oh, ow, sh, sw}, taps};
  }
};
