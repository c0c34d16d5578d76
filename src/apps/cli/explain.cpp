// moescope explain: one token through one layer, or why its router chose as it did.
#include "lab/explain.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/cli/command.h"
#include "apps/cli/prompt_options.h"
#include "base/error.h"
#include "engine/kernels/kernel_table.h"
#include "files/family.h"
#include "lab/text_model.h"
#include "study/figures/routed_text.h"

namespace moescope::cli {
namespace {

using nlohmann::ordered_json;

struct ExplainOptions {
  PromptOptions prompt;
  std::string model;
  int layer = -1, token = -1, expert = -1, against = -1, n_threads = 0, top = 12;
  bool route = false, json = false;
};

constexpr int kTokensShown = 6;

double Norm(const std::vector<float>& values) {
  double squares = 0;
  for (float value : values) squares += double{value} * value;
  return std::sqrt(squares);
}

// One call of the command.
class Explainer {
 public:
  explicit Explainer(const ExplainOptions& options)
      : options_(options),
        opened_(lab::OpenTextModel(options.model)),
        model_(*opened_.model),
        ids_(TokenisePrompt(options.prompt, opened_)),
        position_(options.token >= 0 ? options.token : static_cast<int>(ids_.size()) - 1),
        layer_(options.layer >= 0 ? options.layer : model_.config().n_layers / 2) {
    auto check = [](const char* option, int value, int end) {
      if (value < end) return;
      throw Error(ErrorKind::kBadInput,
                  fmt::format("{}: expected 0 to {}, found {}", option, end - 1, value));
    };
    check("--token", position_, static_cast<int>(ids_.size()));
    check("--layer", layer_, model_.config().n_layers);
    if (static_cast<int>(ids_.size()) > model_.config().context) {
      throw Error(ErrorKind::kBadInput, fmt::format("the text has {} tokens, the context is {}",
                                                    ids_.size(), model_.config().context));
    }
    if (options.route && model_.config().dense()) {
      throw Error(ErrorKind::kBadInput, "--route: the model is dense: it has no router");
    }
    layers_ = lab::RecordToken(model_, ids_, position_, options.n_threads);
    for (int32_t id : ids_) tokens_.push_back(Display(id));
  }

  void Run() const {
    if (options_.route) {
      ExplainRoute();
    } else {
      WalkLayer();
    }
  }

 private:
  std::string Display(int32_t id) const {
    const text::Tokenizer& tokenizer = *opened_.tokenizer;
    const std::string bytes =
        tokenizer.IsControl(id) ? tokenizer.TokenText(id) : tokenizer.TokenBytes(id);
    return study::DisplayPieces({bytes})[0];
  }
  std::string Tokens(const std::vector<lab::TokenScore>& scores) const {
    std::string text;
    for (const lab::TokenScore& score : scores) {
      text += fmt::format("{}'{}'", text.empty() ? "" : " ", Display(score.token_id));
    }
    return text;
  }
  void PrintHeading() const {
    fmt::print("{}: token {} '{}' of {}, layer {}\n", options_.model, position_,
               tokens_[static_cast<size_t>(position_)], ids_.size(), layer_);
  }

  ordered_json PartJson(const lab::MarginPart& part) const {
    return {{"part", Name(part)},
            {"layer", part.layer < 0 ? ordered_json(nullptr) : ordered_json(part.layer)},
            {"weight", part.weight},
            {"value", part.value}};
  }

