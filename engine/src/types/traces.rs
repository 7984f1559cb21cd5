//! The place in a trace that is stored with an outbox entry. The worker continues the trace there.

use std::{fmt, str::FromStr, sync::Arc};

use crate::error::{Error, Result};

/// A place in a recorded trace (W3C Trace Context, 3.2: `00-TRACE-SPAN-FLAGS` in lower-case hexadecimal digits).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TraceParent(Arc<str>);

impl TraceParent {
    /// The length of its text.
    pub const CHARACTERS: usize = 55;

    /// The trace: 32 digits.
    pub fn trace_id(&self) -> &str {
        &self.0[3..35]
    }

    /// The span in it: 16 digits.
    pub fn span_id(&self) -> &str {
        &self.0[36..52]
    }

    /// Whether the trace is sampled.
    pub fn is_sampled(&self) -> bool {
        let flags = u8::from_str_radix(&self.0[53..], 16);
        flags.is_ok_and(|flags| flags & 1 == 1)
    }

    /// The whole text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl FromStr for TraceParent {
    type Err = Error;

    /// Parses the text of version 00. Any other text is `field-invalid`.
    fn from_str(text: &str) -> Result<Self> {
        let parts: Vec<&str> = text.split('-').collect();
        let is_hex = |part: &str| {
            let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
            part.bytes().all(digit)
        };
        let is_some = |part: &str| part.bytes().any(|byte| byte != b'0');
        match parts.as_slice() {
            ["00", trace, span, flags]
                if (trace.len(), span.len(), flags.len()) == (32, 16, 2)
                    && [trace, span, flags].iter().all(|part| is_hex(part))
                    && is_some(trace)
                    && is_some(span) =>
            {
                Ok(Self(text.into()))
            }
            _ => Err(Error::field(
                "traceparent",
                "It is 00-TRACE-SPAN-FLAGS with 32, 16 and 2 lower-case hexadecimal digits.",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_places_of_traces_are_read() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let parent: TraceParent = good.parse().unwrap();
        assert_eq!(good.len(), TraceParent::CHARACTERS);
        assert_eq!(parent.trace_id(), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(parent.span_id(), "b7ad6b7169203331");
        assert!(parent.is_sampled());
        let unsampled: TraceParent = good.replace("-01", "-00").parse().unwrap();
        assert!(!unsampled.is_sampled());
        for odd in [
            "",
            "00",
            &good.to_uppercase(),
            &good.replace("00-", "ff-"),
            &good.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
            &good.replace("b7ad6b7169203331", &"0".repeat(16)),
            &format!("{good}-00"),
            &good.replace('b', "\u{e9}"),
        ] {
            assert!(odd.parse::<TraceParent>().is_err(), "{odd}");
        }
    }
}
