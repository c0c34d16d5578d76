#include "store/journal.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <optional>

#include "base/bytes.h"
#include "base/error.h"
#include "base/platform/durable_file.h"

namespace moescope::store {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMagic = 0x314C4E524A454F4D;  // "MOEJRNL1"

// The head of a block. Followed by the documents (document_bytes), then the tokens, then, if there
// are experts, for each layer experts, weights, margins, entropies and logits, each an array over
// the block's tokens.
struct BlockHeader {
  uint64_t magic = kMagic;
  uint64_t document_bytes = 0;
  int64_t first_document = 0;
  int64_t n_documents = 0;
  int64_t first_token = 0;
  int64_t n_tokens = 0;
  uint32_t n_layers = 0;
  uint16_t n_experts = 0;
  uint8_t experts_per_token = 0;
  uint8_t has_logits = 0;
  uint64_t payload_xxh3 = 0;
  uint64_t header_xxh3 = 0;  // of the bytes before it
};
static_assert(sizeof(BlockHeader) == 72);
constexpr uint64_t kHeaderBytes = sizeof(BlockHeader);

uint64_t HashHeader(const BlockHeader& header) {
  return XXH3_64bits(&header, offsetof(BlockHeader, header_xxh3));
}

class StreamHash {
 public:
  StreamHash() : state_(XXH3_createState()) { XXH3_64bits_reset(state_); }
  ~StreamHash() { XXH3_freeState(state_); }
  StreamHash(const StreamHash&) = delete;
  StreamHash& operator=(const StreamHash&) = delete;
  void Add(ByteSpan bytes) { XXH3_64bits_update(state_, bytes.data(), bytes.size()); }
  uint64_t value() const { return XXH3_64bits_digest(state_); }

 private:
  XXH3_state_t* state_;
};

// Reads exactly `out`, or says how much there was.
size_t ReadAt(const JournalSegment& segment, uint64_t offset, std::span<std::byte> out) {
  size_t done = 0;
  while (done < out.size()) {
    ssize_t got =
        pread(segment.fd, out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) ThrowErrno(errno, "read", segment.path);
    if (got == 0) break;
    done += static_cast<size_t>(got);
  }
  return done;
}

template <typename T>
void Put(std::string& out, const T& value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof(T));
}

std::string EncodeDocuments(std::span<const DocumentRecord> documents) {
  std::string out;
  for (const DocumentRecord& document : documents) {
    Put(out, document.first_token);
    Put(out, document.n_bytes);
    Put(out, document.n_tokens);
    Put(out, document.hash);
    for (const std::string* text : {&document.dataset, &document.source, &document.unit}) {
      Put(out, static_cast<uint32_t>(text->size()));
      out += *text;
    }
  }
  return out;
}

// The inverse; nullopt when the bytes are no such documents.
std::optional<std::vector<DocumentRecord>> DecodeDocuments(const std::string& bytes,
                                                           const BlockHeader& header) {
  std::vector<DocumentRecord> documents;
  size_t at = 0;
  auto get = [&](auto& value) {
    if (bytes.size() - at < sizeof(value)) return false;
    std::memcpy(&value, bytes.data() + at, sizeof(value));
    at += sizeof(value);
    return true;
  };
  for (int64_t i = 0; i < header.n_documents; ++i) {
    DocumentRecord document;
    document.document = header.first_document + i;
    if (!get(document.first_token) || !get(document.n_bytes) || !get(document.n_tokens) ||
        !get(document.hash)) {
      return std::nullopt;
    }
    for (std::string* text : {&document.dataset, &document.source, &document.unit}) {
      uint32_t size = 0;
      if (!get(size) || bytes.size() - at < size) return std::nullopt;
      text->assign(bytes, at, size);
      at += size;
    }
    documents.push_back(std::move(document));
  }
  if (at != bytes.size()) return std::nullopt;
  return documents;
}

}  // namespace

uint64_t JournalShape::RouteBytes() const {
  if (n_experts == 0) return 0;
  auto k = static_cast<uint64_t>(experts_per_token);
  uint64_t logits = has_logits ? static_cast<uint64_t>(n_experts) * sizeof(float) : 0;
  return k * (sizeof(int16_t) + sizeof(float)) + 2 * sizeof(float) + logits;
}

JournalSegment::~JournalSegment() {
  if (fd >= 0) close(fd);
}

JournalRows::Array JournalRows::LayerArray(int layer, uint64_t before_in_layer,
                                           uint64_t width) const {
  uint64_t before = sizeof(TokenRecord) + static_cast<uint64_t>(layer) * shape_.RouteBytes();
  return {before + before_in_layer, width};
}

