#include "text/gzip_stream.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "base/error.h"

namespace moescope::text {
namespace {

constexpr size_t kBlockBytes = 256 << 10;
constexpr int kGzipOnly = 15 + 16;  // largest window, gzip header required

class GzipStream : public ByteStream {
 public:
  GzipStream(std::unique_ptr<ByteStream> compressed, const std::string& path)
      : compressed_(std::move(compressed)), path_(path), block_(kBlockBytes) {
    if (inflateInit2(&state_, kGzipOnly) != Z_OK) {
      throw Error(ErrorKind::kResource, fmt::format("cannot open: {}: out of memory", path));
    }
  }
  ~GzipStream() override { inflateEnd(&state_); }
  GzipStream(const GzipStream&) = delete;
  GzipStream& operator=(const GzipStream&) = delete;

  size_t Read(std::span<char> out) override {
    constexpr size_t kMost = std::numeric_limits<uInt>::max();
    state_.next_out = reinterpret_cast<Bytef*>(out.data());
    state_.avail_out = static_cast<uInt>(std::min(out.size(), kMost));
    const uInt wanted = state_.avail_out;
    while (state_.avail_out == wanted && wanted > 0 && NextMember()) {
      if (state_.avail_in == 0 && !Refill()) Refuse("the file is truncated");
      const int status = inflate(&state_, Z_NO_FLUSH);
      if (status == Z_STREAM_END) {
        in_member_ = false;
      } else if (status != Z_OK && status != Z_BUF_ERROR) {
        Refuse(state_.msg != nullptr ? state_.msg : "damaged data");
      }
    }
    return wanted - state_.avail_out;
  }
  uint64_t bytes_read() const override { return compressed_->bytes_read(); }

 private:
  // False when the file is over: after a member there may be another, or padding of zeros.
  bool NextMember() {
    if (in_member_) return true;
    while (true) {
      if (state_.avail_in == 0 && !Refill()) {
        if (n_members_ == 0) Refuse("the file is empty");
        return false;
      }
      if (n_members_ == 0 || *state_.next_in != 0) break;
      ++state_.next_in;
      --state_.avail_in;
    }
    if (n_members_++ > 0) inflateReset(&state_);
    in_member_ = true;
    return true;
  }

  bool Refill() {
    state_.next_in = reinterpret_cast<Bytef*>(block_.data());
    state_.avail_in = static_cast<uInt>(compressed_->Read(block_));
    return state_.avail_in > 0;
  }

  [[noreturn]] void Refuse(const std::string& reason) const {
    throw Error(ErrorKind::kCorrupt,
                fmt::format("cannot decompress: {}@{}: {}: expected an undamaged gzip file; fetch "
                            "it again",
                            path_, compressed_->bytes_read(), reason));
  }

  std::unique_ptr<ByteStream> compressed_;
  std::string path_;
  std::vector<char> block_;
  z_stream state_ = {};
  bool in_member_ = false;
  uint64_t n_members_ = 0;
};

}  // namespace

std::unique_ptr<ByteStream> MakeGzipStream(std::unique_ptr<ByteStream> compressed,
                                           const std::string& path) {
  return std::make_unique<GzipStream>(std::move(compressed), path);
}

}  // namespace moescope::text
