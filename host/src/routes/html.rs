//! Writing HTML: all text is escaped.
//!
//! Called by pages and by the list of mails in development.

use std::fmt::Write as _;

use axum::{
    body::Body,
    http::{
        HeaderName, HeaderValue,
        header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
};

/// The policy of pages with own scripts and styles, which may call this server.
pub(super) const OWN_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The console's pages: as [`OWN_POLICY`], and with the icon of this server.
pub(super) const CONSOLE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
    img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The page that tries the API: Swagger UI also draws pictures that its own style holds.
pub(super) const DOCS_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
    img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The policy of what loads nothing: data, and files that are opened directly.
pub(super) const FILE_POLICY: &str = "default-src 'none'; frame-ancestors 'none'";

/// A response of this type with this content security policy.
pub(super) fn content(
    content_type: &'static str,
    policy: &'static str,
    body: impl Into<Body>,
) -> Response {
    let headers: [(HeaderName, HeaderValue); 2] = [
        (CONTENT_TYPE, HeaderValue::from_static(content_type)),
        (CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy)),
    ];
    (headers, body.into()).into_response()
}

/// A whole page in English; `style` is the path of the style sheet, relative to the page.
pub(super) fn page(title: &str, style: &str, policy: &'static str, main: &str) -> Response {
    let html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{}</title>\n<link rel=\"stylesheet\" href=\"{}\">\n<main>\n{main}\n</main>\n</html>\n",
        escaped(title),
        escaped(style),
    );
    content("text/html; charset=utf-8", policy, html)
}

/// Escapes text for an element, or an attribute in double quotes.
pub(super) fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            // NUL is not allowed in HTML.
            '\0' => html.push('\u{fffd}'),
            character => html.push(character),
        }
    }
    html
}

/// Converts the error pages from Markdown to HTML: headings, paragraphs, lists, fenced and inline code, nothing else.
pub(super) fn from_markdown(markdown: &str) -> String {
    let mut html = String::new();
    let mut open: Option<&str> = None;
    for line in markdown.lines() {
        if open == Some("pre") {
            if line.starts_with("```") {
                html.push_str("</pre>\n");
                open = None;
            } else {
                // Writing to a String cannot fail, here and below.
                let _ = writeln!(html, "{}", escaped(line));
            }
            continue;
        }
        let level = line.bytes().take_while(|byte| *byte == b'#').count();
        let wanted = match line {
            _ if line.starts_with("```") => Some("pre"),
            _ if line.starts_with("- ") => Some("ul"),
            _ if open == Some("ul") && line.starts_with("  ") => Some("ul"),
            _ if line.trim().is_empty() || (1..=4).contains(&level) => None,
            _ => Some("p"),
        };
        if wanted != open {
            html.push_str(&open.map(|tag| format!("</{tag}>\n")).unwrap_or_default());
            html.push_str(&wanted.map(|tag| format!("<{tag}>")).unwrap_or_default());
            open = wanted;
        }
        let _ = match wanted {
            Some("pre") => Ok(()),
            Some("ul") if line.starts_with("- ") => writeln!(html, "<li>{}", inline(&line[2..])),
            Some(_) => writeln!(html, "{}", inline(line.trim())),
            None if level > 0 => writeln!(
                html,
                "<h{level}>{}</h{level}>",
                inline(line[level..].trim())
            ),
            None => Ok(()),
        };
    }
    html.push_str(&open.map(|tag| format!("</{tag}>\n")).unwrap_or_default());
    html
}

/// Escapes a line, with `code` between backticks.
fn inline(line: &str) -> String {
    let mut html = String::new();
    let mut pieces = line.split('`').peekable();
    let mut in_code = false;
    while let Some(piece) = pieces.next() {
        // A last backtick without its partner is a plain character.
        match (in_code, pieces.peek().is_some()) {
            (true, true) => html.push_str(&format!("<code>{}</code>", escaped(piece))),
            (true, false) => html.push_str(&format!("`{}", escaped(piece))),
            (false, _) => html.push_str(&escaped(piece)),
        }
        in_code = !in_code;
    }
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_text() {
        assert_eq!(
            escaped("<a href=\"x\">&'\0"),
            "&lt;a href=&quot;x&quot;&gt;&amp;&#39;\u{fffd}"
        );
        assert!(!from_markdown("# <b>\n\n<i>\n- <u>\n```\n</pre><s>\n```\n`<x>`").contains("<b>"));
        for tag in ["<i>", "<u>", "<s>", "<x>"] {
            assert!(
                !from_markdown("# <b>\n\n<i>\n- <u>\n```\n</pre><s>\n```\n`<x>`").contains(tag),
                "{tag}"
            );
        }
    }

    #[test]
    fn our_markdown_becomes_html() {
        let html = from_markdown("# A `b`\n\nOne\ntwo.\n\n- x\n  y\n- z\n\n```\n# no\n```\nend `");
        assert_eq!(
            html,
            "<h1>A <code>b</code></h1>\n<p>One\ntwo.\n</p>\n<ul><li>x\ny\n<li>z\n</ul>\n<pre># no\n</pre>\n<p>end `\n</p>\n"
        );
    }
}
