//! Tables without lines, cut to the width of the terminal.

use comfy_table::{ColumnConstraint, ContentArrangement, Row, Table as Grid, presets::NOTHING};

/// A table under construction. Only the last column gives way when the
/// terminal is narrow.
pub struct Table {
    columns: usize,
    grid: Grid,
}

impl Table {
    /// A table with these headings.
    pub fn new(headings: &[&str]) -> Self {
        let mut grid = Grid::new();
        grid.load_style(NOTHING);
        grid.set_truncation_indicator("…");
        grid.set_header(row(headings.iter().map(|&heading| heading.to_owned())));
        Self {
            columns: headings.len(),
            grid,
        }
    }

    /// Adds a row; line feeds in a cell become spaces.
    pub fn add(&mut self, cells: impl IntoIterator<Item = String>) {
        self.grid.add_row(row(cells));
    }

    /// The table as text, without a line feed at its end. Without a width
    /// nothing is cut.
    pub fn render(mut self, width: Option<u16>) -> String {
        self.pad();
        match width {
            Some(width) => {
                self.grid
                    .set_content_arrangement(ContentArrangement::Dynamic);
                self.grid.set_width(width);
                let fixed = self.columns - 1;
                let constraints = std::iter::repeat_n(ColumnConstraint::ContentWidth, fixed);
                self.grid.set_constraints(constraints);
            }
            None => {
                self.grid
                    .set_content_arrangement(ContentArrangement::Disabled);
            }
        }
        self.grid.trim_fmt()
    }

    fn pad(&mut self) {
        let last = self.columns - 1;
        for (index, column) in self.grid.column_iter_mut().enumerate() {
            column.set_padding((0, if index == last { 0 } else { 2 }));
        }
    }
}

fn row(cells: impl IntoIterator<Item = String>) -> Row {
    let cells = cells
        .into_iter()
        .map(|cell| super::text::one_line(&cell, usize::MAX));
    let mut row = Row::from(cells.collect::<Vec<_>>());
    row.max_height(1);
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(&["ID", "STATE", "SUMMARY"]);
        table.add(["j1", "running", "fix the tests\nof the parser"].map(str::to_owned));
        table.add(["j22", "failed", "größer als die Zeile"].map(str::to_owned));
        table
    }

    #[test]
    fn whole() {
        insta::assert_snapshot!(table().render(None), @r"
        ID   STATE    SUMMARY
        j1   running  fix the tests of the parser
        j22  failed   größer als die Zeile
        ");
    }

    #[test]
    fn narrow() {
        insta::assert_snapshot!(table().render(Some(26)), @r"
        ID   STATE    SUMMARY
        j1   running  fix the…
        j22  failed   größer als…
        ");
    }

    #[test]
    fn empty() {
        insta::assert_snapshot!(Table::new(&["A", "B"]).render(Some(80)), @r"
        A  B
        ");
    }
}
