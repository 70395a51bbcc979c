//! What the build script leaves out of the files of `web/` when it embeds them: indentation, empty
//! lines, comments that are whole lines, ends of lines after which a script goes on anyway, and
//! spaces of style sheets that separate nothing.
//!
//! The build script includes this file, and the crate only its tests.

/// Returns the text of a file, shortened, by the extension of its name. Other files stay as they
/// are.
pub(crate) fn shorten(extension: &str, text: &str) -> String {
    match extension {
        "mjs" | "js" => shorten_script(text),
        "css" => shorten_style(text),
        "html" | "svg" => lines(text, |line| line.trim()),
        _ => text.to_owned(),
    }
}

fn lines<'a>(text: &'a str, shorten: impl FnMut(&'a str) -> &'a str) -> String {
    let kept = text.lines().map(shorten).filter(|line| !line.is_empty());
    kept.flat_map(|line| [line, "\n"]).collect()
}

/// Returns a module without indentation and whole-line comments, and without the ends of lines that
/// nobody could take for the end of a statement. Lines that begin within a template literal stay as
/// they are: a line with an odd number of backticks begins or ends one.
fn shorten_script(text: &str) -> String {
    let (mut result, mut is_in_template) = (String::new(), false);
    for line in text.lines() {
        let kept = if is_in_template { line } else { line.trim_start() };
        if !is_in_template && (kept.is_empty() || kept.starts_with("//")) {
            continue;
        }
        is_in_template ^= kept.matches('`').count() % 2 == 1;
        let kept = if is_in_template { kept } else { kept.trim_end() };
        result.push_str(kept);
        let goes_on = kept.ends_with(['{', '(', ',', ';']) && !kept.contains("//");
        if is_in_template || !goes_on {
            result.push('\n');
        }
    }
    result
}

/// Returns a style sheet without whole-line comments, and without spaces beside what separates
/// declarations and rules. Strings stay as they are.
fn shorten_style(text: &str) -> String {
    let text = lines(text, |line| match line.trim() {
        comment if comment.starts_with("/*") && comment.ends_with("*/") => "",
        line => line,
    });
    let (mut result, mut is_in_string) = (String::new(), false);
    for character in text.chars() {
        match character {
            ' ' | '\n' if !is_in_string => {
                if !result.ends_with(['{', '}', ';', ',', ':', ' ']) {
                    result.push(' ');
                }
                continue;
            }
            '{' | '}' if !is_in_string => {
                let kept = result.trim_end_matches([' ', ';']).len();
                result.truncate(kept);
            }
            '"' => is_in_string = !is_in_string,
            _ => {}
        }
        result.push(character);
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(extension: &str, text: &str, expected: &str) {
        assert_eq!(shorten(extension, text), expected);
    }

    #[test]
    fn scripts_lose_indentation_and_comments() {
        let text = "// A comment with a ` in it.\nfunction f() {\n  // Another.\n\n  return 'a // b'; \n}\n";
        check("mjs", text, "function f() {return 'a // b';\n}\n");
    }

    #[test]
    fn template_literals_over_several_lines_stay() {
        let text = "  const a = `${`x`}`;\n  const b = `one\n  // two\n\n    three`;\n  f();\n";
        check("mjs", text, "const a = `${`x`}`;const b = `one\n  // two\n\n    three`;f();");
    }

    #[test]
    fn lines_end_where_a_statement_may() {
        let text = "const a = [\n  1,\n]\nf(\n  a)\ng(); // then\nreturn\nx;\n";
        check("mjs", text, "const a = [\n1,]\nf(a)\ng(); // then\nreturn\nx;");
    }

    #[test]
    fn style_sheets_keep_what_separates_and_their_strings() {
        let text = "/* A comment. */\n.a > b, #c :focus {\n  margin: 0 1px;\n  content: \"; } \";\n}\n\
                    @media (max-width: 9px) {\n  .d { top: calc(1px - 2px); }\n}\n";
        let expected = ".a > b,#c :focus{margin:0 1px;content:\"; } \"}\
                        @media (max-width:9px){.d{top:calc(1px - 2px)}}";
        check("css", text, expected);
    }

    #[test]
    fn other_texts_lose_indentation_at_most() {
        check("html", "<p>\n\n  <b>x</b>\n</p>\n", "<p>\n<b>x</b>\n</p>\n");
        check("json", "{\n  \"a\": 1\n}\n", "{\n  \"a\": 1\n}\n");
    }
}
