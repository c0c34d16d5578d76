// Random numbers that are a pure function of a key and a counter, so that a resample or a draw is
// the same for any number of threads and in any order of work.
#pragma once

#include <cstdint>
#include <string_view>

namespace moescope {

// One step of SplitMix64's output function: a bijection that scatters every bit.
constexpr uint64_t Scatter(uint64_t x) {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

constexpr uint64_t Combine(uint64_t key, uint64_t value) {
  return Scatter(key ^ Scatter(value));
}

// A key for a name (FNV-1a, then scattered): stable over platforms and over the order of names.
constexpr uint64_t KeyOfName(std::string_view name) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return Scatter(hash);
}

// A stream of numbers: the SplitMix64 sequence that starts at `key`. Cheap to make, one a task.
// Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014.
class Random {
 public:
  explicit Random(uint64_t key) : state_(Scatter(key)) {}
  uint64_t Next() {
    const uint64_t value = Scatter(state_);
    state_ += 0x9e3779b97f4a7c15u;
    return value;
  }
  // Uniform in [0, n), by the high half of a product; the bias is below n / 2^64.
  // Requires: n > 0.
  uint64_t Below(uint64_t n) {
    return static_cast<uint64_t>((static_cast<unsigned __int128>(Next()) * n) >> 64);
  }
  // Uniform in [0, 1), 53 bits.
  double Uniform() { return static_cast<double>(Next() >> 11) * 0x1p-53; }

 private:
  uint64_t state_;
};

}  // namespace moescope
