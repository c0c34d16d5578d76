#include "lab/ablation_state.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "base/bytes.h"
#include "base/error.h"
#include "base/platform/durable_file.h"
#include "base/platform/file.h"

namespace moescope::lab {
namespace {

constexpr std::string_view kMagic = "MOEABL01";
// A thousand units under ten thousand branches are 80 MB.
constexpr uint64_t kMaxFileBytes = uint64_t{1} << 30;
constexpr uint64_t kMaxTextBytes = 1 << 16;  // of a name or a value

template <typename T>
void Put(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof(T));
}

void PutText(std::string& out, const std::string& text) {
  Put(out, uint64_t{text.size()});
  out += text;
}

template <typename T>
void PutList(std::string& out, const std::vector<T>& list) {
  out.append(reinterpret_cast<const char*>(list.data()), list.size() * sizeof(T));
}

[[noreturn]] void Fail(const std::string& path, const std::string& where,
                       const std::string& expected, const std::string& found) {
  throw Error(ErrorKind::kCorrupt,
              fmt::format("cannot read the state of an ablation: {}: {}: expected {}, found {}; "
                          "remove the file to begin anew",
                          path, where, expected, found));
}

// Reads what Put wrote, never past the end.
class Reader {
 public:
  Reader(std::string_view bytes, const std::string& path) : bytes_(AsBytes(bytes)), path_(path) {}

  template <typename T>
  T Value(const char* what) {
    Require(sizeof(T), what);
    const T value = LoadUnaligned<T>(bytes_, at_);
    at_ += sizeof(T);
    return value;
  }

  int64_t Count(const char* what, int64_t least, int64_t most) {
    const auto value = Value<int64_t>(what);
    if (value < least || value > most) {
      Fail(path_, what, fmt::format("{} to {}", least, most), fmt::format("{}", value));
    }
    return value;
  }

  double Sum(const char* what) {
    const auto value = Value<double>(what);
    if (!(std::isfinite(value) && value >= 0)) {
      Fail(path_, what, "a number that is not negative", fmt::format("{}", value));
    }
    return value;
  }

  std::string Text(const char* what) {
    const auto n = static_cast<uint64_t>(Count(what, 0, kMaxTextBytes));
    Require(n, what);
    std::string text(AsText(bytes_.subspan(at_, n)));
    at_ += n;
    return text;
  }

  // How many values of `width` bytes may follow at most: bounds what is allocated for them.
  int64_t Room(uint64_t width) const { return static_cast<int64_t>(left() / width); }
  uint64_t left() const { return bytes_.size() - at_; }

 private:
  void Require(uint64_t n, const char* what) const {
    if (n > left()) {
      Fail(path_, what, fmt::format("{} more bytes", n), fmt::format("{}", left()));
    }
  }

  ByteSpan bytes_;
  const std::string& path_;
  size_t at_ = 0;
};

std::string_view CheckSeal(std::string_view bytes, const std::string& path) {
  if (!bytes.starts_with(kMagic)) {
    Fail(path, "first bytes", std::string(kMagic),
         bytes.size() < kMagic.size() ? "a shorter file" : "something else");
  }
  if (bytes.size() < kMagic.size() + sizeof(uint64_t)) {
    Fail(path, "checksum", "8 bytes", "the end of the file");
  }
  const std::string_view head = bytes.substr(0, bytes.size() - sizeof(uint64_t));
  const auto recorded = LoadUnaligned<uint64_t>(AsBytes(bytes), head.size());
  const uint64_t found = XXH3_64bits(head.data(), head.size());
  if (recorded != found) {
    Fail(path, "checksum", fmt::format("{:016x}", recorded), fmt::format("{:016x}", found));
  }
  return head.substr(kMagic.size());
}

}  // namespace

std::string SealAblationState(std::string head) {
  const uint64_t hash = XXH3_64bits(head.data(), head.size());
  Put(head, hash);
  return head;
}

std::string FormatAblationState(const AblationState& state) {
  MOESCOPE_CHECK(state.losses.size() == state.predictions.size() * state.n_columns());
  std::string out(kMagic);
  Put(out, uint64_t{state.identity.size()});
  for (const auto& [name, value] : state.identity) {
    PutText(out, name);
    PutText(out, value);
  }
  Put(out, state.n_sequences);
  Put(out, state.flops);
  Put(out, state.seconds);
  Put(out, state.n_waves);
  Put(out, state.weight_bytes);
  Put(out, uint64_t{state.n_columns()});
  Put(out, uint64_t{state.predictions.size()});
  PutList(out, state.sequences_done);
  PutList(out, state.predictions);
  PutList(out, state.losses);
  return SealAblationState(std::move(out));
}