  void ExplainRoute() const {
    lab::RouteExplanation why =
        lab::ExplainRoute(model_, layers_, layer_, options_.expert, options_.against);
    if (options_.json) {
      ordered_json rows = ordered_json::array();
      for (const lab::MarginPart& part : why.parts) rows.push_back(PartJson(part));
      const ordered_json answer = {
          {"rows", rows},          {"token", tokens_[static_cast<size_t>(position_)]},
          {"position", position_}, {"layer", layer_},
          {"expert", why.expert},  {"against", why.against},
          {"margin", why.margin},  {"sum", why.sum},
          {"rms", why.rms},        {"model", model_.checkpoint().Identity()},
          {"precision", "exact"},  {"kernel_level", Name(engine::SelectKernels().level)}};
      fmt::print("{}\n", answer.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
      return;
    }
    PrintHeading();
    const lab::LayerRecord& record = layers_[static_cast<size_t>(layer_)];
    fmt::print("chosen: experts {}, weights {:.3f}\n", fmt::join(record.experts, ", "),
               fmt::join(record.weights, ", "));
    fmt::print("why expert {} and not {}: router logits differ by {:.4f}\n\n", why.expert,
               why.against, why.margin);
    double heads = 0, experts = 0, embedding = 0;
    for (const lab::MarginPart& part : why.parts) {
      (part.kind == lab::MarginPart::Kind::kEmbedding ? embedding
       : part.kind == lab::MarginPart::Kind::kExpert  ? experts
                                                      : heads) += part.value;
    }
    fmt::print(
        "  embedding {:+.4f}   all heads {:+.4f}   all earlier experts {:+.4f}   sum "
        "{:+.4f}\n\n",
        embedding, heads, experts, why.sum);
    std::stable_sort(why.parts.begin(), why.parts.end(),
                     [](const lab::MarginPart& a, const lab::MarginPart& b) {
                       return std::abs(a.value) > std::abs(b.value);
                     });
    const size_t n = std::min(why.parts.size(), static_cast<size_t>(options_.top));
    const double largest = std::max(std::abs(why.parts[0].value), 1e-30);
    for (size_t i = 0; i < n; ++i) {
      const lab::MarginPart& part = why.parts[i];
      const auto width = static_cast<size_t>(std::lround(30 * std::abs(part.value) / largest));
      std::string bar;
      for (size_t j = 0; j < width; ++j) bar += part.value > 0 ? "█" : "░";
      fmt::print("  {:<16} {:>+9.4f}  {}\n", Name(part), part.value, bar);
    }
    if (n < why.parts.size()) {
      double rest = 0;
      for (size_t i = n; i < why.parts.size(); ++i) rest += why.parts[i].value;
      fmt::print("  {:<16} {:>+9.4f}\n", fmt::format("{} others", why.parts.size() - n), rest);
    }
    for (int expert : {why.expert, why.against}) {
      fmt::print("\nrouter row of expert {} looks for tokens like {}", expert,
                 Tokens(lab::TopTokens(model_, lab::RouterDirection(model_, layer_, expert), true,
                                       kTokensShown)));
    }
    fmt::print(
        "\n\nA full bar speaks for expert {}, a light one for {}. The norm's scale ({:.4g}) "
        "is held; the parts then add up to the margin.\n",
        why.expert, why.against, why.rms);
  }

  void WalkLayer() const {
    const lab::LayerRecord& record = layers_[static_cast<size_t>(layer_)];
    const lab::LayerCheck check = lab::CheckLayer(model_, record, layer_);
    options_.json ? PrintWalkJson(record, check) : PrintWalk(record, check);
  }

  // The key a head looks at most.
  size_t Favourite(const lab::LayerRecord& record, int head) const {
    const auto n = static_cast<size_t>(position_) + 1;
    const auto row = std::span(record.attention).subspan(static_cast<size_t>(head) * n, n);
    return static_cast<size_t>(std::max_element(row.begin(), row.end()) - row.begin());
  }

  void PrintWalkJson(const lab::LayerRecord& record, const lab::LayerCheck& check) const {
    ordered_json rows = ordered_json::array();
    auto add = [&rows](const char* name, const auto& values, const std::vector<int64_t>& shape) {
      rows.push_back({{"name", name}, {"shape", shape}, {"values", values}});
    };
    const files::ModelConfig& c = model_.config();
    add("input", record.input, {c.model_dim});
    add("attention", record.attention, {c.n_heads, position_ + 1});
    add("heads", record.heads, {c.n_heads, c.head_dim});
    add("after_attention", record.after_attention, {c.model_dim});
    if (!c.dense()) add("router_logits", record.router_logits, {c.n_experts});
    add("experts", record.experts, {static_cast<int64_t>(record.experts.size())});
    add("weights", record.weights, {static_cast<int64_t>(record.weights.size())});
    add("expert_outputs", record.expert_outputs,
        {static_cast<int64_t>(record.expert_outputs.size()), c.model_dim});
    add("output", record.output, {c.model_dim});
    const ordered_json answer = {{"rows", rows},
                                 {"token", tokens_[static_cast<size_t>(position_)]},
                                 {"position", position_},
                                 {"layer", layer_},
                                 {"attention_difference", check.attention},
                                 {"output_difference", check.experts},
                                 {"model", model_.checkpoint().Identity()},
                                 {"precision", "exact"},
                                 {"kernel_level", Name(engine::SelectKernels().level)}};
    fmt::print("{}\n", answer.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
  }

  void PrintWalk(const lab::LayerRecord& record, const lab::LayerCheck& check) const {
    const files::ModelConfig& c = model_.config();
    PrintHeading();
    fmt::print("\nresidual stream in           [{}]  length {:.3f}\n", c.model_dim,
               Norm(record.input));
    fmt::print("{}                     [{}]\n",
               c.norm == files::NormKind::kRms ? "RMS norm" : "norm    ", c.model_dim);
    fmt::print(
        "queries, keys, values        [{}, {}] [{}, {}] [{}, {}]  {} query heads share a "
        "key-value head\n",
        c.n_heads, c.head_dim, c.n_kv_heads, c.head_dim, c.n_kv_heads, c.head_dim,
        c.n_heads / c.n_kv_heads);
    fmt::print("attention                    [{}, {}]\n", c.n_heads, position_ + 1);
    for (int head = 0; head < c.n_heads; ++head) {
      const size_t key = Favourite(record, head);
      const auto n = static_cast<size_t>(position_) + 1;
      fmt::print("  head {:>3} looks most at {:>5} '{}' ({:.2f})\n", head, key, tokens_[key],
                 record.attention[static_cast<size_t>(head) * n + key]);
    }
    fmt::print("output projection            [{}, {}] x [{}]\n", c.model_dim, c.query_dim(),
               c.query_dim());
    fmt::print(
        "residual stream              [{}]  length {:.3f}; recomputed, it differs by {:.1g}\n",
        c.model_dim, Norm(record.after_attention), check.attention);
    PrintFeedForward(record);
    fmt::print(
        "residual stream out          [{}]  length {:.3f}; the parts add up to it within "
        "{:.1g}\n",
        c.model_dim, Norm(record.output), check.experts);
    if (!c.dense())
      fmt::print("\nnext: --route says which earlier parts made the router choose so\n");
  }

  void PrintFeedForward(const lab::LayerRecord& record) const {
    const files::ModelConfig& c = model_.config();
    if (!c.dense()) {
      fmt::print("router logits                [{}]  {:.2f}\n", c.n_experts,
                 fmt::join(record.router_logits, " "));
    }
    const bool gated = c.feed_forward == files::FeedForwardKind::kSwiGlu;
    for (size_t slot = 0; slot < record.experts.size(); ++slot) {
      const std::vector<float>& output = record.expert_outputs[slot];
      if (record.experts[slot] < 0 || output.empty()) continue;
      fmt::print("{:<29}[{}] -> [{}] -> [{}]  {}, weight {:.4f}, output length {:.3f}\n",
                 c.dense() ? std::string("feed-forward")
                           : fmt::format("choice {}: expert {}", slot, record.experts[slot]),
                 c.model_dim, c.ffn_dim, c.model_dim, gated ? "SwiGLU" : "GELU",
                 record.weights[slot], Norm(output));
      fmt::print("  its output raises {}\n",
                 Tokens(lab::TopTokens(model_, lab::OutputDirection(model_, output), false,
                                       kTokensShown)));
    }
  }

  const ExplainOptions& options_;
  lab::TextModel opened_;
  const engine::Model& model_;
  std::vector<int32_t> ids_;
  int position_, layer_;
  std::vector<lab::LayerRecord> layers_;
  std::vector<std::string> tokens_;
};

}  // namespace

std::function<void()> AddExplain(CLI::App& app) {
  auto options = std::make_shared<ExplainOptions>();
  app.add_option("-m,--model", options->model, "checkpoint: a GGUF file, a folder, or owner/name")
      ->required();
  AddPromptOptions(app, options->prompt);
  app.add_option("--layer", options->layer, "the layer (default: the middle one)")
      ->check(CLI::Range(0, 1023));
  app.add_option("--token", options->token, "position of the token (default: the last)")
      ->check(CLI::Range(0, 1 << 24));
  app.add_flag("--route", options->route,
               "which earlier parts made the router prefer one expert to another");
  app.add_option("--expert", options->expert, "with --route: this one (default: the last chosen)")
      ->check(CLI::Range(0, 4095));
  app.add_option("--against", options->against,
                 "with --route: to this one (default: the runner-up)")
      ->check(CLI::Range(0, 4095));
  app.add_option("--top", options->top, "parts shown")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  app.add_option("-t,--threads", options->n_threads, "threads (default: one a core)")
      ->check(CLI::Range(1, 1024));
  app.add_flag("--json", options->json, "all parts, or all values of the layer, as JSON");
  return [options] { Explainer(*options).Run(); };
}

}  // namespace moescope::cli