void JournalRows::Read(const Array& array, int64_t first, int64_t n, void* out) const {
  auto* bytes = static_cast<std::byte*>(out);
  auto after = std::upper_bound(
      blocks_.begin(), blocks_.end(), first,
      [](int64_t token, const JournalBlock& block) { return token < block.first_token; });
  MOESCOPE_CHECK(after != blocks_.begin());
  for (auto block = after - 1; n > 0; ++block) {
    MOESCOPE_CHECK(block != blocks_.end() && first >= block->first_token);
    int64_t in_block = first - block->first_token;
    int64_t count = std::min(n, block->n_tokens - in_block);
    if (count <= 0) continue;
    uint64_t offset = block->tokens_offset + static_cast<uint64_t>(block->n_tokens) * array.before +
                      static_cast<uint64_t>(in_block) * array.width;
    size_t size = static_cast<size_t>(count) * array.width;
    if (ReadAt(*block->segment, offset, {bytes, size}) != size) {
      throw Error(ErrorKind::kCorrupt,
                  fmt::format("cannot read journal: {}@{}: expected {} bytes, found the end",
                              block->segment->path, offset, size));
    }
    bytes += size;
    first += count;
    n -= count;
  }
}

void JournalRows::ReadTokens(int64_t first, int64_t n, TokenRecord* out) const {
  Read({0, sizeof(TokenRecord)}, first, n, out);
}
void JournalRows::ReadExperts(int layer, int64_t first, int64_t n, int16_t* out) const {
  auto k = static_cast<uint64_t>(shape_.experts_per_token);
  Read(LayerArray(layer, 0, k * sizeof(int16_t)), first, n, out);
}
void JournalRows::ReadWeights(int layer, int64_t first, int64_t n, float* out) const {
  auto k = static_cast<uint64_t>(shape_.experts_per_token);
  Read(LayerArray(layer, k * sizeof(int16_t), k * sizeof(float)), first, n, out);
}
void JournalRows::ReadMargins(int layer, int64_t first, int64_t n, float* out) const {
  auto k = static_cast<uint64_t>(shape_.experts_per_token);
  Read(LayerArray(layer, k * 6, sizeof(float)), first, n, out);
}
void JournalRows::ReadEntropies(int layer, int64_t first, int64_t n, float* out) const {
  auto k = static_cast<uint64_t>(shape_.experts_per_token);
  Read(LayerArray(layer, k * 6 + sizeof(float), sizeof(float)), first, n, out);
}
void JournalRows::ReadLogits(int layer, int64_t first, int64_t n, float* out) const {
  auto k = static_cast<uint64_t>(shape_.experts_per_token);
  auto e = static_cast<uint64_t>(shape_.n_experts);
  Read(LayerArray(layer, k * 6 + 2 * sizeof(float), e * sizeof(float)), first, n, out);
}

Journal::Journal(const std::string& directory, const JournalShape& shape, int64_t n_tokens,
                 int64_t n_documents)
    : directory_(directory), shape_(shape), n_tokens_(n_tokens), n_documents_(n_documents) {
  std::error_code failed;
  if (fs::create_directory(directory_, failed)) {
    SyncDirectory(fs::path(directory_).parent_path().string());
  }
  if (failed) ThrowErrno(failed.value(), "create", directory_);
  std::vector<std::string> paths;
  for (const auto& entry : fs::directory_iterator(directory_)) {
    if (entry.path().extension() == ".journal") paths.push_back(entry.path().string());
  }
  std::sort(paths.begin(), paths.end());  // names are first tokens, in as many digits
  bool torn = false;
  for (const std::string& path : paths) {
    if (torn) {
      throw Error(ErrorKind::kCorrupt,
                  fmt::format("cannot resume: {}: expected whole blocks before it, found damage; "
                              "delete the files in {} to compute their tokens again",
                              path, directory_));
    }
    torn = OpenSegment(path);
  }
  n_tokens_ = std::max(n_tokens_, n_tokens);
  n_documents_ = std::max(n_documents_, n_documents);
  std::erase_if(documents_, [&](const DocumentRecord& d) { return d.document < n_documents; });
  RemoveBefore(n_tokens);
}

