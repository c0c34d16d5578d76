#include "lab/residual_edit.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/platform/memory.h"
#include "base/units.h"
#include "files/npy.h"
#include "lab/capture.h"
#include "store/database.h"

namespace moescope::lab {
namespace {

constexpr uint64_t kMaxDescriptionBytes = 16 << 20;
constexpr int kMaxPosition = 1 << 24;

uint64_t KeyOf(int64_t sequence, int32_t position) {
  return static_cast<uint64_t>(sequence) << 25 | static_cast<uint64_t>(position);
}

// The whole of `text` as a number.
template <typename T>
std::optional<T> NumberIn(std::string_view text) {
  T value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// What is changed and where, before anything is opened.
struct Place {
  std::string option;  // "--add"
  std::string text;    // as typed
  std::string path;
  int layer = 0;
  std::vector<ResidualEdit::Range> positions;
  float factor = 1;

  [[noreturn]] void Refuse(const std::string& expected, const std::string& found) const {
    throw Error(ErrorKind::kBadInput,
                fmt::format("{} {}: expected {}, found {}", option, text, expected, found));
  }
  // As a manifest has it.
  std::string Written() const {
    std::string written = fmt::format("{}", layer);
    for (size_t i = 0; i < positions.size(); ++i) {
      const auto [first, last] = positions[i];
      written += i == 0 ? ':' : ',';
      written += first == last ? fmt::format("{}", first) : fmt::format("{}-{}", first, last);
    }
    if (factor != 1) written += fmt::format("x{}", factor);
    return written;
  }
};

void ParsePositions(std::string_view list, Place& place) {
  int last = -1;
  for (size_t begin = 0; begin <= list.size();) {
    const size_t end = std::min(list.find(',', begin), list.size());
    const std::string_view item = list.substr(begin, end - begin);
    begin = end + 1;
    const size_t dash = std::min(item.find('-'), item.size());
    const auto first = NumberIn<int>(item.substr(0, dash));
    const auto to = dash < item.size() ? NumberIn<int>(item.substr(dash + 1)) : first;
    if (!first || !to || *first <= last || *to < *first || *to >= kMaxPosition) {
      place.Refuse("increasing positions such as 0,4-7", fmt::format("'{}'", list));
    }
    place.positions.push_back({*first, last = *to});
  }
}

// Takes "PATH@LAYER[:POSITIONS][xFACTOR]" apart.
Place ParsePlace(const std::string& option, const std::string& text, const engine::Model& model,
                 bool has_factor) {
  Place place;
  place.option = option;
  place.text = text;
  const size_t at = text.rfind('@');
  if (at == std::string::npos || at == 0) {
    place.Refuse(
        has_factor ? "FILE.npy@LAYER[:POSITIONS][xFACTOR]" : "FOLDER/SITE@LAYER[:POSITIONS]",
        at == 0 ? "no file" : "no '@'");
  }
  place.path = text.substr(0, at);
  std::string_view rest = std::string_view(text).substr(at + 1);
  const size_t x = rest.find('x');
  if (has_factor && x != std::string_view::npos) {
    const auto factor = NumberIn<float>(rest.substr(x + 1));
    if (!factor || !std::isfinite(*factor)) {
      place.Refuse("a number as the factor after 'x'", fmt::format("'{}'", rest.substr(x + 1)));
    }
    place.factor = *factor;
    rest = rest.substr(0, x);
  }
  const size_t colon = std::min(rest.find(':'), rest.size());
  const auto layer = NumberIn<int>(rest.substr(0, colon));
  const int n_layers = model.config().n_layers;
  if (!layer || *layer < ResidualEdit::kEmbedding || *layer >= n_layers) {
    place.Refuse(fmt::format("a layer from 0 to {}, or -1 for the embedding", n_layers - 1),
                 fmt::format("'{}'", rest.substr(0, colon)));
  }
  place.layer = *layer;
  if (colon < rest.size()) ParsePositions(rest.substr(colon + 1), place);
  return place;
}

// Row `row` of the array to the end of `values`, times the factor.
void AppendRow(const files::NpyArray& array, int64_t row, const Place& place,
               std::vector<float>& values) {
  const size_t begin = values.size();
  values.resize(begin + static_cast<size_t>(array.dim()));
  const std::span<float> added = std::span(values).subspan(begin);
  array.ReadRow(row, added);
  for (float& value : added) {
    value *= place.factor;
    if (!std::isfinite(value)) {
      place.Refuse("finite numbers", fmt::format("another one in row {}", row));
    }
  }
}

// Opens an array whose rows are residuals of the model.
files::NpyArray OpenArray(const std::string& path, const Place& place, const engine::Model& model) {
  files::NpyArray array = files::NpyArray::Open(path);
  if (array.dim() != model.config().model_dim || array.n_rows() == 0) {
    place.Refuse(fmt::format("rows of {} numbers, the model's", model.config().model_dim),
                 fmt::format("{} rows of {}", array.n_rows(), array.dim()));
  }
  return array;
}

void CheckMemory(int64_t n_rows, int64_t dim, const Place& place) {
  const uint64_t needed =
      static_cast<uint64_t>(n_rows) * static_cast<uint64_t>(dim) * sizeof(float);
  const uint64_t available = AvailableMemoryBytes() / 2;
  if (needed <= available) return;
  throw Error(ErrorKind::kResource,
              fmt::format("{} {}: not enough memory: needed {}, available {}; name fewer positions",
                          place.option, place.text, FormatBytes(needed), FormatBytes(available)));
}

uint64_t HashOf(std::span<const float> values, uint64_t seed) {
  return XXH3_64bits_withSeed(values.data(), values.size_bytes(), seed);
}

// Throws Error(kBadInput) unless the folder is a capture of this model.
void CheckCapture(const std::string& folder, const Place& place, const engine::Model& model) {
  const auto description = nlohmann::json::parse(
      ReadWholeFile(folder + "/capture.json", kMaxDescriptionBytes), nullptr, false);
  const auto found =
      description.is_object() ? description.find("model_identity") : description.end();
  const std::string identity = model.checkpoint().Identity();
  if (!description.is_object() || found == description.end() || !found->is_string()) {
    place.Refuse("a folder that `moescope capture` wrote", "a capture.json without a model");
  }
  if (*found != identity) {
    place.Refuse("a capture of this model, " + identity, "one of " + found->get<std::string>());
  }
}

bool Holds(std::span<const ResidualEdit::Range> positions, int64_t position) {
  return positions.empty() || std::any_of(positions.begin(), positions.end(), [&](const auto& r) {
           return position >= r.first && position <= r.last;
         });
}

// Row of the array, sequence and position of what was captured at the layer, as far as it is asked
// for.
std::vector<std::vector<store::Value>> CapturedRowsAt(const std::string& stem, const Place& place,
                                                      int64_t n_rows) {
  store::Database database(store::DatabaseOptions{});
  const std::string rows =
      fmt::format("read_parquet({}, file_row_number = true)", store::Quoted(stem + ".parquet"));
  const auto counted = database.Query("SELECT count(*) FROM " + rows).rows.at(0).at(0);
  if (counted != store::Value(n_rows)) {
    place.Refuse(fmt::format("{} rows in the Parquet file, as in the array", n_rows),
                 "another number");
  }
  store::Table table = database.Query(
      fmt::format("SELECT file_row_number::BIGINT, sequence::BIGINT, position::BIGINT FROM {} "
                  "WHERE layer = {} ORDER BY 1",
                  rows, place.layer));
  std::erase_if(table.rows, [&](const std::vector<store::Value>& row) {
    const auto* position = std::get_if<int64_t>(&row[2]);
    return position != nullptr && !Holds(place.positions, *position);
  });
  return std::move(table.rows);
}

}  // namespace

int64_t ResidualEdit::RowFor(const routing::RowInfo& row, int dim) const {
  if (!adds) {
    const auto found = row_of.find(KeyOf(any_sequence ? 0 : row.sequence, row.position));
    return found == row_of.end() ? -1 : found->second;
  }
  if (positions.empty()) return 0;
  const bool is_single = values.size() == static_cast<size_t>(dim);
  int64_t before = 0;
  for (const auto [first, last] : positions) {
    if (row.position < first) return -1;
    if (row.position <= last) return is_single ? 0 : before + row.position - first;
    before += last - first + 1;
  }
  return -1;
}

ResidualEdit ParseAddition(const std::string& text, const engine::Model& model) {
  Place place = ParsePlace("--add", text, model, /*has_factor=*/true);
  const files::NpyArray array = OpenArray(place.path, place, model);
  if (array.n_rows() > kMaxPosition) place.Refuse("fewer rows", std::to_string(array.n_rows()));
  if (place.positions.empty() && array.n_rows() > 1) {
    place.positions.push_back({0, static_cast<int>(array.n_rows()) - 1});
  }
  int64_t n_positions = 0;
  for (const auto [first, last] : place.positions) n_positions += last - first + 1;
  if (array.n_rows() > 1 && array.n_rows() != n_positions) {
    place.Refuse(fmt::format("one row, or one for each of {} positions", n_positions),
                 fmt::format("{} rows", array.n_rows()));
  }
  CheckMemory(array.n_rows(), array.dim(), place);
  ResidualEdit edit;
  edit.layer = place.layer;
  edit.adds = true;
  edit.positions = place.positions;
  // The hash is of the file's numbers: the factor stands beside it.
  Place plain = place;
  plain.factor = 1;
  uint64_t hash = 0;
  for (int64_t row = 0; row < array.n_rows(); ++row) {
    const size_t begin = edit.values.size();
    AppendRow(array, row, plain, edit.values);
    const std::span<float> added = std::span(edit.values).subspan(begin);
    hash = HashOf(added, hash);
    for (float& value : added) {
      value *= place.factor;
      if (!std::isfinite(value)) place.Refuse("a finite product", "an overflow");
    }
  }
  edit.written = fmt::format("add={:016x}@{}", hash, place.Written());
  return edit;
}

ResidualEdit ParsePatch(const std::string& text, const engine::Model& model, Setting setting) {
  const Place place = ParsePlace("--patch", text, model, /*has_factor=*/false);
  const std::filesystem::path stem(place.path);
  const CaptureSite site = ParseCaptureSite(stem.filename().string());
  if (site != CaptureSite::kResidualAfterAttention && site != CaptureSite::kResidualAfterMoe) {
    place.Refuse("residual_after_attention or residual_after_moe", stem.filename().string());
  }
  const std::string folder = stem.has_parent_path() ? stem.parent_path().string() : ".";
  CheckCapture(folder, place, model);
  const files::NpyArray array = OpenArray(place.path + ".npy", place, model);
  const auto rows = CapturedRowsAt(place.path, place, array.n_rows());
  if (rows.empty()) {
    place.Refuse(fmt::format("rows captured at layer {} and these positions", place.layer), "none");
  }
  CheckMemory(static_cast<int64_t>(rows.size()), array.dim(), place);
  ResidualEdit edit;
  edit.site = site == CaptureSite::kResidualAfterMoe ? routing::kSiteResidualAfterMoe
                                                     : routing::kSiteResidualAfterAttention;
  edit.layer = place.layer;
  edit.any_sequence = setting == Setting::kSession;
  uint64_t hash = 0;
  for (const std::vector<store::Value>& row : rows) {
    const auto *at = std::get_if<int64_t>(&row[0]), *sequence = std::get_if<int64_t>(&row[1]),
               *position = std::get_if<int64_t>(&row[2]);
    if (!at || !sequence || !position || *sequence < 0 || *sequence >= int64_t{1} << 38 ||
        *position < 0 || *position >= kMaxPosition) {
      place.Refuse("a sequence and a position for each row", "one without");
    }
    if (edit.any_sequence && *sequence != std::get<int64_t>(rows[0][1])) {
      place.Refuse("a capture of one sequence, since a session is one",
                   fmt::format("sequences {} and {}", std::get<int64_t>(rows[0][1]), *sequence));
    }
    const uint64_t key = KeyOf(edit.any_sequence ? 0 : *sequence, static_cast<int32_t>(*position));
    const auto next = static_cast<int64_t>(edit.row_of.size());
    if (!edit.row_of.emplace(key, next).second) {
      place.Refuse("each position of a sequence once",
                   fmt::format("sequence {} position {} twice", *sequence, *position));
    }
    const size_t begin = edit.values.size();
    AppendRow(array, *at, place, edit.values);
    hash = HashOf(std::span(edit.values).subspan(begin), hash ^ key);
  }
  edit.written = fmt::format("patch={}:{:016x}@{}", Name(site), hash, place.Written());
  return edit;
}

bool IsResidualEdit(std::string_view written) {
  return written.starts_with("add=") || written.starts_with("patch=");
}

ResidualProbe::ResidualProbe(std::vector<ResidualEdit> edits) : edits_(std::move(edits)) {
  for (const ResidualEdit& edit : edits_) sites_ |= edit.site;
}

void ResidualProbe::Apply(uint32_t site, const routing::ActivationBatch& batch) const {
  const auto dim = static_cast<size_t>(batch.dim);
  for (const ResidualEdit& edit : edits_) {
    if (edit.site != site || edit.layer != batch.layer) continue;
    for (size_t i = 0; i < batch.rows.size(); ++i) {
      const int64_t row = edit.RowFor(batch.rows[i], batch.dim);
      if (row < 0) continue;
      const float* from = edit.values.data() + static_cast<size_t>(row) * dim;
      float* to = batch.values.data() + i * dim;
      if (!edit.adds) {
        std::copy_n(from, dim, to);
        continue;
      }
      for (size_t d = 0; d < dim; ++d) {
        if (from[d] != 0) to[d] += from[d];  // -0 stays -0 where nothing is added
      }
    }
  }
}

}  // namespace moescope::lab
