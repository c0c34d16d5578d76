#include "store/run_writer.h"

#include <fmt/format.h>

#include <condition_variable>
#include <deque>
#include <exception>
#include <filesystem>
#include <mutex>
#include <optional>
#include <thread>

#include "base/error.h"
#include "base/platform/durable_file.h"
#include "store/journal.h"
#include "store/manifest.h"
#include "store/run_lock.h"
#include "store/run_log.h"

namespace moescope::store {
namespace {

namespace fs = std::filesystem;

JournalShape ShapeOf(const RunDescription& description) {
  return {description.n_layers, description.n_experts, description.experts_per_token,
          description.has_logits};
}

// Whether `directory` may become a new run: absent, empty, or a run that died before its manifest.
void CheckEmpty(const std::string& directory) {
  for (const auto& entry : fs::directory_iterator(directory)) {
    std::string name = entry.path().filename().string();
    bool ours = name == kLockName || name == kRunLogName || name == "documents" ||
                name == "tokens" || name == "routes" || name == "journal" ||
                name.starts_with(kVocabularyPath) || name.starts_with(kManifestName);
    if (!ours) {
      throw Error(
          ErrorKind::kBadInput,
          fmt::format("cannot write run: {}: expected an empty or new directory, found {} in "
                      "it; choose another -o",
                      directory, name));
    }
  }
}

void CreateDirectory(const std::string& directory) {
  std::error_code failed;
  fs::create_directories(directory, failed);
  if (failed) {
    throw Error(ErrorKind::kIo,
                fmt::format("cannot create run: {}: {}", directory, failed.message()));
  }
}

// Empty folders of all parts, so that a part's files only need their own folder synced.
void CreateLayout(const std::string& directory, const RunDescription& description) {
  for (const char* name : {"documents", "tokens"}) {
    CreateDirectory((fs::path(directory) / name).string());
  }
  for (int layer : description.LayerNumbers()) {
    CreateDirectory((fs::path(directory) / RoutesPath(layer, 0)).parent_path().string());
  }
  if (!description.is_dense()) SyncDirectory((fs::path(directory) / "routes").string());
  SyncDirectory(directory);
}

// The thread that turns ranges of the journal into parts, and the manifest they are entered in.
class Cutting {
 public:
  Cutting(const std::string& directory, Manifest manifest, Journal& journal, uint64_t memory_bytes)
      : directory_(directory),
        manifest_(std::move(manifest)),
        journal_(journal),
        cutter_(directory, manifest_.description, memory_bytes) {}

  ~Cutting() {
    {
      std::lock_guard lock(mutex_);
      stop_ = true;  // after the part at hand; the journal keeps the others for the next time
    }
    changed_.notify_all();
    if (thread_.joinable()) thread_.join();
  }
  Cutting(const Cutting&) = delete;
  Cutting& operator=(const Cutting&) = delete;

  // Before Begin: writes the vocabulary and the first manifest of a new run.
  void WriteFirst(const std::vector<VocabularyEntry>& vocabulary) {
    manifest_.vocabulary = cutter_.WriteVocabulary(vocabulary);
    WriteManifest();
  }

  void Begin() {
    thread_ = std::thread([this] { Work(); });
  }

  // Queues a part.
  void Cut(PartRows rows) {
    {
      std::lock_guard lock(mutex_);
      queue_.push_back(std::move(rows));
    }
    changed_.notify_all();
  }

  // What the thread failed with; thrown once, then the parts are tried again.
  void ThrowFailure() {
    std::lock_guard lock(mutex_);
    if (!failure_) return;
    std::exception_ptr failure = std::exchange(failure_, nullptr);
    changed_.notify_all();
    std::rethrow_exception(failure);
  }