// Reads all blocks of one segment and cuts a torn tail off; true if there was one.
bool Journal::OpenSegment(const std::string& path) {
  auto segment = std::make_shared<JournalSegment>();
  segment->path = path;
  segment->fd = open(path.c_str(), O_RDWR | O_APPEND | O_CLOEXEC);
  if (segment->fd < 0) ThrowErrno(errno, "open", path);
  struct stat status = {};
  if (fstat(segment->fd, &status) != 0) ThrowErrno(errno, "read", path);
  auto size = static_cast<uint64_t>(status.st_size);
  uint64_t offset = 0;
  while (offset < size && ReadBlock(segment, offset, size)) {
  }
  if (offset == 0) {
    // Nothing in it, and the next segment will have its name.
    unlink(path.c_str());
    return size > 0;
  }
  segments_.push_back(segment);
  if (offset == size) return false;
  if (ftruncate(segment->fd, static_cast<off_t>(offset)) != 0 || fsync(segment->fd) != 0) {
    ThrowErrno(errno, "cut", path);
  }
  return true;
}

// Reads the block at `offset` and moves it past; false when it is torn.
bool Journal::ReadBlock(const std::shared_ptr<JournalSegment>& segment, uint64_t& offset,
                        uint64_t size) {
  BlockHeader header;
  auto header_bytes = std::as_writable_bytes(std::span(&header, 1));
  if (ReadAt(*segment, offset, header_bytes) != kHeaderBytes) return false;
  if (header.magic != kMagic || header.header_xxh3 != HashHeader(header)) return false;
  bool fits = header.n_layers == static_cast<uint32_t>(shape_.n_layers) &&
              header.n_experts == shape_.n_experts &&
              header.experts_per_token == shape_.experts_per_token &&
              header.has_logits == (shape_.has_logits ? 1 : 0);
  bool continues =
      (blocks_.empty() ? header.first_token <= n_tokens_ : header.first_token == n_tokens_) &&
      header.first_token >= 0 && header.n_tokens >= 0 && header.n_documents >= 0 &&
      header.first_document >= 0;
  if (!fits || !continues) {
    throw Error(ErrorKind::kCorrupt,
                fmt::format("cannot resume: {}@{}: expected the block of token {}, found another; "
                            "delete the files in {} to compute their tokens again",
                            segment->path, offset, n_tokens_, directory_));
  }
  uint64_t token_bytes =
      sizeof(TokenRecord) + static_cast<uint64_t>(shape_.n_layers) * shape_.RouteBytes();
  auto rows = CheckedMultiply(static_cast<uint64_t>(header.n_tokens), token_bytes);
  auto payload = rows ? CheckedAdd(*rows, header.document_bytes) : std::nullopt;
  if (!payload || *payload > size - offset - kHeaderBytes) return false;

  std::string documents;
  StreamHash hash;
  std::vector<std::byte> buffer(size_t{1} << 20);
  uint64_t at = offset + kHeaderBytes;
  for (uint64_t left = *payload; left > 0;) {
    std::span<std::byte> piece(buffer.data(), std::min<uint64_t>(left, buffer.size()));
    if (ReadAt(*segment, at, piece) != piece.size()) return false;
    hash.Add(piece);
    uint64_t missing = header.document_bytes - documents.size();
    documents.append(reinterpret_cast<const char*>(piece.data()),
                     std::min<uint64_t>(missing, piece.size()));
    at += piece.size();
    left -= piece.size();
  }
  if (hash.value() != header.payload_xxh3) return false;
  auto decoded = DecodeDocuments(documents, header);
  if (!decoded) return false;
  for (DocumentRecord& document : *decoded) documents_.push_back(std::move(document));
  blocks_.push_back({segment, offset + kHeaderBytes + header.document_bytes, header.first_token,
                     header.n_tokens});
  n_tokens_ = header.first_token + header.n_tokens;
  n_documents_ = header.first_document + header.n_documents;
  segment->end_token = n_tokens_;
  offset = at;
  return true;
}

