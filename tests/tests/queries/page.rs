//! The page with the questions: its sections, and the literals in it for which others stand in a test.

/// A question as the page has it.
#[derive(Debug)]
pub(crate) struct Question {
    /// The heading.
    pub(crate) title: String,
    /// The command.
    pub(crate) command: String,
    /// The same in SQL.
    pub(crate) sql: String,
}

/// Returns the questions of a page: sections of the second level with a block of each kind.
///
/// # Panics
/// Where a section has no or another block.
pub(crate) fn questions(page: &str) -> Vec<Question> {
    let sections = page.split("\n## ").skip(1);
    sections
        .map(|section| {
            let (title, body) = section.split_once('\n').expect("a section has lines");
            let block = |kind: &str| {
                let fence = format!("```{kind}\n");
                let mut blocks = body.split(fence.as_str()).skip(1);
                let block = blocks.next().unwrap_or_else(|| panic!("{title} has no {kind}"));
                assert!(blocks.next().is_none(), "{title} has two blocks of {kind}");
                block.split("```").next().unwrap_or_default().trim().to_owned()
            };
            let command = block("console");
            let command = command.strip_prefix("$ ").unwrap_or_else(|| panic!("{title}: {command}"));
            Question { title: title.to_owned(), command: command.to_owned(), sql: block("sql") }
        })
        .collect()
}

/// What stands for which literals of the page.
pub(crate) struct Words(Vec<(&'static str, String)>);

impl Words {
    pub(crate) fn new(words: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        Self(words.into_iter().collect())
    }

    /// Puts them in.
    pub(crate) fn fill(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (word, is)| text.replace(word, is))
    }
}