AblationState ParseAblationState(std::string_view bytes, const std::string& path) {
  constexpr int64_t kMost = int64_t{1} << 62;
  Reader reader(CheckSeal(bytes, path), path);
  AblationState state;
  const int64_t n_named = reader.Count("names", 0, reader.Room(2 * sizeof(uint64_t)));
  for (int64_t i = 0; i < n_named; ++i) {
    std::string name = reader.Text("name");
    state.identity.emplace_back(std::move(name), reader.Text("value"));
  }
  state.n_sequences = reader.Count("sequences", 1, kMost);
  state.flops = reader.Sum("operations");
  state.seconds = reader.Sum("seconds");
  state.n_waves = reader.Count("waves", 0, kMost);
  state.weight_bytes = static_cast<uint64_t>(reader.Count("bytes of weights", 0, kMost));
  const int64_t n_columns = reader.Count("columns", 1, reader.Room(sizeof(int64_t)));
  const int64_t n_units = reader.Count("units", 1, reader.Room(sizeof(int64_t)));
  // Neither is above 2^27, so this does not wrap.
  const auto expected =
      static_cast<uint64_t>(n_columns + n_units + n_columns * n_units) * sizeof(int64_t);
  if (reader.left() != expected) {
    Fail(path, "sums", fmt::format("{} bytes", expected), fmt::format("{}", reader.left()));
  }
  for (int64_t i = 0; i < n_columns; ++i) {
    // Every wave has the baseline, so no branch is ahead of it.
    state.sequences_done.push_back(reader.Count(
        "sequences done", 0, i == 0 ? state.n_sequences : state.sequences_done.front()));
  }
  if ((state.n_waves > 0) != (state.sequences_done.front() > 0)) {
    Fail(path, "waves", "one where a sequence is done", fmt::format("{}", state.n_waves));
  }
  for (int64_t i = 0; i < n_units; ++i) {
    state.predictions.push_back(reader.Count("predictions", 0, kMost));
  }
  for (int64_t i = 0; i < n_columns * n_units; ++i) {
    state.losses.push_back(reader.Sum("sum of losses"));
  }
  return state;
}

AblationState ReadAblationState(const std::string& path) {
  return ParseAblationState(ReadWholeFile(path, kMaxFileBytes), path);
}

void WriteAblationState(const std::string& path, const AblationState& state) {
  const std::string bytes = FormatAblationState(state);
  if (bytes.size() > kMaxFileBytes) {
    throw Error(ErrorKind::kUnsupported,
                fmt::format("cannot keep the state of the ablation: {}: expected at most {} bytes, "
                            "found {}; run fewer branches at once, or without --state",
                            path, kMaxFileBytes, bytes.size()));
  }
  ReplaceFile(path, AsBytes(bytes));
}

void RequireSameAblation(const AblationState& found, const AblationState& ours,
                         const std::string& path) {
  const auto differ = [&](const std::string& what, const std::string& expected,
                          const std::string& value) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("cannot go on from {}: {}: expected {}, found {} in the file; give the "
                            "options that it began with, or another --state",
                            path, what, expected, value));
  };
  const size_t n = std::max(found.identity.size(), ours.identity.size());
  for (size_t i = 0; i < n; ++i) {
    if (i >= found.identity.size()) differ(ours.identity[i].first, ours.identity[i].second, "none");
    if (i >= ours.identity.size())
      differ(found.identity[i].first, "none", found.identity[i].second);
    if (found.identity[i] == ours.identity[i]) continue;
    const auto& [name, value] = found.identity[i];
    const bool same_name = name == ours.identity[i].first;
    differ(ours.identity[i].first, ours.identity[i].second,
           same_name ? value : fmt::format("{} {}", name, value));
  }
  const auto sizes = [](const AblationState& state) {
    return fmt::format("{} of {} in {}", state.n_columns(), state.predictions.size(),
                       state.n_sequences);
  };
  if (sizes(found) != sizes(ours)) {
    differ("branches of units in sequences", sizes(ours), sizes(found));
  }
}

}  // namespace moescope::lab
