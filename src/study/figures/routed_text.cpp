#include "study/figures/routed_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "base/error.h"
#include "study/analysis/route_columns.h"
#include "study/figures/utf8.h"

namespace moescope::study {
namespace {

std::string TextOf(const store::Value& value) {
  const auto* text = std::get_if<std::string>(&value);
  return text ? *text : "";
}

std::vector<int64_t> FirstOfEachDataset(store::Database& database, int max_documents) {
  std::vector<int64_t> documents;
  const auto table = database.Query(
      "SELECT min(document) FROM documents WHERE n_tokens > 1 GROUP BY dataset ORDER BY 1");
  for (const auto& row : table.rows) {
    if (static_cast<int>(documents.size()) == max_documents) break;
    documents.push_back(std::get<int64_t>(row[0]));
  }
  return documents;
}

RoutedText LoadOne(const store::Run& run, store::Database& database, int64_t document,
                   const std::vector<int>& layers, int max_tokens) {
  RoutedText text;
  text.document = document;
  text.layers = layers;
  const auto found = database.Query(
      fmt::format("SELECT dataset, unit FROM documents WHERE document = {}", document));
  if (found.rows.empty()) {
    throw Error(ErrorKind::kNotFound,
                fmt::format("{} has no document {}; it has 0 to {}", run.directory(), document,
                            run.n_documents() - 1));
  }
  text.dataset = TextOf(found.rows[0][0]);
  text.unit = TextOf(found.rows[0][1]);
  const auto tokens = database.Query(fmt::format(
      "SELECT token, token_id, position, bytes FROM tokens LEFT JOIN vocabulary USING (token_id) "
      "WHERE document = {} AND NOT special ORDER BY token LIMIT {}",
      document, max_tokens));
  std::unordered_map<int64_t, size_t> place;  // of a token among the rows
  for (const auto& row : tokens.rows) {
    if (std::holds_alternative<std::monostate>(row[1])) {
      throw Error(ErrorKind::kBadInput,
                  fmt::format("{} has no token ids, so its text cannot be shown", run.directory()));
    }
    place[std::get<int64_t>(row[0])] = text.token_ids.size();
    text.token_ids.push_back(static_cast<int32_t>(std::get<int64_t>(row[1])));
    text.positions.push_back(static_cast<int32_t>(std::get<int64_t>(row[2])));
    text.bytes.push_back(TextOf(row[3]));
  }
  for (int layer : layers) {
    auto& first = text.first_choice.emplace_back(text.token_ids.size(), int16_t{-1});
    if (place.empty()) continue;
    const auto routes = database.Query(fmt::format(
        "SELECT token, expert_0 FROM routes WHERE layer = {} AND token BETWEEN {} AND {} "
        "AND expert_0 IS NOT NULL",
        layer, std::get<int64_t>(tokens.rows.front()[0]),
        std::get<int64_t>(tokens.rows.back()[0])));
    for (const auto& row : routes.rows) {
      const auto at = place.find(std::get<int64_t>(row[0]));
      if (at != place.end()) first[at->second] = static_cast<int16_t>(std::get<int64_t>(row[1]));
    }
  }
  return text;
}

}  // namespace

std::vector<RoutedText> LoadRoutedTexts(const store::Run& run, store::Database& database,
                                        const std::vector<int>& layers,
                                        const RoutedTextOptions& options) {
  RequireRoutes(run);
  std::vector<int64_t> documents = options.documents;
  if (documents.empty()) documents = FirstOfEachDataset(database, options.max_documents);
  std::vector<RoutedText> texts;
  for (int64_t document : documents) {
    texts.push_back(LoadOne(run, database, document, layers, options.max_tokens));
  }
  return texts;
}

std::vector<std::string> DisplayPieces(const std::vector<std::string>& bytes) {
  std::string all;
  std::vector<size_t> token_of_byte;
  for (size_t token = 0; token < bytes.size(); ++token) {
    all += bytes[token];
    token_of_byte.insert(token_of_byte.end(), bytes[token].size(), token);
  }
  std::vector<std::string> pieces(bytes.size());
  for (size_t at = 0; at < all.size();) {
    const Character character = NextCharacter(all, at);
    std::string& piece = pieces[token_of_byte[at]];
    if (!character.valid) {
      piece += "\ufffd";
    } else if (character.code == '\n') {
      piece += "↵";
    } else if (character.code == '\t') {
      piece += "→";
    } else if (character.code < 0x20) {
      AppendUtf8(0x2400 + character.code, piece);
    } else if (character.code >= 0x7f && character.code < 0xa0) {
      piece += "\u2421";
    } else {
      piece.append(all, at, character.n_bytes);
    }
    at += character.n_bytes;
  }
  return pieces;
}

FigureTable RoutedTextFigure(const std::vector<RoutedText>& texts) {
  FigureTable table;
  table.figure = "8";
  table.columns = {"dataset",  "unit",     "document", "layer",
                   "position", "token_id", "text",     "expert"};
  for (const RoutedText& text : texts) {
    const std::vector<std::string> pieces = DisplayPieces(text.bytes);
    for (size_t l = 0; l < text.layers.size(); ++l) {
      for (size_t i = 0; i < pieces.size(); ++i) {
        const int expert = text.first_choice[l][i];
        table.rows.push_back({text.dataset, text.unit, text.document, int64_t{text.layers[l]},
                              int64_t{text.positions[i]}, int64_t{text.token_ids[i]}, pieces[i],
                              expert < 0 ? Cell() : Cell(int64_t{expert})});
      }
    }
  }
  return table;
}

}  // namespace moescope::study
