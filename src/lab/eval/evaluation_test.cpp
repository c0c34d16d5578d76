// Evaluations of a small random model: what is scored is what the sweep says, however the work is
// cut; windows count every token once; interventions reach them all.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <numeric>
#include <set>

#include "base/error.h"
#include "engine/model/sweep.h"
#include "engine/model/tiny_model.h"
#include "lab/eval/cloze.h"
#include "lab/eval/multiple_choice.h"
#include "lab/eval/perplexity.h"
#include "lab/eval/written_answers.h"
#include "lab/planted/weights.h"
#include "store/test_directory.h"

namespace moescope::lab {
namespace {

constexpr const char* kCharacters = "abcdefgh78.#";

class EvaluationTest : public store::TestDirectory {
 protected:
  // A random model with the tokenizer of a planted one: a token a character.
  std::string WriteModel() const {
    const PlantedWeights planted(kCharacters, {});
    planted.Write(Path("tokenizer"));
    files::ModelConfig config = engine::OddTinyConfig();
    config.n_layers = 3;
    config.n_experts = 4;
    config.experts_per_token = 2;
    config.vocab_size = planted.config().vocab_size;
    const std::string written = engine::WriteTinyModel(config, DType::kF32, 7);
    std::filesystem::rename(written, Path("model"));
    std::filesystem::copy(Path("tokenizer") + "/tokenizer.model", Path("model"));
    return Path("model");
  }
  EvalModel& Model() {
    if (!model_) model_ = std::make_unique<EvalModel>(WriteModel(), EvalOptions{.n_threads = 2});
    return *model_;
  }

  static ChoiceTask Task(int n) {
    ChoiceTask task;
    std::string text = "abcdefgh";
    for (int i = 0; i < n; ++i) {
      std::next_permutation(text.begin(), text.end());
      ChoiceItem item;
      item.where = item.unit = std::to_string(i);
      item.contexts = {text + text.substr(0, static_cast<size_t>(i % 5))};
      item.choices = {"a" + text, "hg", "c7"};
      item.answer = i % 3;
      task.items.push_back(item);
    }
    return task;
  }

  // The losses of a text after BOS, by the sweep alone.
  std::vector<float> Losses(const std::string& text) {
    EvalModel& model = Model();
    text::Encoding encoding;
    model.opened.tokenizer->Encode(text, encoding);
    std::vector<int32_t> ids = {model.opened.tokenizer->bos_id()};
    ids.insert(ids.end(), encoding.ids.begin(), encoding.ids.end());
    engine::Wave wave;
    wave.Add(0, 0, ids);
    engine::Sweep sweep(*model.opened.model, model.kernels, model.pool,
                        {.wave_rows = wave.n_rows(), .max_sequence = static_cast<int>(ids.size())});
    sweep.Run(wave, {});
    return {sweep.losses().begin(), sweep.losses().end() - 1};
  }

  text::DataSpec Texts(const std::string& lines) {
    text::DataSpec spec;
    spec.name = "a";
    spec.path = Write("a.jsonl", lines);
    return spec;
  }

