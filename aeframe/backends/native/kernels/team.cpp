#include "team.h"

#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>

namespace {

using Clock = std::chrono::steady_clock;

// Work often follows work at once: a thread that sleeps takes longer to wake than to wait.
constexpr auto PATIENCE = std::chrono::microseconds(30);

inline void relax() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#else
  std::this_thread::yield();
#endif
}

class Team {
 public:
  explicit Team(int threads) : threads(threads) {
    for (int i = 1; i < threads; ++i) std::thread([this] { serve(); }).detach();
  }

  void run(int64_t n, Piece piece, void* context) {
    // Whoever finds the team busy, or has little to do, works alone.
    std::unique_lock<std::mutex> mine(busy, std::try_to_lock);
    if (n < 2 || threads < 2 || !mine.owns_lock()) {
      for (int64_t i = 0; i < n; ++i) piece(context, i);
      return;
    }
    this->piece = piece;
    this->context = context;
    unfinished.store(n, std::memory_order_relaxed);
    round = (round + 1) & 0x7fffffff;
    tickets.store(round << 32 | static_cast<uint64_t>(n), std::memory_order_release);
    tickets.notify_all();
    while (take()) {
    }
    for (int i = 0; unfinished.load(std::memory_order_acquire) > 0; ++i) {
      i % 1024 == 1023 ? std::this_thread::yield() : relax();
    }
  }

  const int threads;

 private:
  // Take a ticket and do its piece. The job lasts until that piece is done, so a thread that
  // comes late finds either a job that is whole or no ticket.
  bool take() {
    uint64_t seen = tickets.load(std::memory_order_acquire);
    do {
      if (left(seen) == 0) return false;
    } while (!tickets.compare_exchange_weak(seen, seen - 1, std::memory_order_acq_rel));
    piece(context, left(seen) - 1);
    unfinished.fetch_sub(1, std::memory_order_release);
    return true;
  }

  void serve() {
    for (;;) {
      while (take()) {
      }
      const auto until = Clock::now() + PATIENCE;
      uint64_t seen = tickets.load(std::memory_order_acquire);
      while (left(seen) == 0 && Clock::now() < until) {
        relax();
        seen = tickets.load(std::memory_order_acquire);
      }
      if (left(seen) == 0) tickets.wait(seen);
    }
  }

  static int64_t left(uint64_t ticket) { return static_cast<int64_t>(ticket & 0xffffffff); }

  std::mutex busy;
  Piece piece = nullptr;
  void* context = nullptr;
  uint64_t round = 0;
  std::atomic<uint64_t> tickets{0};  // the round, and how many of its pieces nobody has taken
  std::atomic<int64_t> unfinished{0};
};

// Never destroyed: its threads live as long as the process.
Team*& team() {
  static Team* the = new Team(1);
  return the;
}

}  // namespace

int team_size() { return team()->threads; }

void team_run(int64_t n, Piece run, void* context) { team()->run(n, run, context); }

// Called once, when the library is loaded.
extern "C" void aeframe_start(int threads) { team() = new Team(threads); }
