// A team of threads that shares out numbered pieces of work.
#pragma once

#include <cstdint>

// What may be run in pieces: `run(context, i)` does piece i.
using Piece = void (*)(void* context, int64_t i);

// The number of threads, the caller's included.
int team_size();

// Do pieces 0 .. n-1, in any order, on any thread; returns when all are done.
void team_run(int64_t n, Piece run, void* context);

// Do `body(i)` for i in 0 .. n-1. Results do not depend on the number of threads as long as no
// two pieces write to the same place.
template <class Body>
void parallel(int64_t n, Body&& body) {
  team_run(n, [](void* context, int64_t i) { (*static_cast<Body*>(context))(i); }, &body);
}