 private:
  std::unique_ptr<EvalModel> model_;
};

std::vector<double> Likelihoods(const ChoiceResults& results) {
  std::vector<double> all;
  for (const ItemResult& item : results.items) {
    for (const ScoredChoice& choice : item.choices) all.push_back(choice.log_likelihood);
  }
  return all;
}

TEST_F(EvaluationTest, LikelihoodOfAChoiceIsTheSumOfItsTokens) {
  const ChoiceTask task = Task(4);
  const ChoiceResults results = RunChoices(Model(), task, {});
  ASSERT_EQ(results.items.size(), 4u);
  for (size_t i = 0; i < 4; ++i) {
    const ItemResult& item = results.items[i];
    size_t best = 0, best_norm = 0;
    for (size_t c = 0; c < 3; ++c) {
      const std::string& choice = task.items[i].choices[c];
      const std::vector<float> losses = Losses(task.items[i].contexts[0] + choice);
      double expected = 0;
      for (size_t t = losses.size() - choice.size(); t < losses.size(); ++t) expected -= losses[t];
      EXPECT_EQ(item.choices[c].log_likelihood, expected);
      EXPECT_EQ(item.choices[c].n_tokens, static_cast<int>(choice.size()));
      EXPECT_EQ(item.choices[c].n_bytes, static_cast<int>(choice.size()));
      const auto norm = [&](size_t k) {
        return item.choices[k].log_likelihood / static_cast<double>(item.choices[k].n_bytes);
      };
      if (item.choices[c].log_likelihood > item.choices[best].log_likelihood) best = c;
      if (norm(c) > norm(best_norm)) best_norm = c;
    }
    EXPECT_EQ(item.chosen, static_cast<int>(best));
    EXPECT_EQ(item.chosen_norm, static_cast<int>(best_norm));
  }
}

TEST_F(EvaluationTest, ChoicesAreTheSameForAnyThreadsAndWaves) {
  const ChoiceTask task = Task(40);
  const ChoiceOptions options{.few_shot = {.n = 2, .seed = 3}};
  const ChoiceResults whole = RunChoices(Model(), task, options);
  EXPECT_EQ(whole.cost.n_waves, 1);
  EvalModel one(Path("model"), {.n_threads = 1, .memory_bytes = 600 << 10});
  const ChoiceResults cut = RunChoices(one, task, options);
  EXPECT_GT(cut.cost.n_waves, 1);
  EXPECT_EQ(Likelihoods(whole), Likelihoods(cut));
  const ChoiceResults none = RunChoices(Model(), task, {});
  EXPECT_NE(Likelihoods(whole), Likelihoods(none)) << "examples are seen";
}

TEST_F(EvaluationTest, InterventionsReachTheScores) {
  const ChoiceTask task = Task(6);
  const std::vector<double> plain = Likelihoods(RunChoices(Model(), task, {}));
  EvalModel same(Path("model"), {.changes = {.interventions = {"bias=0"}}, .n_threads = 2});
  EXPECT_EQ(Likelihoods(RunChoices(same, task, {})), plain);
  EvalModel masked(Path("model"), {.changes = {.interventions = {"mask@all:1"}}, .n_threads = 2});
  EXPECT_NE(Likelihoods(RunChoices(masked, task, {})), plain);
  EXPECT_EQ(masked.changes.written(), std::vector<std::string>{"mask@all:1"});
  EvalModel wider(Path("model"), {.changes = {.interventions = {"top-k=4"}}, .n_threads = 2});
  EXPECT_NE(Likelihoods(RunChoices(wider, task, {})), plain);
  for (const char* bad : {"mask", "force=nowhere", "mask@all:9", "melt"}) {
    EXPECT_THROW(EvalModel(Path("model"), {.changes = {.interventions = {bad}}}), Error) << bad;
  }
}

TEST_F(EvaluationTest, ExamplesAreOthersAndDependOnSeedAndItem) {
  const FewShot few_shot{.n = 3, .seed = 5};
  for (size_t item = 0; item < 6; ++item) {
    const auto drawn = DrawExamples(few_shot, item, 6, static_cast<int64_t>(item));
    EXPECT_EQ(std::set<size_t>(drawn.begin(), drawn.end()).size(), 3u);
    EXPECT_EQ(std::count(drawn.begin(), drawn.end(), item), 0);
    EXPECT_EQ(drawn, DrawExamples(few_shot, item, 6, static_cast<int64_t>(item)));
  }
  const ChoiceTask task = Task(3);
  const ChoiceOptions options{.few_shot = {.n = 2}, .description = "D "};
  const std::string prompt = ChoicePrompt(task, options, 0, 1);
  EXPECT_TRUE(prompt.starts_with("D "));
  EXPECT_NE(prompt.find(task.items[1].contexts[0] + task.items[1].choices[1] + "\n\n"),
            std::string::npos);
  EXPECT_TRUE(prompt.ends_with("\n\n" + task.items[0].contexts[0]));
  EXPECT_THROW(RunChoices(Model(), task, {.few_shot = {.n = 3}}), Error);
}

TEST_F(EvaluationTest, AnItemLongerThanTheContextLosesItsBeginning) {
  ChoiceTask task = Task(1);
  const int context = Model().config().context;
  task.items[0].contexts[0] = std::string(static_cast<size_t>(2 * context), 'b') + "cd";
  const ChoiceResults results = RunChoices(Model(), task, {});
  EXPECT_EQ(results.n_cut, 1);
  const std::vector<float> losses =
      Losses(std::string(static_cast<size_t>(context) - 1 - 4, 'b') + "cdhg");
  EXPECT_EQ(results.items[0].choices[1].log_likelihood,
            -(double{losses[losses.size() - 2]} + losses.back()));
  task.items[0].choices[0] = std::string(static_cast<size_t>(context), 'b');
  EXPECT_THROW(RunChoices(Model(), task, {}), Error);
}

TEST(Windows, CountEachTokenOnce) {
  for (const auto& [n, window, stride] :
       {std::tuple{100, 16, 8}, {100, 16, 15}, {7, 16, 3}, {16, 16, 5}, {17, 16, 1}, {2, 2, 1}}) {
    std::vector<int> counted(static_cast<size_t>(n));
    int64_t last_end = 0;
    for (const Window& w : CoverDocument(n, window, stride)) {
      EXPECT_LE(w.end - w.begin, window);
      EXPECT_LT(w.n_scored, w.end - w.begin) << "a token stands before the first";
      for (int64_t t = w.end - w.n_scored; t < w.end; ++t) {
        ++counted[static_cast<size_t>(t)];
        EXPECT_TRUE(w.begin == 0 || t - w.begin >= window - stride);
      }
      last_end = w.end;
    }
    EXPECT_EQ(last_end, n);
    EXPECT_EQ(counted[0], 0);
    EXPECT_EQ(std::accumulate(counted.begin(), counted.end(), 0), n - 1);
    EXPECT_EQ(*std::max_element(counted.begin(), counted.end()), 1);
  }
  EXPECT_TRUE(CoverDocument(1, 16, 8).empty());
  EXPECT_EQ(CoverDocument(20, 16, 8), (std::vector<Window>{{0, 16, 15}, {4, 20, 4}}));
}

TEST(Windows, OfEveryLengthHaveTheSameTargets) {
  const auto targets = [](const std::vector<Window>& windows) {
    std::vector<std::pair<int64_t, int64_t>> all;
    for (const Window& w : windows) all.emplace_back(w.end - w.n_scored, w.end);
    return all;
  };
  const auto longest = CoverTargets(100, 64, 64, 8);
  EXPECT_EQ(longest.size(), 5u);
  EXPECT_EQ(targets(CoverTargets(100, 9, 64, 8)), targets(longest));
  EXPECT_EQ(CoverTargets(100, 9, 64, 8)[0], (Window{55, 64, 8}));
  EXPECT_TRUE(CoverTargets(63, 9, 64, 8).empty());
}

TEST_F(EvaluationTest, OneWindowOfAllTheDocumentIsTheSweepsLoss) {
  const std::string text = "abcabcdefghabcdgh78abc";
  PerplexityOptions options;
  options.data = {Texts("{\"text\": \"" + text + "\"}\n")};
  const Perplexity whole = RunPerplexity(Model(), options);
  const std::vector<float> losses = Losses(text);
  ASSERT_EQ(whole.losses.size(), 1u);
  EXPECT_EQ(whole.losses[0].predictions, static_cast<int64_t>(losses.size()));
  EXPECT_EQ(whole.losses[0].bytes, static_cast<int64_t>(text.size()));
  EXPECT_EQ(whole.losses[0].loss, std::accumulate(losses.begin(), losses.end(), 0.0));
  options.window = 6;
  options.stride = 2;
  const Perplexity windows = RunPerplexity(Model(), options);
  EXPECT_EQ(windows.losses[0].predictions, static_cast<int64_t>(losses.size()));
  EXPECT_NE(windows.losses[0].loss, whole.losses[0].loss);
  options.window = 0;
  options.lengths = {4, 8};
  const Perplexity lengths = RunPerplexity(Model(), options);
  ASSERT_EQ(lengths.losses.size(), 2u);
  EXPECT_EQ(lengths.losses[0].predictions, lengths.losses[1].predictions);
  EXPECT_EQ(lengths.losses[0].bytes, lengths.losses[1].bytes);
}

TEST_F(EvaluationTest, PerplexityRefusesWindowsThatCannotBe) {
  PerplexityOptions options;
  options.data = {Texts("{\"text\": \"abc\"}\n")};
  options.window = Model().config().context + 1;
  EXPECT_THROW(RunPerplexity(Model(), options), Error);
  options.window = 4;
  options.stride = 4;
  EXPECT_THROW(RunPerplexity(Model(), options), Error);
  options = {.data = options.data, .policy = {}, .lengths = {3, 300}};
  EXPECT_THROW(RunPerplexity(Model(), options), Error) << "no document is so long";
}

// A model that writes 7 or 8, whatever it is asked.
TEST_F(EvaluationTest, WrittenAnswersAreRightWhereTheirNumberIs) {
  PlantedWeights weights(kCharacters, {});
  weights.HeadReads(weights.TokenOf('7'), PlantedWeights::kConstant, 20.5);
  weights.HeadReads(weights.TokenOf('8'), PlantedWeights::kConstant, 20);
  weights.Write(Path("writer"));
  EvalModel model(Path("writer"), {.n_threads = 2});
  AnswerTask task;
  for (const char* number : {"7", "8"}) {
    task.items.push_back(
        {.where = "t", .unit = number, .question = "abc", .solution = "d#### 7", .number = number});
  }
  AnswerOptions options;
  options.max_tokens = 1;
  const AnswerResults greedy = RunAnswers(model, task, options);
  EXPECT_EQ(greedy.items[0].answers[0].text, "7");
  EXPECT_EQ(greedy.items[0].last_majority, "7");
  EXPECT_EQ(greedy.items[1].last_majority, "7") << "which is not the right one";
  EXPECT_EQ(greedy.items[0].majority, "") << "no ####";

  options.n_drawn = 30;
  EXPECT_THROW(RunAnswers(model, task, options), Error) << "greedy answers do not differ";
  options.sampling.temperature = 1;
  const AnswerResults drawn = RunAnswers(model, task, options);
  std::vector<std::string> numbers;
  for (const WrittenAnswer& answer : drawn.items[0].answers) numbers.push_back(answer.last_number);
  EXPECT_EQ(std::set<std::string>(numbers.begin(), numbers.end()).size(), 2u);
  EXPECT_EQ(drawn.items[0].last_majority, Majority(numbers));
  const AnswerResults again = RunAnswers(model, task, options);
  for (size_t i = 0; i < 30; ++i) {
    EXPECT_EQ(again.items[1].answers[i].text, drawn.items[1].answers[i].text);
  }
  options.max_tokens = 5;
  options.stop = {"8"};
  const AnswerResults stopped = RunAnswers(model, task, options);
  for (const WrittenAnswer& answer : stopped.items[0].answers) {
    EXPECT_EQ(answer.text.find('8'), std::string::npos);
  }
}

TEST(Majority, IsTheMostFrequentThenTheFirst) {
  EXPECT_EQ(Majority({"1", "2", "2"}), "2");
  EXPECT_EQ(Majority({"3", "2", "2", "3"}), "3");
  EXPECT_EQ(Majority({"", "", "5"}), "5");
  EXPECT_EQ(Majority({""}), "");
}

TEST_F(EvaluationTest, ClozeItemsContinueTheirPassageAndOthersComeFromOtherUnits) {
  std::string lines;
  for (int document = 0; document < 6; ++document) {
    std::string text;
    for (int word = 0; word < 200; ++word) {
      text += fmt::format("d{}w{} ", document / 2, (word * 7919 + document) % 1000);
    }
    lines += fmt::format("{{\"text\": \"{}\", \"unit\": \"u{}\"}}\n", text, document / 2);
  }
  ClozeOptions options;
  options.data = {Texts(lines)};
  options.n_items = 40;
  options.context_bytes = 60;
  options.choice_bytes = 24;
  const std::vector<ClozeItem> items = MakeCloze(options);
  ASSERT_EQ(items.size(), 40u);
  std::set<int> answers;
  for (const ClozeItem& item : items) {
    answers.insert(item.answer);
    const std::string own = "d" + item.unit.substr(1) + "w";
    EXPECT_NE(lines.find(item.context + item.choices[static_cast<size_t>(item.answer)]),
              std::string::npos);
    for (size_t c = 0; c < item.choices.size(); ++c) {
      EXPECT_EQ(item.choices[c].find(own) != std::string::npos, static_cast<int>(c) == item.answer);
      EXPECT_EQ(item.choices[c][0], ' ');
      EXPECT_GE(item.choices[c].size(), 25u);
      EXPECT_LE(item.choices[c].size(), 25u + 8);
    }
  }
  EXPECT_EQ(answers.size(), 4u) << "the right one has no place of its own";
  EXPECT_EQ(FormatCloze(items), FormatCloze(MakeCloze(options)));
  const ChoiceTask task = ParseChoiceTask(FormatCloze(items), "t.jsonl");
  EXPECT_EQ(task.shape, "cloze");
  EXPECT_EQ(task.items[3].unit, items[3].unit);
  options.seed = 2;
  EXPECT_NE(FormatCloze(items), FormatCloze(MakeCloze(options)));

  options.data = {Texts(lines.substr(0, lines.find('\n') + 1))};
  EXPECT_THROW(MakeCloze(options), Error) << "one unit has nothing from elsewhere";
}

}  // namespace
}  // namespace moescope::lab
