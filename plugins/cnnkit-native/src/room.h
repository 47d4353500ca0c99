// Memory for the time of one call, that the next finds warm: two threads keep two pieces, however
// many programs they run in turn.
#pragma once
#include <cstdint>
#include <memory>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

namespace cnnkit {

class Room {
 public:
  explicit Room(int64_t numbers) {
    {
      const std::lock_guard<std::mutex> lock(pool().mutex);
      if (!pool().pieces.empty()) {
        piece_ = std::move(pool().pieces.back());
        pool().pieces.pop_back();
      }
    }
    if (piece_.numbers < numbers)
      piece_ = {Memory(::operator new(numbers * sizeof(float), LINE)), numbers};
  }
  ~Room() {
    const std::lock_guard<std::mutex> lock(pool().mutex);
    pool().pieces.push_back(std::move(piece_));
  }
  Room(const Room&) = delete;
  Room& operator=(const Room&) = delete;
  float* data() const { return static_cast<float*>(piece_.memory.get()); }

 private:
  static constexpr std::align_val_t LINE{64};
  struct Free {
    void operator()(void* memory) const { ::operator delete(memory, LINE); }
  };
  using Memory = std::unique_ptr<void, Free>;
  struct Piece {
    Memory memory;
    int64_t numbers = 0;
  };
  struct Pool {
    std::mutex mutex;
    std::vector<Piece> pieces;
  };
  static Pool& pool() {
    static Pool& all = *new Pool;  // never taken down: at exit a thread may be at work yet
    return all;
  }
  Piece piece_;
};

}  // namespace cnnkit