void Journal::Append(std::span<const DocumentRecord> documents, std::span<const TokenRecord> tokens,
                     std::span<const LayerRoutes> routes) {
  std::string document_bytes = EncodeDocuments(documents);
  std::vector<ByteSpan> pieces = {AsBytes(document_bytes), std::as_bytes(tokens)};
  for (const LayerRoutes& layer : routes) {
    pieces.push_back(std::as_bytes(layer.experts));
    pieces.push_back(std::as_bytes(layer.weights));
    pieces.push_back(std::as_bytes(layer.margins));
    pieces.push_back(std::as_bytes(layer.entropies));
    pieces.push_back(std::as_bytes(layer.logits));
  }
  StreamHash hash;
  uint64_t payload_bytes = 0;
  for (ByteSpan piece : pieces) {
    hash.Add(piece);
    payload_bytes += piece.size();
  }
  BlockHeader header;
  header.document_bytes = document_bytes.size();
  header.first_document = n_documents_;
  header.n_documents = static_cast<int64_t>(documents.size());
  header.first_token = n_tokens_;
  header.n_tokens = static_cast<int64_t>(tokens.size());
  header.n_layers = static_cast<uint32_t>(shape_.n_layers);
  header.n_experts = static_cast<uint16_t>(shape_.n_experts);
  header.experts_per_token = static_cast<uint8_t>(shape_.experts_per_token);
  header.has_logits = shape_.has_logits ? 1 : 0;
  header.payload_xxh3 = hash.value();
  header.header_xxh3 = HashHeader(header);

  if (broken_) {
    throw Error(ErrorKind::kIo, fmt::format("cannot write: {}: an earlier write failed and could "
                                            "not be undone; run the same command again",
                                            current_->path));
  }
  if (current_ == nullptr) BeginSegment();
  WriteBlock(std::as_bytes(std::span(&header, 1)), pieces, kHeaderBytes + payload_bytes);
  std::lock_guard lock(mutex_);
  blocks_.push_back({current_, current_bytes_ + kHeaderBytes + header.document_bytes,
                     header.first_token, header.n_tokens});
  current_bytes_ += kHeaderBytes + payload_bytes;
  n_tokens_ += header.n_tokens;
  n_documents_ += header.n_documents;
  current_->end_token = n_tokens_;
}

// Writes at the end of the current segment, or leaves it as it was and throws.
void Journal::WriteBlock(ByteSpan header, std::span<const ByteSpan> pieces, uint64_t n_bytes) {
  try {
    // Asking for the room first tells a full disk before half a block lies on it. File systems
    // without it (EOPNOTSUPP) show a full disk when writing.
    if (fallocate(current_->fd, FALLOC_FL_KEEP_SIZE, static_cast<off_t>(current_bytes_),
                  static_cast<off_t>(n_bytes)) != 0 &&
        (errno == ENOSPC || errno == EDQUOT)) {
      ThrowWriteError(errno, current_->path, n_bytes);
    }
    WriteFully(current_->fd, header, current_->path);
    for (ByteSpan piece : pieces) WriteFully(current_->fd, piece, current_->path);
    if (fdatasync(current_->fd) != 0) ThrowWriteError(errno, current_->path, n_bytes);
  } catch (const Error&) {
    // Should cutting fail too, the next attempt goes on behind torn bytes: a reader would stop
    // there, so the segment must not be used again.
    if (ftruncate(current_->fd, static_cast<off_t>(current_bytes_)) != 0) broken_ = true;
    throw;
  }
}

void Journal::BeginSegment() {
  auto segment = std::make_shared<JournalSegment>();
  segment->path = (fs::path(directory_) / fmt::format("{:016}.journal", n_tokens_)).string();
  segment->fd =
      open(segment->path.c_str(), O_RDWR | O_APPEND | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (segment->fd < 0) ThrowErrno(errno, "create", segment->path);
  SyncDirectory(directory_);
  segment->end_token = n_tokens_;
  current_bytes_ = 0;
  std::lock_guard lock(mutex_);
  current_ = segment;
  segments_.push_back(std::move(segment));
}

void Journal::CloseSegment() {
  std::lock_guard lock(mutex_);
  current_ = nullptr;
}

JournalRows Journal::Rows(int64_t first, int64_t end) const {
  std::lock_guard lock(mutex_);
  std::vector<JournalBlock> blocks;
  for (const JournalBlock& block : blocks_) {
    bool overlaps = block.first_token < end && block.first_token + block.n_tokens > first;
    if (overlaps) blocks.push_back(block);
  }
  return {shape_, std::move(blocks)};
}

void Journal::RemoveBefore(int64_t token) {
  std::lock_guard lock(mutex_);
  while (!segments_.empty() && segments_.front() != current_ &&
         segments_.front()->end_token <= token) {
    while (!blocks_.empty() && blocks_.front().segment == segments_.front()) blocks_.pop_front();
    unlink(segments_.front()->path.c_str());  // left over, it is removed when resuming
    segments_.pop_front();
  }
}

void Journal::RemoveAll() {
  std::lock_guard lock(mutex_);
  current_ = nullptr;
  blocks_.clear();
  segments_.clear();
  std::error_code ignored;  // what is left holds nothing that parts do not
  fs::remove_all(directory_, ignored);
}

}  // namespace moescope::store
