//! A table of the page: a row per property, a column per style or whatever the head says.

use crate::figures::units;

/// A table with its head.
pub(crate) struct Table {
    /// The first is the head of the rows' labels.
    pub(crate) head: Vec<String>,
    pub(crate) rows: Vec<Row>,
}

/// A row.
pub(crate) struct Row {
    pub(crate) label: String,
    /// What the label means, in small print; may be empty.
    pub(crate) note: String,
    /// Belongs below the row before it.
    pub(crate) inner: bool,
    /// Has the label of the row before it, which is read aloud but not shown again.
    pub(crate) again: bool,
    pub(crate) cells: Vec<Cell>,
}

/// A figure, or a word.
#[derive(Default)]
pub(crate) struct Cell {
    pub(crate) text: String,
    /// The best of its row.
    pub(crate) best: bool,
    /// There is no figure.
    pub(crate) absent: bool,
    /// Something that must not be.
    pub(crate) alarm: bool,
    /// Part of the longest bar of the row, in per cent.
    pub(crate) bar: Option<f64>,
}

/// Which way a figure should go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Better {
    Less,
    More,
}

impl Better {
    /// How many times better the `best` of two figures is than the `other`.
    pub(crate) fn factor(self, best: f64, other: f64) -> f64 {
        if self == Self::More { best / other } else { other / best }
    }

    /// The best of the figures.
    pub(crate) fn best(self, figures: impl Iterator<Item = f64>) -> Option<f64> {
        match self {
            Self::Less => figures.min_by(f64::total_cmp),
            Self::More => figures.max_by(f64::total_cmp),
        }
    }
}

impl Cell {
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    pub(crate) fn absent() -> Self {
        Self { text: "not measured".to_owned(), absent: true, ..Self::default() }
    }

    /// There cannot be a figure.
    pub(crate) fn none() -> Self {
        Self { text: "–".to_owned(), absent: true, ..Self::default() }
    }

    /// How wide its bar is, for the style sheet.
    pub(crate) fn bar_width(&self) -> Option<String> {
        self.bar.map(|bar| format!("{bar:.0}%"))
    }

    /// What should be 0.
    pub(crate) fn harm(number: u64) -> Self {
        Self { text: units::count(units::whole(number)), alarm: number > 0, ..Self::default() }
    }
}

impl Row {
    pub(crate) fn new(label: impl Into<String>, cells: Vec<Cell>) -> Self {
        Self { label: label.into(), note: String::new(), inner: false, again: false, cells }
    }

    /// Figures of one kind, with bars; the best is marked if it is not the same for all.
    pub(crate) fn figures(
        label: impl Into<String>,
        figures: &[Option<f64>],
        say: impl Fn(f64) -> String,
        better: Better,
    ) -> Self {
        let measured = || figures.iter().copied().flatten();
        let best = better.best(measured()).filter(|_| measured().count() > 1);
        let best = best.map(&say).filter(|best| measured().any(|figure| say(figure) != *best));
        let most = measured().fold(0.0, f64::max);
        let cell = |figure: &Option<f64>| match *figure {
            None => Cell::absent(),
            Some(figure) => {
                let text = say(figure);
                let bar = (most > 0.0).then(|| 100.0 * figure.max(0.0) / most);
                Cell { best: best.as_ref() == Some(&text), bar, text, ..Cell::default() }
            }
        };
        Self::new(label, figures.iter().map(cell).collect())
    }

    /// Whether there is a figure of any style.
    pub(crate) fn is_measured(&self) -> bool {
        self.cells.iter().any(|cell| !cell.absent)
    }

    pub(crate) fn note(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    /// See [`Row::again`].
    pub(crate) fn again(mut self, again: bool) -> Self {
        self.again = again;
        self
    }

    pub(crate) fn inner(mut self) -> Self {
        self.inner = true;
        self
    }
}

impl Table {
    /// A column per name, after that of the labels.
    pub(crate) fn new<T: Into<String>>(about: &str, columns: impl IntoIterator<Item = T>) -> Self {
        let head = std::iter::once(about.to_owned()).chain(columns.into_iter().map(Into::into)).collect();
        Self { head, rows: Vec::new() }
    }

    pub(crate) fn with(mut self, rows: impl IntoIterator<Item = Row>) -> Self {
        self.rows.extend(rows);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(figures: &[Option<f64>], better: Better) -> Vec<bool> {
        Row::figures("", figures, units::ms, better).cells.iter().map(|cell| cell.best).collect()
    }

    #[test]
    fn the_best_is_marked_where_there_is_a_difference() {
        assert_eq!(marked(&[Some(2.0), Some(1.0), None], Better::Less), [false, true, false]);
        assert_eq!(marked(&[Some(2.0), Some(1.0), None], Better::More), [true, false, false]);
        assert_eq!(marked(&[Some(1.0), Some(1.0)], Better::Less), [false, false]);
        assert_eq!(marked(&[Some(1.0), None], Better::Less), [false, false]);
    }
}
