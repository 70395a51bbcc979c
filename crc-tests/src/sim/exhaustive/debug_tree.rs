//! [`DebugTree`]: the debug output of a value as a tree, by the grammar that derived `Debug`
//! writes.

use std::iter::Peekable;
use std::str::CharIndices;

/// A value in debug output.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum DebugTree<'a> {
    /// A number, string, duration, or a name without fields.
    Atom(&'a str),
    /// `Name(…)`, `(…)` and `[…]`: the name, and the values.
    Sequence(&'a str, Vec<Self>),
    /// `Name { field: … }`.
    Struct(&'a str, Vec<(&'a str, Self)>),
    /// `{…}`: a map or a set. An entry of a map has two values.
    Table(Vec<Vec<Self>>),
}

impl<'a> DebugTree<'a> {
    /// Returns the tree of debug output, on one line or on several.
    ///
    /// # Panics
    /// If the text is not debug output.
    pub(super) fn new(text: &'a str) -> Self {
        let mut parser = Parser { text, chars: text.char_indices().peekable() };
        let tree = parser.value();
        assert!(parser.chars.next().is_none(), "the output of one value");
        tree
    }
}

struct Parser<'a> {
    text: &'a str,
    chars: Peekable<CharIndices<'a>>,
}

impl<'a> Parser<'a> {
    fn at(&mut self) -> usize {
        self.chars.peek().map_or(self.text.len(), |&(at, _)| at)
    }

    fn rest(&mut self) -> &'a str {
        let at = self.at();
        &self.text[at..]
    }

    /// Skips a character, with the space, the commas and the dots before it.
    fn skip(&mut self, wanted: char) -> bool {
        while self.chars.next_if(|&(_, c)| c.is_whitespace() || c == ',' || c == '.').is_some() {}
        self.chars.next_if(|&(_, c)| c == wanted).is_some()
    }

    fn value(&mut self) -> DebugTree<'a> {
        if self.skip('[') {
            return DebugTree::Sequence("", self.values_until(']'));
        }
        if self.skip('{') {
            return DebugTree::Table(self.entries());
        }
        let atom = self.atom();
        if self.rest().starts_with('(') {
            self.chars.next();
            return DebugTree::Sequence(atom, self.values_until(')'));
        }
        if self.rest().starts_with(" {") {
            self.skip('{');
            return DebugTree::Struct(atom, self.fields());
        }
        DebugTree::Atom(atom)
    }

    fn values_until(&mut self, end: char) -> Vec<DebugTree<'a>> {
        let mut values = Vec::new();
        while !self.skip(end) {
            values.push(self.value());
        }
        values
    }

    fn entries(&mut self) -> Vec<Vec<DebugTree<'a>>> {
        let mut entries = Vec::new();
        while !self.skip('}') {
            let mut entry = vec![self.value()];
            if self.rest().starts_with(':') {
                self.skip(':');
                entry.push(self.value());
            }
            entries.push(entry);
        }
        entries
    }

    fn fields(&mut self) -> Vec<(&'a str, DebugTree<'a>)> {
        let mut fields = Vec::new();
        while !self.skip('}') {
            let name = self.atom();
            assert!(self.skip(':'), "a field has a value: {name}");
            fields.push((name, self.value()));
        }
        fields
    }

    /// Reads a name, number, duration, or string.
    fn atom(&mut self) -> &'a str {
        let start = self.at();
        if let Some(&(_, quote @ ('"' | '\''))) = self.chars.peek() {
            self.chars.next();
            while let Some((_, c)) = self.chars.next() {
                if c == '\\' {
                    self.chars.next();
                } else if c == quote {
                    break;
                }
            }
        } else {
            let is_end = |c: char| c.is_whitespace() || ",:()[]{}".contains(c);
            while self.chars.next_if(|&(_, c)| !is_end(c)).is_some() {}
        }
        let end = self.at();
        &self.text[start..end]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Debug)]
    #[expect(dead_code, reason = "printed only")]
    struct Value {
        name: &'static str,
        table: BTreeMap<u32, Option<(i32, char)>>,
        list: [f32; 2],
        unit: (),
    }

    #[test]
    fn tree_of_a_derived_output_has_its_structure() {
        let table = BTreeMap::from([(1, None), (2, Some((-3, '}')))]);
        let value = Value { name: "a \" {b}", table, list: [0.5, 1.0], unit: () };
        let texts = [format!("{value:?}"), format!("{value:#?}")];
        let atom = DebugTree::Atom;
        let pair = DebugTree::Sequence("", vec![atom("-3"), atom("'}'")]);
        let expected = DebugTree::Struct(
            "Value",
            vec![
                ("name", atom(r#""a \" {b}""#)),
                (
                    "table",
                    DebugTree::Table(vec![
                        vec![atom("1"), atom("None")],
                        vec![atom("2"), DebugTree::Sequence("Some", vec![pair])],
                    ]),
                ),
                ("list", DebugTree::Sequence("", vec![atom("0.5"), atom("1.0")])),
                ("unit", DebugTree::Sequence("", vec![])),
            ],
        );
        for text in &texts {
            assert_eq!(DebugTree::new(text), expected);
        }
    }
}