  // Returns when all queued parts are in the manifest; throws what the thread failed with.
  void Wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return failure_ || (queue_.empty() && !busy_); });
    if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
  }

  // After Wait.
  void MarkComplete() {
    manifest_.complete = true;
    WriteManifest();
  }

 private:
  void WriteManifest() {
    std::string text = FormatManifest(manifest_);
    ReplaceFile((fs::path(directory_) / kManifestName).string(), AsBytes(text));
  }

  void Work() {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [this] { return stop_ || (!queue_.empty() && !failure_); });
      if (stop_) return;
      busy_ = true;
      const PartRows& rows = queue_.front();  // only this thread removes it
      lock.unlock();
      std::exception_ptr failure = TryPart(rows);
      lock.lock();
      busy_ = false;
      if (failure)
        failure_ = failure;
      else
        queue_.pop_front();
      changed_.notify_all();
    }
  }

  std::exception_ptr TryPart(const PartRows& rows) noexcept {
    try {
      size_t n_parts = manifest_.parts.size();
      manifest_.parts.push_back(cutter_.WritePart(static_cast<int64_t>(n_parts), rows));
      try {
        WriteManifest();
      } catch (...) {
        manifest_.parts.pop_back();
        throw;
      }
      journal_.RemoveBefore(manifest_.n_tokens());
      return nullptr;
    } catch (...) {
      return std::current_exception();
    }
  }

  std::string directory_;
  Manifest manifest_;  // of the thread, once it runs
  Journal& journal_;
  PartCutter cutter_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<PartRows> queue_;
  bool busy_ = false;
  bool stop_ = false;
  std::exception_ptr failure_;
  std::thread thread_;
};

}  // namespace

struct RunWriter::State {
  std::string directory;
  RunDescription description;
  bool complete = false;
  int64_t complete_tokens = 0;
  int64_t complete_documents = 0;
  std::optional<RunLock> lock;
  std::optional<Journal> journal;
  std::optional<Cutting> cutting;  // after the journal, which it uses

  // The part that is filling: documents that are not in a queued or written part.
  std::deque<DocumentRecord> documents;
  int64_t part_first_token = 0;
  int64_t part_first_document = 0;
  int64_t next_first_token = 0;  // where the next document begins

  void CutCompleteParts();
  void CutPart(size_t n_documents, int64_t end_token);
};

// Queues each part whose documents are all committed: it ends with the first document that ends
// tokens_per_part or more after its start.
void RunWriter::State::CutCompleteParts() {
  size_t n_documents = 0;
  for (bool cut = true; cut;) {
    cut = false;
    for (n_documents = 0; n_documents < documents.size(); ++n_documents) {
      const DocumentRecord& document = documents[n_documents];
      int64_t end = document.first_token + document.n_tokens;
      if (end > journal->n_tokens()) return;
      if (end - part_first_token < description.tokens_per_part) continue;
      CutPart(n_documents + 1, end);
      cut = true;
      break;
    }
  }
}

void RunWriter::State::CutPart(size_t n_documents, int64_t end_token) {
  auto end = documents.begin() + static_cast<std::ptrdiff_t>(n_documents);
  PartRows rows{
      .documents = {std::make_move_iterator(documents.begin()), std::make_move_iterator(end)},
      .first_token = part_first_token,
      .n_tokens = end_token - part_first_token,
      .first_document = part_first_document,
      .journal = journal->Rows(part_first_token, end_token)};
  documents.erase(documents.begin(), end);
  part_first_token = end_token;
  part_first_document += static_cast<int64_t>(n_documents);
  journal->CloseSegment();
  cutting->Cut(std::move(rows));
}

