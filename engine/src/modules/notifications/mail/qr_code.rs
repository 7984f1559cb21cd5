//! The QR code of a text (ISO/IEC 18004) as a picture.
//!
//! Called by the building of mails. Calls nothing of ours.

use qrcode::{Color, EcLevel, QrCode};

use crate::error::{Error, Result};

/// Edge of a module in pixels: large enough for a phone's camera, small enough for a phone's screen.
const MODULE_PIXELS: usize = 6;
/// Modules left white around the code (ISO/IEC 18004 asks for 4).
const QUIET_MODULES: usize = 4;

/// Draws a text as a black and white PNG of about 1 KB.
///
/// # Errors
/// `internal` if the text is longer than a QR code holds; codes of tickets are far shorter.
pub(super) fn png(text: &str) -> Result<Vec<u8>> {
    // Level M survives the loss of 15 %: screens are dirty and cracked.
    let code = QrCode::with_error_correction_level(text, EcLevel::M).map_err(Error::internal)?;
    let modules = code.width();
    let edge = (modules + 2 * QUIET_MODULES) * MODULE_PIXELS;
    let row_bytes = edge.div_ceil(8);
    // One bit a pixel, 1 is white.
    let mut pixels = vec![0xff_u8; row_bytes * edge];
    let quiet = QUIET_MODULES * MODULE_PIXELS;
    let rows = pixels.chunks_exact_mut(row_bytes * MODULE_PIXELS);
    for (y, rows) in rows.skip(QUIET_MODULES).take(modules).enumerate() {
        let (row, copies) = rows.split_at_mut(row_bytes);
        for x in (0..modules).filter(|x| code[(*x, y)] == Color::Dark) {
            let begin = quiet + x * MODULE_PIXELS;
            for pixel in begin..begin + MODULE_PIXELS {
                row[pixel / 8] &= !(0x80 >> (pixel % 8));
            }
        }
        for copy in copies.chunks_exact_mut(row_bytes) {
            copy.copy_from_slice(row);
        }
    }
    let mut picture = Vec::new();
    let edge = u32::try_from(edge).map_err(Error::internal)?;
    let mut encoder = png::Encoder::new(&mut picture, edge, edge);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::One);
    // Rows repeat, which this filter makes zeros of; a quick compression is enough for those, and takes no large tables.
    encoder.set_filter(png::Filter::Up);
    encoder.set_compression(png::Compression::Fast);
    let mut writer = encoder.write_header().map_err(Error::internal)?;
    writer.write_image_data(&pixels).map_err(Error::internal)?;
    writer.finish().map_err(Error::internal)?;
    Ok(picture)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The modules of a picture, row by row, without the white edge.
    fn modules(picture: &[u8]) -> Vec<Vec<bool>> {
        let decoder = png::Decoder::new(std::io::Cursor::new(picture));
        let mut reader = decoder.read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let frame = reader.next_frame(&mut pixels).unwrap();
        let edge = frame.width as usize;
        let bit = |x: usize, y: usize| pixels[y * frame.line_size + x / 8] >> (7 - x % 8) & 1 == 0;
        let middle = |module: usize| (module + QUIET_MODULES) * MODULE_PIXELS + MODULE_PIXELS / 2;
        let count = edge / MODULE_PIXELS - 2 * QUIET_MODULES;
        let white = |position: usize| position < QUIET_MODULES * MODULE_PIXELS;
        assert!((0..edge).all(|x| (0..edge).all(|y| !(white(x) || white(y)) || !bit(x, y))));
        (0..count)
            .map(|y| (0..count).map(|x| bit(middle(x), middle(y))).collect())
            .collect()
    }

    #[test]
    fn the_picture_shows_the_code() {
        let text = "AZ3k".repeat(21);
        let picture = png(&text).unwrap();
        assert!(picture.len() < 2_000, "{} bytes", picture.len());
        let code = QrCode::with_error_correction_level(&text, EcLevel::M).unwrap();
        let drawn: Vec<bool> = modules(&picture).concat();
        let colors = code.to_colors();
        let expected: Vec<bool> = colors.iter().map(|color| *color == Color::Dark).collect();
        assert_eq!(drawn, expected);
    }

    #[test]
    fn what_no_code_holds_is_an_error() {
        assert!(png(&"x".repeat(5_000)).is_err());
    }
}
