//! The QR code of a text (ISO/IEC 18004) as a picture: PNG and SVG.
//!
//! Called by the building of mails, and by hosts for pages with tickets. Calls nothing of ours.

use std::fmt::Write as _;

use qrcode::{Color, EcLevel, QrCode};

use crate::error::{Error, Result};

/// Edge of a module in pixels: large enough for a phone's camera, small enough for a phone's screen.
const MODULE_PIXELS: usize = 6;
/// Modules left white around the code (ISO/IEC 18004 asks for 4).
const QUIET_MODULES: usize = 4;

/// Draws the QR code of a text as a black and white PNG of about 1 KB.
///
/// # Errors
/// `internal` if the text is longer than a QR code holds; codes of tickets are far shorter.
pub fn qr_code_png(text: &str) -> Result<Vec<u8>> {
    let code = code_of(text)?;
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

/// Draws the QR code of a text as an SVG of about 4 KB, black on white, of any size. One unit is one module.
///
/// # Errors
/// `internal` if the text is longer than a QR code holds; codes of tickets are far shorter.
pub fn qr_code_svg(text: &str) -> Result<String> {
    let code = code_of(text)?;
    let modules = code.width();
    let edge = modules + 2 * QUIET_MODULES;
    let mut path = String::new();
    for y in 0..modules {
        let mut x = 0;
        while x < modules {
            let dark = (x..modules).take_while(|x| code[(*x, y)] == Color::Dark);
            let run = dark.count();
            if run > 0 {
                let (left, top) = (x + QUIET_MODULES, y + QUIET_MODULES);
                // Writing to a String cannot fail.
                let _ = write!(path, "M{left} {top}h{run}v1h-{run}z");
            }
            x += run.max(1);
        }
    }
    Ok(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {edge} {edge}\" shape-rendering=\"crispEdges\">\
         <path fill=\"#fff\" d=\"M0 0h{edge}v{edge}H0z\"/><path fill=\"#000\" d=\"{path}\"/></svg>"
    ))
}

fn code_of(text: &str) -> Result<QrCode> {
    // Level M survives the loss of 15 %: screens are dirty and cracked.
    QrCode::with_error_correction_level(text, EcLevel::M).map_err(Error::internal)
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

    /// The same of an SVG: what its path covers.
    fn modules_of_svg(picture: &str) -> Vec<Vec<bool>> {
        let (_, path) = picture.rsplit_once(" d=\"").unwrap();
        let edge = picture.split('"').nth(3).unwrap();
        let edge: usize = edge.rsplit(' ').next().unwrap().parse().unwrap();
        let mut drawn = vec![vec![false; edge]; edge];
        for run in path.split('M').skip(1) {
            let (place, rest) = run.split_once('h').unwrap();
            let (x, y) = place.split_once(' ').unwrap();
            let (x, y): (usize, usize) = (x.parse().unwrap(), y.parse().unwrap());
            let (width, _) = rest.split_once("v1h-").unwrap();
            drawn[y][x..x + width.parse::<usize>().unwrap()].fill(true);
        }
        let inside = QUIET_MODULES..edge - QUIET_MODULES;
        let is_quiet = |x: usize, y: usize| !(inside.contains(&x) && inside.contains(&y));
        assert!((0..edge).all(|y| (0..edge).all(|x| !is_quiet(x, y) || !drawn[y][x])));
        let rows = drawn[inside.clone()].iter();
        rows.map(|row| row[inside.clone()].to_vec()).collect()
    }

    #[test]
    fn the_pictures_show_the_code() {
        let text = "AZ3k".repeat(21);
        let (png, svg) = (qr_code_png(&text).unwrap(), qr_code_svg(&text).unwrap());
        assert!(png.len() < 2_000, "{} bytes", png.len());
        assert!(svg.len() < 10_000, "{} bytes", svg.len());
        let code = QrCode::with_error_correction_level(&text, EcLevel::M).unwrap();
        let colors = code.to_colors();
        let expected: Vec<bool> = colors.iter().map(|color| *color == Color::Dark).collect();
        assert_eq!(modules(&png).concat(), expected);
        assert_eq!(modules_of_svg(&svg).concat(), expected);
    }

    #[test]
    fn what_no_code_holds_is_an_error() {
        let long = "x".repeat(5_000);
        assert!(qr_code_png(&long).is_err());
        assert!(qr_code_svg(&long).is_err());
    }
}