RunWriter::RunWriter(const std::string& directory, const RunDescription& description,
                     const std::vector<VocabularyEntry>& vocabulary, uint64_t memory_bytes)
    : state_(std::make_unique<State>()) {
  State& state = *state_;
  state.directory = directory;
  state.description = Normalised(description);
  CheckDescription(state.description);
  MOESCOPE_CHECK(vocabulary.size() == static_cast<size_t>(description.vocab_size));
  CreateDirectory(directory);
  state.lock.emplace(directory);

  Manifest manifest;
  bool resumes = fs::exists(fs::path(directory) / kManifestName);
  if (resumes) {
    manifest = ReadManifest(directory);
    std::string difference = FirstDifference(state.description, manifest.description);
    if (!difference.empty()) {
      throw Error(ErrorKind::kBadInput,
                  fmt::format("cannot resume run: {}: the run there has {}; choose another -o, or "
                              "give the command that began it",
                              directory, difference));
    }
  } else {
    CheckEmpty(directory);
    manifest.description = state.description;
  }
  if (manifest.complete) {
    state.complete = true;
    state.complete_tokens = manifest.n_tokens();
    state.complete_documents = manifest.n_documents();
    std::error_code ignored;
    fs::remove_all(fs::path(directory) / "journal", ignored);
    return;
  }
  AppendRunLog(directory, resumes ? "resume" : "begin", manifest.n_tokens());
  if (!resumes) CreateLayout(directory, description);
  state.part_first_token = manifest.n_tokens();
  state.part_first_document = manifest.n_documents();
  state.journal.emplace((fs::path(directory) / "journal").string(), ShapeOf(description),
                        manifest.n_tokens(), manifest.n_documents());
  for (DocumentRecord& document : state.journal->TakeDocuments()) {
    state.documents.push_back(std::move(document));
  }
  state.next_first_token = state.part_first_token;
  if (!state.documents.empty()) {
    state.next_first_token = state.documents.back().first_token + state.documents.back().n_tokens;
  }
  state.cutting.emplace(directory, std::move(manifest), *state.journal, memory_bytes);
  if (!resumes) state.cutting->WriteFirst(vocabulary);
  state.cutting->Begin();
  state.CutCompleteParts();
}

RunWriter::~RunWriter() = default;

bool RunWriter::complete() const {
  return state_->complete;
}

int64_t RunWriter::n_tokens() const {
  return state_->journal ? state_->journal->n_tokens() : state_->complete_tokens;
}

int64_t RunWriter::n_documents_begun() const {
  return state_->journal ? state_->journal->n_documents() : state_->complete_documents;
}

void RunWriter::CommitWave(std::span<const DocumentRecord> documents,
                           std::span<const TokenRecord> tokens,
                           std::span<const LayerRoutes> routes) {
  State& state = *state_;
  MOESCOPE_CHECK(!state.complete);
  MOESCOPE_CHECK(routes.size() == static_cast<size_t>(state.description.n_route_layers()));
  auto k = static_cast<size_t>(state.description.experts_per_token);
  auto e = static_cast<size_t>(state.description.has_logits ? state.description.n_experts : 0);
  for (const LayerRoutes& layer : routes) {
    MOESCOPE_CHECK(layer.experts.size() == tokens.size() * k);
    MOESCOPE_CHECK(layer.weights.size() == tokens.size() * k);
    MOESCOPE_CHECK(layer.margins.size() == tokens.size());
    MOESCOPE_CHECK(layer.entropies.size() == tokens.size());
    MOESCOPE_CHECK(layer.logits.size() == tokens.size() * e);
  }
  int64_t next_document = n_documents_begun();
  int64_t next_first_token = state.next_first_token;
  for (const DocumentRecord& document : documents) {
    MOESCOPE_CHECK(document.document == next_document++);
    MOESCOPE_CHECK(document.first_token == next_first_token && document.n_tokens >= 0);
    next_first_token += document.n_tokens;
  }
  MOESCOPE_CHECK(tokens.empty() ||
                 (tokens.front().token == n_tokens() && tokens.back().token < next_first_token));
  state.cutting->ThrowFailure();
  state.journal->Append(documents, tokens, routes);
  state.documents.insert(state.documents.end(), documents.begin(), documents.end());
  state.next_first_token = next_first_token;
  state.CutCompleteParts();
}

void RunWriter::Finish() {
  State& state = *state_;
  if (state.complete) return;
  if (n_tokens() == 0) {
    throw Error(
        ErrorKind::kBadInput,
        fmt::format("cannot finish run: {}: expected tokens, found none; is the data empty?",
                    state.directory));
  }
  MOESCOPE_CHECK(n_tokens() == state.next_first_token);
  if (!state.documents.empty()) state.CutPart(state.documents.size(), n_tokens());
  state.cutting->Wait();
  state.cutting->MarkComplete();
  state.complete = true;
  state.complete_tokens = state.journal->n_tokens();
  state.complete_documents = state.journal->n_documents();
  state.cutting.reset();
  state.journal->RemoveAll();
  state.journal.reset();
  AppendRunLog(state.directory, "complete", state.complete_tokens);
}

}  // namespace moescope::store
