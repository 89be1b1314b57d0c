// What every kernel looks like from outside.
//
// Arrays are contiguous. Sizes and real numbers come as two lists, whose entries the comment above
// each kernel names in order. Every kernel can be called in two ways: as a plain C function with
// four pointers, and as a handler of XLA's foreign function interface, where the two lists are the
// last arguments: as attributes they stop XLA in some programs, which takes these for JSON.
#pragma once

#include <cstdint>
#include <exception>

#include "xla/ffi/api/ffi.h"

struct Call {
  const void* const* inputs;
  void* const* outputs;
  const int64_t* n;
  const double* h;

  template <class T = float>
  const T* in(int i) const {
    return static_cast<const T*>(inputs[i]);
  }
  template <class T = float>
  T* out(int i) const {
    return static_cast<T*>(outputs[i]);
  }
  // The output that size i names, or null where it is -1.
  float* wanted(int i) const { return n[i] < 0 ? nullptr : out(static_cast<int>(n[i])); }
};

constexpr int MOST = 20;  // arguments of one kernel

template <void (*kernel)(const Call&)>
xla::ffi::Error handle(xla::ffi::RemainingArgs arguments, xla::ffi::RemainingRets results) {
  const void* in[MOST];
  void* out[MOST];
  if (arguments.size() > MOST || results.size() > MOST) {
    return xla::ffi::Error::InvalidArgument("too many arrays for one kernel");
  }
  for (size_t i = 0; i < arguments.size(); ++i) {
    in[i] = arguments.get<xla::ffi::AnyBuffer>(i)->untyped_data();
  }
  for (size_t i = 0; i < results.size(); ++i) {
    out[i] = (*results.get<xla::ffi::AnyBuffer>(i))->untyped_data();
  }
  try {
    const size_t lists = arguments.size() - 2;
    kernel({in, out, static_cast<const int64_t*>(in[lists]),
            static_cast<const double*>(in[lists + 1])});
  } catch (const std::exception& error) {
    return xla::ffi::Error::Internal(error.what());
  }
  return xla::ffi::Error::Success();
}

// Begin a kernel: KERNEL(name) { ... call.in(0) ... call.n[0] ... }
#define KERNEL(name)                                                                          \
  static void name##_kernel(const Call& call);                                                \
  extern "C" void name(const void* const* in, void* const* out, const int64_t* n,             \
                       const double* h) {                                                     \
    name##_kernel({in, out, n, h});                                                           \
  }                                                                                           \
  XLA_FFI_DEFINE_HANDLER_SYMBOL(name##_xla, handle<name##_kernel>,                            \
                                xla::ffi::Ffi::Bind()                                         \
                                    .RemainingArgs()                                          \
                                    .RemainingRets());                                        \
  static void name##_kernel(const Call& call)
