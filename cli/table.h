// Text in aligned columns.
#ifndef ESPALIER_CLI_TABLE_H_
#define ESPALIER_CLI_TABLE_H_

#include <string>
#include <vector>

namespace espalier::cli {

// Columns are as wide as their widest cell, two spaces apart; the last one is not padded. Cells are one line: control
// characters become spaces. Empty cells show as "-".
class Table {
 public:
  enum class Align { kLeft, kRight };
  struct Column {
    std::string head;
    Align align = Align::kLeft;
  };

  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  void Add(std::vector<std::string> cells);  // as many as columns
  bool empty() const { return rows_.empty(); }
  std::string ToString(const std::string& indent = "") const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

// "Label:    value" lines, values aligned. Lines with empty values are left out.
std::string Fields(const std::vector<std::pair<std::string, std::string>>& fields);

}  // namespace espalier::cli

#endif  // ESPALIER_CLI_TABLE_H_
