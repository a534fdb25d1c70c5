#include "cli/table.h"

#include <algorithm>
#include <utility>

namespace espalier::cli {
namespace {

// Characters, not octets: UTF-8 continuation octets don't count.
size_t Width(const std::string& text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

std::string OneLine(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  return text.empty() ? "-" : text;
}

}  // namespace

void Table::Add(std::vector<std::string> cells) {
  cells.resize(columns_.size());
  for (std::string& cell : cells) cell = OneLine(std::move(cell));
  rows_.push_back(std::move(cells));
}

std::string Table::ToString(const std::string& indent) const {
  std::vector<size_t> widths;
  for (size_t c = 0; c < columns_.size(); ++c) {
    size_t width = Width(columns_[c].head);
    for (const auto& row : rows_) width = std::max(width, Width(row[c]));
    widths.push_back(width);
  }
  std::string out;
  const auto line = [&](const auto& cell) {
    out += indent;
    for (size_t c = 0; c < columns_.size(); ++c) {
      const std::string& text = cell(c);
      const std::string padding(widths[c] - Width(text), ' ');
      const bool last = c + 1 == columns_.size();
      if (columns_[c].align == Align::kRight) {
        out += padding + text;
      } else {
        out += text;
        if (!last) out += padding;
      }
      if (!last) out += "  ";
    }
    out += '\n';
  };
  line([&](size_t c) -> const std::string& { return columns_[c].head; });
  for (const auto& row : rows_) line([&](size_t c) -> const std::string& { return row[c]; });
  return out;
}

std::string Fields(const std::vector<std::pair<std::string, std::string>>& fields) {
  size_t width = 0;
  for (const auto& [label, value] : fields) {
    if (!value.empty()) width = std::max(width, Width(label));
  }
  std::string out;
  for (const auto& [label, value] : fields) {
    if (value.empty()) continue;
    out += label + ":" + std::string(width - Width(label) + 2, ' ') + OneLine(value) + "\n";
  }
  return out;
}

}  // namespace espalier::cli
