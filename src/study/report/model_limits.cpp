#include "study/report/model_limits.h"

namespace moescope::study {

bool IsDemoModel(const store::RunDescription& run) {
  const bool name_fits = run.model_name.find("demo-mixtral") != std::string::npos ||
                         run.model_name == "mixtral 16.0 M";
  return name_fits && run.n_layers == 8 && run.n_experts == 8 && run.experts_per_token == 2 &&
         run.vocab_size == 4096;
}

namespace {

ModelLimits DemoLimits() {
  return {"What this demo model can and cannot show",
          {{"",
            "16 million parameters, one seed, trained with a load-balancing loss on 15 kinds of "
            "text in random windows of "
            "256 to 512 tokens. Each “domain” is one or a few sources, and other parts of the same "
            "works were in training."},
           {"It can show",
            "that the pipeline is right; routing by token; locality against its nulls; causal "
            "effects in this network; where "
            "criteria disagree."},
           {"It cannot show",
            "Mixtral's pattern over layers, super experts, passkey retrieval, anything in contexts "
            "above 512 tokens, "
            "knowledge as MMLU asks for it, the meanings of king and queen, or how quantisation "
            "and pruning methods rank."},
           {"Beside the paper",
            "its Table 5 must never stand without “different model and text”. Tasks within 2 "
            "standard errors of chance are "
            "“at chance”. Claims about training mixtures of experts need three seeds."}}};
}

ModelLimits GenericLimits() {
  return {"Before you conclude",
          {{"Different model and text",
            "is what to write beside these figures when they stand next to those of the Mixtral "
            "paper or of any other model: "
            "shares and repetition depend on both."},
           {"Flat shares",
            "are trained in where a load-balancing loss was used: an even Figure 7 says little "
            "about what experts learned."},
           {"Quantised weights",
            "can change routes. The types of expert and router weights are stated above; compare "
            "with the original by "
            "moescope diff before claiming more than these weights show."},
           {"A data set",
            "is its sources: intervals speak of more text from the same kinds of sources, not of a "
            "language or a field."}}};
}

ModelLimits DenseLimits() {
  return {
      "Before you conclude",
      {{"A dense model",
        "has no experts to route to: this page tells how well the model predicts each data set, "
        "and nothing about routing."},
       {"Perplexity",
        "depends on the tokenizer. Between models with different tokenizers compare bits per "
        "byte, and only at the same chunk length."},
       {"A data set",
        "is its sources: intervals speak of more text from the same kinds of sources, not of a "
        "language or a field. Text the model was trained on is predicted better than it "
        "would be otherwise."}}};
}

}  // namespace

ModelLimits LimitsOf(const store::RunDescription& run) {
  if (run.is_dense()) return DenseLimits();
  return IsDemoModel(run) ? DemoLimits() : GenericLimits();
}

}  // namespace moescope::study
