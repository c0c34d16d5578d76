#include "store/import_esft.h"

#include <archive.h>
#include <archive_entry.h>
#include <fmt/format.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <filesystem>
#include <limits>
#include <map>
#include <memory>

#include "base/error.h"
#include "base/function_ref.h"
#include "base/platform/file.h"
#include "store/run_writer.h"

namespace moescope::store {
namespace {

namespace fs = std::filesystem;

// All files together. Parsed rows take less than the text does.
constexpr uint64_t kMaxTextBytes = uint64_t{1} << 30;
constexpr int64_t kMaxEntries = 65'536;

using OnFile = FunctionRef<void(int layer, const std::string& name, const std::string& text)>;

[[noreturn]] void ThrowTooLarge(const std::string& path) {
  throw Error(ErrorKind::kBadInput,
              fmt::format("cannot import: {}: expected at most 1 GB of route files, found more; "
                          "import fewer layers at a time",
                          path));
}

void ReadDirectory(const std::string& path, OnFile on_file) {
  // Sorted by layer: the order of a directory is not ours to rely on.
  std::map<int, fs::path> files;
  for (const auto& entry : fs::directory_iterator(path)) {
    std::optional<int> layer = EsftLayer(entry.path().filename().string());
    if (!layer) continue;
    if (!files.emplace(*layer, entry.path()).second) {
      throw Error(ErrorKind::kCorrupt,
                  fmt::format("cannot import: {}: expected one file a layer, found two of layer {}",
                              path, *layer));
    }
  }
  uint64_t total = 0;
  for (const auto& [layer, file] : files) {
    std::string text = ReadWholeFile(file.string(), kMaxTextBytes);
    total += text.size();
    if (total > kMaxTextBytes) ThrowTooLarge(path);
    on_file(layer, file.string(), text);
  }
}

struct ArchiveClose {
  void operator()(archive* a) const { archive_read_free(a); }
};

[[noreturn]] void ThrowArchive(archive* reader, const std::string& path) {
  const char* message = archive_error_string(reader);
  throw Error(ErrorKind::kCorrupt,
              fmt::format("cannot read archive: {}: expected a tar file, found: {}", path,
                          message == nullptr ? "damaged data" : message));
}

std::string ReadEntry(archive* reader, const std::string& path, uint64_t limit) {
  std::string text;
  std::string buffer(size_t{1} << 16, '\0');
  for (;;) {
    la_ssize_t got = archive_read_data(reader, buffer.data(), buffer.size());
    if (got < 0) ThrowArchive(reader, path);
    if (got == 0) return text;
    if (text.size() + static_cast<size_t>(got) > limit) ThrowTooLarge(path);
    text.append(buffer, 0, static_cast<size_t>(got));
  }
}

void ReadArchive(const std::string& path, OnFile on_file) {
  std::unique_ptr<archive, ArchiveClose> reader(archive_read_new());
  archive_read_support_format_tar(reader.get());
  archive_read_support_filter_gzip(reader.get());
  archive_read_support_filter_xz(reader.get());
  archive_read_support_filter_zstd(reader.get());
  constexpr size_t kBlockBytes = size_t{1} << 16;
  if (archive_read_open_filename(reader.get(), path.c_str(), kBlockBytes) != ARCHIVE_OK) {
    ThrowArchive(reader.get(), path);
  }
  uint64_t total = 0;
  archive_entry* entry = nullptr;
  for (int64_t n_entries = 0;; ++n_entries) {
    int status = archive_read_next_header(reader.get(), &entry);
    if (status == ARCHIVE_EOF) return;
    if (status != ARCHIVE_OK && status != ARCHIVE_WARN) ThrowArchive(reader.get(), path);
    if (n_entries == kMaxEntries) ThrowTooLarge(path);
    const char* name = archive_entry_pathname(entry);
    if (name == nullptr || archive_entry_filetype(entry) != AE_IFREG) continue;
    std::optional<int> layer = EsftLayer(fs::path(name).filename().string());
    if (!layer) continue;
    std::string text = ReadEntry(reader.get(), path, kMaxTextBytes - total);
    total += text.size();
    on_file(*layer, fmt::format("{}:{}", path, name), text);
  }
}

struct Layers {
  std::map<int, EsftRoutes> by_layer;
  uint64_t identity = 0;  // of all text, by layer
};

Layers ReadLayers(const EsftImport& import) {
  Layers layers;
  std::map<int, uint64_t> hashes;
  auto on_file = [&](int layer, const std::string& name, const std::string& text) {
    if (hashes.contains(layer)) {
      throw Error(ErrorKind::kCorrupt,
                  fmt::format("cannot import: {}: expected one file a layer, found another", name));
    }
    EsftRoutes routes = ParseEsftRoutes(text, import.shape, name);
    if (routes.experts.empty()) {
      throw Error(ErrorKind::kCorrupt,
                  fmt::format("cannot import: {}: expected lines of routes, found none", name));
    }
    if (!layers.by_layer.empty() &&
        layers.by_layer.begin()->second.sequence_tokens != routes.sequence_tokens) {
      throw Error(ErrorKind::kCorrupt,
                  fmt::format("cannot import: {}: expected the sequences of layer {}, found other "
                              "lengths",
                              name, layers.by_layer.begin()->first));
    }
    hashes[layer] = XXH3_64bits(text.data(), text.size());
    layers.by_layer.emplace(layer, std::move(routes));
  };
  if (fs::is_directory(import.path)) {
    ReadDirectory(import.path, on_file);
  } else if (fs::exists(import.path)) {
    ReadArchive(import.path, on_file);
  } else {
    throw Error(ErrorKind::kNotFound,
                fmt::format("cannot import: {}: expected a folder or tar file, found nothing",
                            import.path));
  }
  if (hashes.empty()) {
    throw Error(
        ErrorKind::kNotFound,
        fmt::format("cannot import: {}: expected files expert_weights_<layer>.txt, found none",
                    import.path));
  }
  for (auto [layer, hash] : hashes) {
    uint64_t pair[] = {static_cast<uint64_t>(layer), hash};
    layers.identity = XXH3_64bits_withSeed(pair, sizeof(pair), layers.identity);
  }
  return layers;
}

// "expert_weights.tar.xz" in the folder "intent" says less than the folder does.
std::string DatasetName(const EsftImport& import) {
  if (!import.dataset.empty()) return import.dataset;
  fs::path path = fs::absolute(import.path).lexically_normal();
  if (!path.has_filename()) path = path.parent_path();
  if (!fs::is_directory(path)) path = path.parent_path();
  std::string name = path.filename().string();
  return name.empty() ? "imported" : name;
}

RunDescription Describe(const EsftImport& import, const Layers& layers) {
  RunDescription description;
  description.model_name = "imported routes";
  description.architecture = "unknown";
  description.model_identity = fmt::format("{:016x}", layers.identity);
  description.n_layers = static_cast<int>(layers.by_layer.size());
  for (const auto& [layer, routes] : layers.by_layer) description.layers.push_back(layer);
  description.n_experts = import.shape.n_experts;
  description.experts_per_token = import.shape.experts_per_token;
  description.score_function = "unknown";
  description.bos = "unknown";
  description.datasets = {{DatasetName(import), "", ""}};
  description.precision = "unknown";
  description.kernel_level = "unknown";
  description.engine_version = import.engine_version;
  description.has_losses = false;
  return description;
}

}  // namespace

EsftImportResult ImportEsft(const EsftImport& import, const std::string& directory) {
  Layers layers = ReadLayers(import);
  RunDescription description = Describe(import, layers);
  const std::vector<int64_t>& sequences = layers.by_layer.begin()->second.sequence_tokens;
  std::vector<DocumentRecord> documents;
  std::vector<TokenRecord> tokens;
  for (size_t i = 0; i < sequences.size(); ++i) {
    DocumentRecord document;
    document.document = static_cast<int64_t>(i);
    document.dataset = description.datasets[0].name;
    document.source = fmt::format("line {}", i + 1);
    document.unit = document.source;
    document.first_token = static_cast<int64_t>(tokens.size());
    document.n_tokens = sequences[i];
    for (int64_t position = 0; position < sequences[i]; ++position) {
      TokenRecord token;
      token.token = document.first_token + position;
      token.document = token.sequence = document.document;
      token.position = static_cast<int32_t>(position);
      token.token_id = -1;
      tokens.push_back(token);
    }
    documents.push_back(std::move(document));
  }
  EsftImportResult result{description.n_layers, static_cast<int64_t>(documents.size()),
                          static_cast<int64_t>(tokens.size())};
  std::vector<float> unknown(tokens.size(), std::numeric_limits<float>::quiet_NaN());
  std::vector<LayerRoutes> routes;
  for (const auto& [layer, values] : layers.by_layer) {
    routes.push_back({values.experts, values.weights, unknown, unknown, {}});
  }
  RunWriter writer(directory, description, {}, import.memory_bytes);
  if (writer.complete()) return result;
  if (writer.n_tokens() == 0) writer.CommitWave(documents, tokens, routes);
  writer.Finish();
  return result;
}

}  // namespace moescope::store
