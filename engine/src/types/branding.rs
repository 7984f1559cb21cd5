//! How a tenant's mails look: colour, logo and footer.

use std::fmt;

use super::{HttpsUrl, Prose};
use crate::error::{Error, Result};

/// The look of a tenant's mails, which its owners choose.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Brand {
    /// The colour of the line under the header and of buttons.
    pub color: Option<BrandColor>,
    /// A picture at the tenant's own address. An uploaded logo is shown instead.
    pub logo_url: Option<HttpsUrl>,
    /// The last lines of its mails, such as the imprint: up to 500 characters.
    pub footer: Option<Prose>,
}

impl Brand {
    /// Longest footer, in characters: an imprint with an address, not a letter.
    pub const FOOTER_CHARACTERS_MAX: usize = 500;

    /// Checks a footer. One without a visible character is none.
    ///
    /// # Errors
    /// `field-invalid` at `brand.footer`.
    pub fn parse_footer(text: &str) -> Result<Option<Prose>> {
        const FIELD: &str = "brand.footer";
        if text.chars().count() > Self::FOOTER_CHARACTERS_MAX {
            return Err(Error::field(
                FIELD,
                "A footer has at most 500 characters, line breaks included.",
            ));
        }
        let footer = Prose::parse(FIELD, text)?;
        Ok((!footer.is_blank()).then_some(footer))
    }
}

/// A colour of the sRGB space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BrandColor([u8; 3]);

impl BrandColor {
    /// Reads `#rrggbb` from the request's `field`.
    ///
    /// # Errors
    /// `field-invalid` for anything else.
    pub fn parse(field: &'static str, text: &str) -> Result<Self> {
        Self::read(text).ok_or_else(|| {
            Error::field(
                field,
                "A colour is # and six hexadecimal digits, such as #7a1f3d.",
            )
        })
    }

    pub(crate) fn read(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('#')?.as_bytes();
        let digit = |at: usize| char::from(digits[at]).to_digit(16);
        if digits.len() != 6 {
            return None;
        }
        let mut parts = [0; 3];
        for (index, part) in parts.iter_mut().enumerate() {
            let value = digit(2 * index)? * 16 + digit(2 * index + 1)?;
            *part = u8::try_from(value).ok()?;
        }
        Some(Self(parts))
    }

    /// The colour of text on it: black or white, whichever has the higher contrast (WCAG 2.2). It is at least 4.5 : 1.
    pub fn text_color(self) -> Self {
        let luminance = self.luminance();
        let (on_white, on_black) = (1.05 / (luminance + 0.05), (luminance + 0.05) / 0.05);
        match on_black >= on_white {
            true => Self([0; 3]),
            false => Self([255; 3]),
        }
    }

    /// The relative luminance (WCAG 2.2): 0 for black, 1 for white.
    fn luminance(self) -> f64 {
        let [red, green, blue] = self.0.map(|part| {
            let part = f64::from(part) / 255.0;
            match part <= 0.040_45 {
                true => part / 12.92,
                false => ((part + 0.055) / 1.055).powf(2.4),
            }
        });
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    }
}

impl fmt::Display for BrandColor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [red, green, blue] = self.0;
        write!(formatter, "#{red:02x}{green:02x}{blue:02x}")
    }
}

/// What is known of a tenant's uploaded logo without its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogoFacts {
    /// The SHA-256 of its bytes, in hexadecimal digits.
    pub sha256: String,
    /// Its width in pixels.
    pub width: u32,
    /// Its height in pixels.
    pub height: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn color(text: &str) -> BrandColor {
        BrandColor::parse("brand.color", text).unwrap()
    }

    #[test]
    fn colors_are_six_digits() {
        assert_eq!(color("#7A1f3d").to_string(), "#7a1f3d");
        for bad in [
            "",
            "#",
            "red",
            "7a1f3d",
            "#7a1f3",
            "#7a1f3dd",
            "#7a1f3g",
            "#+a1f3d",
            "#é1f3d",
            " #7a1f3d",
            "#fff;x",
            "rgb(1,2,3)",
        ] {
            let error = BrandColor::parse("brand.color", bad).unwrap_err();
            assert_eq!(error.field_name(), Some("brand.color"), "{bad}");
        }
    }

    #[test]
    fn text_on_any_color_is_readable() {
        for (background, text) in [
            ("#000000", "#ffffff"),
            ("#ffffff", "#000000"),
            ("#7a1f3d", "#ffffff"),
            ("#ffcc00", "#000000"),
            ("#0000ff", "#ffffff"),
            ("#00ff00", "#000000"),
            ("#ff0000", "#000000"),
            // The greys between which the better one changes.
            ("#757575", "#ffffff"),
            ("#767676", "#000000"),
        ] {
            assert_eq!(
                color(background).text_color().to_string(),
                text,
                "{background}"
            );
        }
        for red in (0..=255).step_by(15) {
            for green in (0..=255).step_by(15) {
                for blue in (0..=255).step_by(15) {
                    let background = BrandColor([red, green, blue]);
                    let (one, other) =
                        (background.luminance(), background.text_color().luminance());
                    let contrast = (one.max(other) + 0.05) / (one.min(other) + 0.05);
                    assert!(contrast >= 4.5, "{background}: {contrast}");
                }
            }
        }
    }

    #[test]
    fn footers_are_short_and_may_have_lines() {
        let footer = Brand::parse_footer("North Stage\n1 Main Street").unwrap();
        assert_eq!(footer.unwrap().as_str(), "North Stage\n1 Main Street");
        assert_eq!(Brand::parse_footer(" \n\u{200b}").unwrap(), None);
        assert!(Brand::parse_footer(&"é".repeat(500)).unwrap().is_some());
        for bad in ["é".repeat(501), "a\0b".to_owned(), "a\u{202e}b".to_owned()] {
            let error = Brand::parse_footer(&bad).unwrap_err();
            assert_eq!(error.field_name(), Some("brand.footer"));
        }
    }
}
