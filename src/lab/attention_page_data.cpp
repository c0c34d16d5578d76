#include "lab/attention_page_data.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "base/units.h"
#include "files/family.h"

namespace moescope::lab {
namespace {

using Json = nlohmann::ordered_json;

double Number(double value) {
  return RoundToDigits(value, 6);
}

// The last part of a path.
std::string ShortName(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  const size_t slash = path.rfind('/');
  return slash == std::string::npos || slash + 1 == path.size() ? path : path.substr(slash + 1);
}

// Names that tell the models of the page apart: short ones, whole paths where short ones are equal,
// numbered where even these are.
std::vector<std::string> NamesOf(const std::vector<AttentionPageModel>& models) {
  std::map<std::string, int> n_short, n_seen;
  for (const AttentionPageModel& model : models) ++n_short[ShortName(model.path)];
  std::vector<std::string> names;
  for (const AttentionPageModel& model : models) {
    std::string name = ShortName(model.path);
    if (n_short[name] > 1) name = model.path;
    const int seen = ++n_seen[name];
    if (seen > 1) name += " (" + std::to_string(seen) + ")";
    names.push_back(name);
  }
  return names;
}

Json FiguresJson(const HeadFigures& figures) {
  return {{"sink", Number(figures.sink)},
          {"previous", Number(figures.previous)},
          {"self", Number(figures.self)},
          {"entropy", Number(figures.entropy)},
          {"distance", Number(figures.distance)}};
}

// A row a head: the columns of `--json`, and its kind.
Json HeadsJson(const AttentionPageModel& model, const HeadFigures& even) {
  Json rows = Json::array();
  for (const HeadFigures& head : model.heads) {
    rows.push_back({head.layer, head.head, Number(head.sink), Number(head.previous),
                    Number(head.self), Number(head.entropy), Number(head.distance),
                    Name(KindOf(head, even))});
  }
  return {{"columns", {"layer", "head", "sink", "previous", "self", "entropy", "distance", "kind"}},
          {"rows", std::move(rows)}};
}

// The lower triangles, row after row, of all heads of a layer and of their mean, layer by layer.
std::vector<uint8_t> Bytes(const AttentionPageModel& model) {
  const AttentionMatricesProbe& matrices = *model.matrices;
  std::vector<uint8_t> bytes;
  bytes.reserve(static_cast<size_t>(
      TriangleCells(matrices.n_blocks()) *
      MatricesOnPage(*model.config, static_cast<int64_t>(model.tokens.size())).n_matrices));
  for (int layer = 0; layer < model.config->n_layers; ++layer) {
    for (int head = 0; head <= model.config->n_heads; ++head) {
      for (int64_t query = 0; query < matrices.n_blocks(); ++query) {
        for (int64_t key = 0; key <= query; ++key) {
          bytes.push_back(ByteOfWeight(head < model.config->n_heads
                                           ? matrices.Weight(layer, head, query, key)
                                           : matrices.MeanOfHeads(layer, query, key)));
        }
      }
    }
  }
  return bytes;
}

Json SinkRoutesJson(const AttentionPageModel& model) {
  Json rows = Json::array();
  for (const SinkRoute& route : model.sink_routes) {
    Json shares = Json::array(), weights = Json::array();
    for (double share : route.share_of_others) shares.push_back(Number(share));
    for (float weight : route.weights) weights.push_back(Number(double{weight}));
    double sink = 0;  // mean of the layer's heads
    for (const HeadFigures& head : model.heads) {
      if (head.layer == route.layer) sink += head.sink / model.config->n_heads;
    }
    rows.push_back({{"layer", route.layer},
                    {"sink", Number(sink)},
                    {"experts", route.experts},
                    {"weights", std::move(weights)},
                    {"share_of_same", Number(route.share_of_same())},
                    {"share_of_others", std::move(shares)}});
  }
  return rows;
}

Json ModelJson(const AttentionPageModel& model, const std::string& name) {
  const files::ModelConfig& config = *model.config;
  const HeadFigures even =
      EvenAttention(static_cast<int64_t>(model.tokens.size()), config.sliding_window);
  return {{"name", name},
          {"path", model.path},
          {"identity", model.identity},
          {"family", files::FamilyOf(config).title},
          {"parameters", files::CountParameters(config).total},
          {"n_layers", config.n_layers},
          {"n_heads", config.n_heads},
          {"n_kv_heads", config.n_kv_heads},
          {"context", config.context},
          {"window", config.sliding_window},
          {"n_experts", config.n_experts},
          {"experts_per_token", config.experts_per_token},
          {"tokens", model.tokens},
          {"even", FiguresJson(even)},
          {"heads", HeadsJson(model, even)},
          {"block", model.matrices->block()},
          {"n_blocks", model.matrices->n_blocks()},
          {"weights", Base64(Bytes(model))},
          {"sink_routes", SinkRoutesJson(model)}};
}

}  // namespace

MatricesWanted MatricesOnPage(const files::ModelConfig& config, int64_t n_tokens) {
  return {int64_t{config.n_layers} * (config.n_heads + 1), n_tokens};
}

std::string AttentionPageData(const AttentionPageOptions& options,
                              const std::vector<AttentionPageModel>& models) {
  const std::vector<std::string> names = NamesOf(models);
  Json all = Json::array();
  for (size_t i = 0; i < models.size(); ++i) all.push_back(ModelJson(models[i], names[i]));
  Json first = nullptr;
  if (options.layer >= 0) first = {{"layer", options.layer}, {"head", options.head}};
  const Json page = {{"title", options.title},
                     {"command", options.command},
                     {"precision", "exact"},
                     {"kernel_level", options.kernel_level},
                     {"most_of_the_weight", kMostOfTheWeight},
                     {"broad_entropy", kBroadEntropy},
                     {"first", std::move(first)},
                     {"models", std::move(all)}};
  return page.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

uint8_t ByteOfWeight(double weight) {
  return static_cast<uint8_t>(std::lround(255 * std::sqrt(std::clamp(weight, 0.0, 1.0))));
}

std::string Base64(const std::vector<uint8_t>& bytes) {
  constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t n = std::min<size_t>(bytes.size() - i, 3);
    uint32_t group = 0;
    for (size_t j = 0; j < 3; ++j) group = group << 8 | (j < n ? bytes[i + j] : 0u);
    for (size_t j = 0; j < 4; ++j) {
      text += j <= n ? kDigits[group >> (18 - 6 * j) & 63] : '=';
    }
  }
  return text;
}

}  // namespace moescope::lab
